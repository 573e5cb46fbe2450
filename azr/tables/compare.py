"""What every question needs: scores of problems, their means, and paired differences between two methods.

    scores = score(frames["test"], "pass@1")
    differences(scores, "base", by=["group"])     # one row a model, method, step and group

Scores are tidy: model, method, seed, step, group, problem, value. A difference is paired by problem and by seed; the
base has no training seed, so its seed 0 stands against every seed, and its other seeds are themselves compared with
seed 0: what an untrained model gets. Left out: how an interval is computed (``azr.metrics.stats``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pandas as pd

from azr.metrics import crossed_interval, pass_at_k, t_interval
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
    return _intervals(scores, by, lambda own, at, wide: own)


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

    def minus(own: pd.DataFrame, at: tuple, wide: pd.DataFrame) -> pd.DataFrame:
        if reference == BASE:
            own = own.drop(index=0) if at[0] == BASE else own
            return own - wide.loc[BASE].droplevel(list(range(len(at) - 1))).loc[0]
        control_at = (reference, *at[1:])
        if at[0] in (BASE, reference) or control_at not in {key[:-1] for key in wide.index}:
            return own.head(0)
        control = wide.loc[control_at]
        seeds = own.index.intersection(control.index)
        return own.loc[seeds] - control.loc[seeds]

    found = _intervals(scores[scores["model"].isin(_models_with(scores, reference))], by, minus)
    found.insert(2, "reference", reference)
    return found


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


def _models_with(scores: pd.DataFrame, method: str) -> set[str]:
    return set(scores.loc[scores["method"] == method, "model"])


def _intervals(
    scores: pd.DataFrame, by: Sequence[str], take: Callable[[pd.DataFrame, tuple, pd.DataFrame], pd.DataFrame]
) -> pd.DataFrame:
    """Rows of intervals from one table a model: (method, [step], seed) by (``by``, problem).

    ``take`` makes of a method's rows [seed], its key and the whole table what is averaged; columns without a number
    are left out. One table for all, since a pivot takes longer than all the arithmetic.
    """
    by, with_problems = list(by), "problem" in scores
    keys = ["method", *(["step"] if "step" in scores else [])]
    rows = []
    for model, own in scores.groupby("model", sort=False):
        own = own if with_problems else own.assign(problem=0)
        wide = own.pivot(index=[*keys, "seed"], columns=[*by, "problem"], values="value")
        labels = wide.columns.to_frame(index=False)
        groups = labels.groupby(by, sort=False).indices if by else {(): range(len(labels))}
        order = [tuple(key) for key in own[by].drop_duplicates().to_numpy(object)] if by else [()]
        for at in own[keys].drop_duplicates().itertuples(index=False, name=None):
            block = take(wide.loc[at], at, wide).to_numpy(dtype=float)
            for group in order:
                values = block[:, groups[group if len(by) != 1 else group[0]]]
                values = values[:, ~np.isnan(values).all(axis=0)] if len(values) else values
                if not values.size:
                    continue
                interval = crossed_interval(values) if with_problems else t_interval(values)
                size = {"seeds": len(values), "problems": values.shape[1] if with_problems else 0}
                about = dict(zip(["model", *keys, *by], [model, *at, *group], strict=True))
                rows.append(about | vars(interval) | size)
    numbers = dict.fromkeys(["estimate", "low", "high", "se", "df"], float) | {"seeds": int, "problems": int}
    return pd.DataFrame(rows, columns=["model", *keys, *by, *numbers]).astype(numbers)
