"""What every question needs: scores of problems, their means, and paired differences between two methods.

    scores = score(frames["test"], "pass@1")
    differences(scores, "base", by=["group"])     # one row a model, method, step and group

Scores are tidy: model, method, seed, step, group, problem, value. A difference is paired by problem and by seed; the
base has no training seed, so its seed 0 stands against every seed, and its other seeds are themselves compared with
seed 0: what an untrained model gets. Left out: how an interval is computed (``azr.metrics.stats``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd

from azr.metrics import mean_interval, paired_difference, pass_at_k
from azr.tasks import TaskType

ALL = "all"
"""The group of the problems of all task types together."""
BASE = "base"
CODE = tuple(str(task_type) for task_type in TaskType)


def score(frame: pd.DataFrame, quantity: str, keep: Sequence[str] = ()) -> pd.DataFrame:
    """Scores of problems from counts of right samples.

    Args:
        frame: a measured problem set: model, method, seed, step, group, problem, n, c and the columns of
            ``azr.problems.evaluate``.
        quantity: ``pass@K`` (problems with fewer than K samples are left out), or a column such as ``greedy``.
        keep: more columns to keep.

    Returns:
        model, method, seed, step, group, problem, value, n, ``keep``. Where a problem's column is NaN it is left out.
    """
    if quantity.startswith("pass@"):
        k = int(quantity.removeprefix("pass@"))
        frame = frame[frame["n"] >= k]
        value = pd.Series(pass_at_k(frame["n"].to_numpy(), frame["c"].to_numpy(), k), index=frame.index)
    else:
        value = frame[quantity]
    columns = ["model", "method", "seed", "step", "group", "problem", "n", *keep]
    return frame[columns].assign(value=value).dropna(subset="value")


def with_all(scores: pd.DataFrame) -> pd.DataFrame:
    """The scores, and those of the task types once more as one group, ``ALL``.

    Every task type weighs the same there: where they differ in their numbers of problems, scores are moved and scaled
    around their mean so that the mean over all problems is the mean of the types', and its variance the sum of theirs.
    """
    code = scores[scores["group"].isin(CODE)]
    keys = [name for name in scores if name not in ("problem", "value", "n", "group")]
    weights = {group: 1 / max(code["group"].nunique(), 1) for group in CODE}
    together = combined(code, keys, weights).assign(group=ALL)
    return pd.concat([scores, together], ignore_index=True)


def combined(scores: pd.DataFrame, keys: Sequence[str], weights: dict[str, float]) -> pd.DataFrame:
    """Scores whose mean over problems is a weighted sum of the means of groups.

    Args:
        scores: columns ``keys``, group, problem, value; the same problems for all keys.
        keys: columns that tell the measured models apart.
        weights: by group; 1 and -1 for a difference of two groups.

    Returns:
        The same rows with other values, and problems named ``group/problem``.
    """
    keys = list(keys)
    by_group = scores.groupby([*keys, "group"])["value"]
    means = by_group.transform("mean")
    sizes = by_group.transform("size")
    total = scores.groupby(keys)["value"].transform("size")
    weight = scores["group"].map(weights)
    # Each row carries its share of the weighted sum: over a group these shares add up to weight * mean.
    whole = (weight * means / sizes).groupby([scores[key] for key in keys]).transform("sum")
    value = whole + weight * total / sizes * (scores["value"] - means)
    return scores.assign(problem=scores["group"] + "/" + scores["problem"].astype(str), value=value)


def at_end(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of the last step of each model and method."""
    return frame[frame["step"] == frame.groupby(["model", "method"])["step"].transform("max")]


def from_start(frame: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Differences from the base with a row of zeros at step 0, where every arm is the base; sorted by step."""
    arms = frame[(frame["method"] != BASE) & (frame["step"] > 0)]
    start = arms.drop_duplicates(["model", "method", *by])
    start = start.assign(**dict.fromkeys(["step", "estimate", "low", "high", "se"], 0))
    whole = pd.concat([start, arms, frame[frame["method"] == BASE]])
    return whole.sort_values(["model", "method", *by, "step"], ignore_index=True)


def means(scores: pd.DataFrame, by: Sequence[str] = ()) -> pd.DataFrame:
    """Mean of each method with its interval over seeds and problems, or over seeds where there are no problems.

    Returns:
        model, method, [step], ``by``, estimate, low, high, se, df, seeds, problems.
    """
    found = [mean_interval(own, at["method"], by=list(by)).assign(**at) for at, own in _measured(scores)]
    return _ordered(found, by)


def differences(scores: pd.DataFrame, reference: str = BASE, by: Sequence[str] = ()) -> pd.DataFrame:
    """Every method minus ``reference``, paired, at each measured step.

    Args:
        scores: model, method, seed, [step], [problem], value and the columns of ``by``.
        reference: the base, which is taken as it is before training (seed 0), or an arm at the same step.
        by: one row a group of these columns; groups that only one of the two has are left out.

    Returns:
        model, method, reference, [step], ``by``, estimate, low, high, se, df, seeds, problems. With the base as
        reference its other seeds are a method, too: "base" minus "base".
    """
    by, found = list(by), []
    for at, own in _measured(scores):
        control = scores[(scores["model"] == at["model"]) & (scores["method"] == reference)]
        if reference == BASE:
            pair = own if at["method"] == BASE else pd.concat([own, control])
            enough = len(control) and (at["method"] != BASE or own["seed"].nunique() > 1)
        else:
            control = control[control["step"] == at["step"]] if "step" in at else control
            seeds = set(own["seed"]) & set(control["seed"])
            pair = pd.concat([own, control])
            pair = pair[pair["seed"].isin(seeds)]
            enough = at["method"] not in (BASE, reference) and seeds
        if by and enough:
            both = own[by].drop_duplicates().merge(control[by].drop_duplicates())
            pair, enough = pair.merge(both), len(both)
        if enough:
            seed = 0 if reference == BASE else None
            rows = paired_difference(pair, at["method"], reference, by=by, reference_seed=seed)
            found.append(rows.assign(reference=reference, **at))
    return _ordered(found, by)


def _measured(scores: pd.DataFrame) -> Iterator[tuple[dict[str, object], pd.DataFrame]]:
    keys = ["model", "method", *(["step"] if "step" in scores else [])]
    for key, own in scores.groupby(keys, sort=False):
        yield dict(zip(keys, key, strict=True)), own


def _ordered(found: Sequence[pd.DataFrame], by: Sequence[str]) -> pd.DataFrame:
    first = ["model", "method", "reference", "step", *by]
    rest = ["estimate", "low", "high", "se", "df", "seeds", "problems"]
    if not found:
        return pd.DataFrame(columns=[*first, *rest])
    frame = pd.concat(found, ignore_index=True)
    return frame[[name for name in [*first, *rest] if name in frame]]
