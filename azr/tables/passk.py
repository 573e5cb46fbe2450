"""RQ1: pass@k of each method, its paired difference from the base, where curves cross, and what became of problems.

    frame = curves(frames["test"])                # what fig04_passk draws
    crossings(frame)                              # C3
    leash(frames["test"])                         # what fig04_leash draws; E2

k goes up to half the samples: beyond, the estimate of one problem is close to a coin toss. Left out: accuracy against
training steps (``azr.tables.accuracy``).
"""

import pandas as pd

from azr.metrics import crossing, sharpening
from azr.metrics.sharpening import RANGE
from azr.tables.compare import ALL, BASE, at_end, differences, main_groups, means, score, with_all


def powers_to(largest: int) -> list[int]:
    """Powers of two up to ``largest``, at least 1.

    >>> powers_to(32)
    [1, 2, 4, 8, 16, 32]
    """
    return [2**i for i in range(max(int(largest), 1).bit_length())]


def curves(test: pd.DataFrame) -> pd.DataFrame:
    """pass@k after training and paired differences from the base, for each group and for the task types together.

    Returns:
        model, method, step, group, k, quantity (``pass@k`` or ``difference``), an interval, samples. A method's k go up
        to half of its samples; intervals hold at one k.
    """
    last = at_end(test)
    parts = []
    for k in powers_to(last["n"].max() // 2):
        enough = last[last["n"] >= 2 * k] if k > 1 else last
        parts.append(with_all(score(enough, f"pass@{k}")).assign(k=k))
    scores = pd.concat(parts, ignore_index=True)
    own = means(scores, by=["group", "k"]).assign(quantity="pass@k")
    against = differences(scores, by=["group", "k"]).assign(quantity="difference")
    samples = last.groupby(["model", "method"])["n"].min().rename("samples").reset_index()
    return pd.concat([own, against.drop(columns="reference")], ignore_index=True).merge(samples)


def crossings(frame: pd.DataFrame) -> pd.DataFrame:
    """C3: where a method's curve falls below the base's, with the p of its starting above and ending below.

    Args:
        frame: from ``curves``.

    Returns:
        One row a model, method and group: model, method, group, k_star, low, high (NaN where the curves do not cross),
        p (``azr.metrics.crossing``), largest_k.
    """
    rows = []
    of_differences = frame[(frame["quantity"] == "difference") & (frame["samples"] > 2)]
    for key, own in of_differences.groupby(["model", "method", "group"], sort=False):
        k_star, p = crossing(own)
        rows.append((*key, k_star.estimate, k_star.low, k_star.high, p, own["k"].max()))
    return pd.DataFrame(rows, columns=["model", "method", "group", "k_star", "low", "high", "p", "largest_k"])


def support(test: pd.DataFrame) -> pd.DataFrame:
    """Problems that some sample solved before and after training: kept, lost, gained, in neither; means over seeds.

    Rare problems come and go by chance: the row of the base, sampled again, says how many. Only methods with as many
    samples as the base.

    Returns:
        model, method, group, samples, kept, lost, gained, neither, problems, seeds.
    """
    last = at_end(test).rename(columns={"n": "samples"})
    control = last[(last["method"] == BASE) & (last["seed"] == 0)]
    on = ["model", "group", "problem", "samples"]
    pair = last.drop(control.index).merge(control[[*on, "c"]], on=on, suffixes=("", "_base"))
    names = {(True, True): "kept", (True, False): "lost", (False, True): "gained", (False, False): "neither"}
    pair["fate"] = [names[fate] for fate in zip(pair["c_base"] > 0, pair["c"] > 0, strict=True)]
    pair = pd.concat([pair, main_groups(pair).assign(group=ALL)])
    groups = pair.groupby(["model", "method", "group", "samples"], sort=False)
    counts = groups["fate"].value_counts().unstack().reindex(columns=[*names.values()]).fillna(0)
    seeds = groups["seed"].nunique()
    counts = counts.assign(problems=counts.sum(axis=1)).div(seeds, axis=0).assign(seeds=seeds)
    return counts.reset_index().rename_axis(columns=None)


def leash(test: pd.DataFrame, within: tuple[float, float] = RANGE) -> pd.DataFrame:
    """Probability of a right answer after training against that before it, and the line through them, over task types.

    Args:
        test: with at least three seeds of the base: those after seed 0 are the side before training, since the trained
            models share seed 0's random numbers.
        within: probabilities before training between which the line is fitted.

    Returns:
        model, method, quantity; rows ``point``: problem, before, after (means over seeds of the scored probability of
        the right answer, or of the share of right samples where there is no score); rows ``slope``: estimate, low,
        high, se, df, seeds, problems and intercept of logit after = intercept + slope logit before: a slope above 1
        sharpens. Seed 0 of the base is the method "base": what no training gives. Empty with fewer seeds.
    """
    last = at_end(main_groups(test))
    last = last.assign(value=last["p"].fillna(last["c"] / last["n"]), problem=last["group"] + "/" + last["problem"])
    is_other = (last["method"] == BASE) & (last["seed"] != 0)
    frames = [pd.DataFrame(columns=["model", "method", "quantity"])]
    for (model, method), own in last[~is_other].groupby(["model", "method"], sort=False):
        base = last[is_other & (last["model"] == model)]
        before, after = (rows.pivot(index="seed", columns="problem", values="value") for rows in (base, own))
        if len(before) < 2:
            continue
        samples = int(min(own["n"].min(), base["n"].min()))
        found = sharpening(before.to_numpy(), after[before.columns].to_numpy(), samples, within)
        slope = vars(found.slope) | {"intercept": found.intercept.estimate, "seeds": len(after)}
        points = pd.DataFrame({"before": before.mean(), "after": after.mean()}).reset_index()
        parts = [
            points.assign(quantity="point"),
            pd.DataFrame([slope]).assign(quantity="slope", problems=found.problems),
        ]
        frames += [part.assign(model=model, method=method) for part in parts]
    return pd.concat(frames, ignore_index=True)
