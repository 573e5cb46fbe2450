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
        model, method, seed, step, group, problem, value, ``keep``. Where a problem's column is NaN it is left out.
    """
    if quantity.startswith("pass@"):
        k = int(quantity.removeprefix("pass@"))
        frame = frame[frame["n"] >= k]
        value = pass_at_k(frame["n"].to_numpy(), frame["c"].to_numpy(), k)
    else:
        value = frame[quantity]
    columns = ["model", "method", "seed", "step", "group", "problem", *keep]
    return frame[columns].assign(value=value).dropna(subset="value")


def with_all(scores: pd.DataFrame) -> pd.DataFrame:
    """The scores, and those of the task types once more as one group, ``ALL``, in which every type weighs the same."""
    code = scores[scores["group"].isin(CODE)]
    weights = dict.fromkeys(CODE, 1 / max(code["group"].nunique(), 1))
    return pd.concat([scores, combined(code, weights).assign(group=ALL)], ignore_index=True)


def combined(scores: pd.DataFrame, weights: dict[str, float]) -> pd.DataFrame:
    """Scores whose mean over all problems is a weighted sum of the means of groups.

    Args:
        scores: group, problem, value, and columns that tell the measured models apart.
        weights: by group; 1 and -1 for a difference of two groups.

    Returns:
        The same rows; problems are named ``group/problem``, and values moved to the sum and scaled around it, so that
        their variance over problems is that of the sum of groups, each a sample of its own.
    """
    keys = [name for name in scores if name not in ("group", "problem", "value")]
    by_group, by_model = scores.groupby([*keys, "group"])["value"], scores.groupby(keys)["value"]
    mean, size, weight = by_group.transform("mean"), by_group.transform("size"), scores["group"].map(weights)
    parts = scores[keys].assign(part=weight * mean / size)
    whole = parts.groupby(keys)["part"].transform("sum")
    value = whole + weight * by_model.transform("size") / size * (scores["value"] - mean)
    return scores.assign(problem=scores["group"] + "/" + scores["problem"].astype(str), value=value)


def at_end(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of the last step of each model and method."""
    return frame[frame["step"] == frame.groupby(["model", "method"])["step"].transform("max")]


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
            control = control[control["seed"] == 0]
        elif "step" in at:
            control = control[control["step"] == at["step"]]
        trained = own[own["seed"] != 0] if at["method"] == BASE else own[own["method"] != reference]
        shared = trained[["seed", *by]].merge(control[by if reference == BASE else ["seed", *by]].drop_duplicates())
        if at["method"] == BASE != reference or shared.empty:
            continue
        pair = pd.concat([trained, control])
        pair = pair.merge(shared[by].drop_duplicates()) if by else pair
        seed = 0 if reference == BASE else None
        rows = paired_difference(pair, at["method"], reference, by=by, reference_seed=seed)
        found.append(rows.assign(reference=reference, **at))
    return _ordered(found, by)


def against_base(
    scores: pd.DataFrame, by: Sequence[str] = ()
) -> Iterator[tuple[dict[str, object], pd.DataFrame, pd.Series]]:
    """Each measured model beside the base: its keys, its scores [seeds, problems], the base's (seed 0) [problems]."""
    by = ["model", *by]
    is_control = (scores["method"] == BASE) & (scores["seed"] == 0)
    controls = dict(list(scores[is_control].groupby(by)))
    keys = [*by, "method", "step"]
    for key, own in scores[~is_control].groupby(keys, sort=False):
        control = controls[key[: len(by)]].set_index("problem")["value"]
        after = own.pivot(index="seed", columns="problem", values="value")[control.index]
        yield dict(zip(keys, key, strict=True)), after, control


def from_start(frame: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Differences from the base with a row of zeros at step 0, where every arm is the base."""
    arms = frame[(frame["method"] != BASE) & (frame["step"] > 0)]
    zeros = dict.fromkeys(["step", "estimate", "low", "high", "se"], 0)
    start = arms.drop_duplicates(["model", "method", *by]).assign(**zeros)
    return pd.concat([frame[frame["method"] == BASE], start, arms], ignore_index=True)


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
