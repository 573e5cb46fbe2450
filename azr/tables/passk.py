"""RQ1: pass@k of each method, its paired difference from the base, where curves cross, and what became of problems.

    frame = curves(frames["test"])                # what fig04_passk draws
    crossings(frame)                              # C3
    leash(frames["test"])                         # what fig04_leash draws, E2

k goes up to half the samples: beyond, the estimate of one problem is close to a coin toss. Left out: accuracy against
training steps (``azr.tables.accuracy``).
"""

from __future__ import annotations

import pandas as pd

from azr.metrics import crossing, sharpening
from azr.tables.compare import ALL, BASE, CODE, at_end, differences, means, score, with_all

PASS, DIFFERENCE = "pass@k", "difference"


def powers_to(largest: int) -> list[int]:
    """Powers of two up to ``largest``, at least 1.

    >>> powers_to(32)
    [1, 2, 4, 8, 16, 32]
    """
    return [2**i for i in range(max(int(largest), 1).bit_length())]


def curves(test: pd.DataFrame, reference: str = BASE) -> pd.DataFrame:
    """pass@k after training and paired differences from the reference, for each group and for the task types together.

    Returns:
        model, quantity (``pass@k`` or ``difference``), method, step, group, k, estimate, low, high, se, df, seeds,
        problems, samples. A method's k go up to half of its samples; intervals hold at one k.
    """
    last = at_end(test)
    scores = []
    for k in powers_to(last["n"].max() // 2):
        enough = last[last["n"] >= 2 * k] if k > 1 else last
        scores.append(with_all(score(enough, f"pass@{k}")).assign(k=k))
    table = pd.concat(scores, ignore_index=True)
    own = means(table, by=["group", "k"]).assign(quantity=PASS)
    against = differences(table, reference, by=["group", "k"]).assign(quantity=DIFFERENCE)
    frame = pd.concat([own, against], ignore_index=True).drop(columns="reference")
    samples = last.groupby(["model", "method"])["n"].min().rename("samples").reset_index()
    frame = frame.merge(samples)
    return frame[["model", "quantity", *(name for name in frame if name not in ("model", "quantity"))]]


def crossings(frame: pd.DataFrame) -> pd.DataFrame:
    """C3: whether a method's curve starts above the reference's and ends below it, and where they cross.

    Args:
        frame: from ``curves``.

    Returns:
        One row a model, method and group: model, method, group, k_star, low, high (NaN where the curves do not cross),
        p (both one-sided tests), crosses, largest_k, gain and loss (differences at the smallest and the largest k).
    """
    rows = []
    of_differences = frame[frame["quantity"] == DIFFERENCE]
    for (model, method, group), own in of_differences.groupby(["model", "method", "group"], sort=False):
        if own["k"].nunique() > 1:
            found = crossing(own.sort_values("k"))
            row = {"model": model, "method": method, "group": group, "k_star": found.k, "low": found.low}
            row |= {"high": found.high, "p": found.p, "crosses": bool(found.crosses), "largest_k": own["k"].max()}
            rows.append(row | {"gain": found.gain.estimate, "loss": found.loss.estimate})
    return pd.DataFrame(rows)


def support(test: pd.DataFrame, present: int = 1) -> pd.DataFrame:
    """Problems that some sample solved before and after training: kept, lost, gained, by neither; means over seeds.

    A problem counts as solvable with at least ``present`` right samples, so rare problems come and go by chance: the
    row of the base, another sample of it against seed 0, says how many. Only methods with as many samples as the base.

    Returns:
        model, method, group, kept, lost, gained, neither, problems, samples, seeds.
    """
    last = score(at_end(test), "c")
    is_control = (last["method"] == BASE) & (last["seed"] == 0)
    on = ["model", "group", "problem", "n"]
    pair = last[~is_control].merge(last.loc[is_control, [*on, "value"]], on=on, suffixes=("", "_base"))
    before, after = pair["value_base"] >= present, pair["value"] >= present
    pair = pair.assign(kept=before & after, lost=before & ~after, gained=~before & after, neither=~before & ~after)
    counts = ["kept", "lost", "gained", "neither", "problems"]
    runs = pair.assign(problems=1).groupby(["model", "method", "group", "seed", "n"], sort=False)[counts].sum()
    runs = runs.reset_index()
    together = runs[runs["group"].isin(CODE)].groupby(["model", "method", "seed", "n"], sort=False)[counts].sum()
    runs = pd.concat([runs, together.reset_index().assign(group=ALL)]).rename(columns={"n": "samples"})
    of_method = runs.groupby(["model", "method", "group", "samples"], sort=False)
    return of_method[counts].mean().join(of_method["seed"].nunique().rename("seeds")).reset_index()


def leash(test: pd.DataFrame, group: str = ALL) -> pd.DataFrame:
    """Probability of a right answer after training against that before it, problem by problem, and the line through it.

    Args:
        test: with at least three seeds of the base: those after seed 0 are the side before training, since the trained
            models share seed 0's random numbers.
        group: a group, or ``ALL``.

    Returns:
        model, method, group, problem, before, after (means over seeds: the scored probability of the right answer where
        there is one, else the share of right samples), slope, slope_low, slope_high, intercept (logit after = intercept
        + slope * logit before; a slope above 1 sharpens), seeds, problems, samples. Seed 0 of the base is the method
        "base": what no training gives.
    """
    last = at_end(test)
    last = last[last["group"].isin(CODE if group == ALL else [group])]
    scores = last.assign(value=last["p"].fillna(last["c"] / last["n"]), problem=last["group"] + "/" + last["problem"])
    frames = []
    for model, own in scores.groupby("model", sort=False):
        others = own[(own["method"] == BASE) & (own["seed"] != 0)]
        before = others.pivot(index="seed", columns="problem", values="value")
        for method, rows in own.drop(index=others.index).groupby("method", sort=False):
            if len(before) < 2:
                continue
            after = rows.pivot(index="seed", columns="problem", values="value")[before.columns]
            samples = int(min(rows["n"].min(), others["n"].min()))
            found = sharpening(before.to_numpy(), after.to_numpy(), samples)
            points = pd.DataFrame({"before": before.mean(), "after": after.mean()}).reset_index()
            line = {"slope": found.slope.estimate, "slope_low": found.slope.low, "slope_high": found.slope.high}
            about = {"model": model, "method": method, "group": group, "intercept": found.intercept.estimate}
            size = {"seeds": len(after), "problems": found.problems, "samples": samples}
            frames.append(points.assign(**about, **line, **size))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=["model", "method"])
