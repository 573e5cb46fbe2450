"""What every question needs: scores of problems, their means, and paired differences between two methods.

    scores = score(frames["test"], "pass@1")
    differences(scores, "base", by=["group"])     # one row a model, method, step and group

Scores are tidy: model, method, seed, step, group, problem, value. A difference is paired by problem and by seed; the
base has no training seed, so its seed 0 stands against every seed, and its other seeds are themselves compared with
seed 0: what an untrained model gets. Left out: how an interval is computed (``azr.metrics.stats``).
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from azr.errors import UserError
from azr.metrics import crossed_interval, pass_at_k, ratio_interval, t_interval
from azr.runs import Run
from azr.tasks import TaskType

ALL = "all"
"""The group of the problems of all task types together."""
BASE = "base"
CODE = tuple(str(task_type) for task_type in TaskType)
_NUMBERS = dict.fromkeys(["estimate", "low", "high", "se", "df"], float) | {"seeds": int, "problems": int}
_NO_PROBLEM = ""
_KEYS = dict.fromkeys(["set", "group", "problem"], str)


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
    """The scores, and those of ``main_groups`` once more as one group, ``ALL``, in which each group weighs the same."""
    own = main_groups(scores)
    weights = dict.fromkeys(own["group"].unique(), 1 / max(own["group"].nunique(), 1))
    return pd.concat([scores, combined(own, weights).assign(group=ALL)], ignore_index=True)


def main_groups(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of the three task types, which self-play trains on; all, where other problems were measured alone."""
    code = frame[frame["group"].isin(CODE)]
    return code if len(code) else frame


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
    mean, size = by_group.transform("mean"), by_group.transform("size")
    weight = scores["group"].map(weights).astype(float)
    parts = scores[keys].assign(part=weight * mean / size)
    whole = parts.groupby(keys)["part"].transform("sum")
    value = whole + weight * by_model.transform("size") / size * (scores["value"] - mean)
    return scores.assign(problem=scores["group"] + "/" + scores["problem"].astype(str), value=value)


def at_end(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of the last step of each model and method."""
    return frame[frame["step"] == frame.groupby(["model", "method"])["step"].transform("max")]


def means(scores: pd.DataFrame, by: Sequence[str] = ()) -> pd.DataFrame:
    """Mean of each method, step and ``by``, with an interval over seeds and problems, or seeds where there are none."""
    rows = [at | interval_of(own) for at, own in _tables(scores, by)]
    return pd.DataFrame(rows, columns=[*_keys(scores, by), *_NUMBERS]).astype(_NUMBERS)


def differences(scores: pd.DataFrame, reference: str = BASE, by: Sequence[str] = ()) -> pd.DataFrame:
    """Every method minus ``reference``, paired, at each measured step.

    Args:
        scores: model, method, seed, [step], [problem], value and the columns of ``by``.
        reference: the base, which is taken as it is before training (seed 0), or an arm at the same step.
        by: one row a group of these columns; groups that only one of the two has are left out.

    Returns:
        model, method, reference, [step], ``by``, and an interval. With the base as reference its other seeds are a
        method, too: "base" minus "base".
    """
    rows = [at | interval_of(own - control) for at, own, control in pairs(scores, reference, by)]
    found = pd.DataFrame(rows, columns=[*_keys(scores, by), *_NUMBERS]).astype(_NUMBERS)
    found.insert(2, "reference", reference)
    return found


def pairs(
    scores: pd.DataFrame, reference: str = BASE, by: Sequence[str] = ()
) -> Iterator[tuple[dict[str, object], pd.DataFrame, pd.DataFrame]]:
    """What ``differences`` subtracts: model, method, [step] and ``by`` of a method; its scores and the reference's.

    Both are tables [seeds, problems] of the same seeds and problems; the base's seed 0 is repeated for every seed.
    """
    tables = {tuple(at.values()): own for at, own in _tables(scores, by)}
    for key, own in tables.items():
        at = dict(zip(_keys(scores, by), key, strict=True))
        there = at | {"method": reference} | ({"step": 0} if reference == BASE else {})
        if tuple(there.values()) not in tables or (reference != BASE and at["method"] in (BASE, reference)):
            continue
        control = tables[tuple(there.values())]
        if reference == BASE:
            own = own.drop(index=0) if at["method"] == BASE else own
            control = control.loc[[0] * len(own)].set_axis(own.index)
        own, control = own.align(control, join="inner")
        if own.size:
            yield at, own, control


def interval_of(values: pd.DataFrame) -> dict[str, float]:
    """Mean of a table [seeds, problems] as numbers by name: estimate, low, high, se, df, seeds, problems."""
    problems = 0 if list(values) == [_NO_PROBLEM] else values.shape[1]
    interval = crossed_interval(values) if problems else t_interval(values)
    return vars(interval) | {"seeds": len(values), "problems": problems}


def changes(scores: pd.DataFrame, by: Sequence[str] = ()) -> pd.DataFrame:
    """Every method minus the base, paired, at each measured step, and as a share of the base; 0 at step 0.

    Returns:
        model, method, step, ``by``, reference, start (the base's own mean, seed 0), estimate, low, high, se, df, seeds,
        problems, and the share: relative, relative_low, relative_high, relative_se, relative_df. Rows of method "base"
        are what an untrained model gets; at step 0 every arm is the base. Empty where nothing is paired.
    """
    rows = []
    for at, own, control in pairs(scores, by=by):
        share = ratio_interval(own - control, control)
        relative = {f"relative_{name}": getattr(share, name) for name in ("low", "high", "se", "df")}
        about = {"reference": BASE, "start": control.to_numpy().mean(), "relative": share.estimate}
        rows.append(at | about | interval_of(own - control) | relative)
    frame = pd.DataFrame(rows, columns=None if rows else ["method", "step"])
    arms = frame[(frame["method"] != BASE) & (frame["step"] > 0)]
    moved = [name for name in frame if name in ("step", "estimate", "low", "high", "se") or "relative" in name]
    start = arms.drop_duplicates(["model", "method", *by]).assign(**dict.fromkeys(moved, 0)) if rows else arms
    return pd.concat([frame[frame["method"] == BASE], start, arms], ignore_index=True)


def counts_of(source: Run | str | Path) -> pd.DataFrame:
    """What was measured on test problems: of a run (or its folder) at its last step, or a table of ``azr evaluate``.

    Raises UserError where it is neither.
    """
    path = source.folder if isinstance(source, Run) else Path(source)
    if isinstance(source, Run) or path.is_dir():
        frame = Run(path).measure("test")
        return frame[frame["step"] == frame["step"].max()]
    try:
        frame = pd.read_csv(path, dtype=_KEYS) if path.suffix == ".csv" else pd.read_parquet(path)
        return frame.astype(_KEYS | {"n": int, "c": int})
    except (ValueError, KeyError, OSError):
        raise UserError(f"{path} is no table of azr evaluate --out: give one, or a run's folder.") from None


def compare_counts(first: pd.DataFrame, second: pd.DataFrame, ks: Sequence[int] = ()) -> pd.DataFrame:
    """pass@k of ``second`` minus ``first``, paired by problem; of two runs, so without a word about other seeds.

    Args:
        first: set, group, problem, n, c.
        second: the same; problems that only one of the two has are left out.
        ks: 1 and half the samples where it is empty.

    Returns:
        set, group, k, problems, first, second, difference, low, high (95 %, over problems). Raises UserError where the
        two have no problem in common, or fewer than k samples of one.
    """
    both = first.merge(second, on=["set", "group", "problem"], suffixes=("_first", "_second"))
    if both.empty:
        raise UserError("The two were measured on different problems: evaluate both on the same set.")
    least = int(both[["n_first", "n_second"]].min(axis=None))
    if max(ks, default=1) > least:
        raise UserError(f"pass@{max(ks)} needs that many samples a problem, and one has {least}: ask for a smaller k.")
    rows = []
    for k in ks or sorted({1, max(least // 2, 1)}):
        one, other = (pass_at_k(both[f"n_{side}"], both[f"c_{side}"], k) for side in ("first", "second"))
        for (name, group), own in both.assign(first=one, second=other).groupby(["set", "group"], sort=False):
            found = t_interval(own["second"] - own["first"])
            about = {"set": name, "group": group, "k": k, "problems": len(own)} | dict(own[["first", "second"]].mean())
            rows.append(about | {"difference": found.estimate, "low": found.low, "high": found.high})
    return pd.DataFrame(rows)


def _keys(scores: pd.DataFrame, by: Sequence[str]) -> list[str]:
    return ["model", "method", *(["step"] if "step" in scores else []), *by]


def _tables(scores: pd.DataFrame, by: Sequence[str]) -> Iterator[tuple[dict[str, object], pd.DataFrame]]:
    """The scores of each model, method, [step] and group of ``by`` as a table [seeds, problems].

    All are cut from one table, since a pivot takes longer than the arithmetic on it.
    """
    keys = _keys(scores, by)
    scores = scores if "problem" in scores else scores.assign(problem=_NO_PROBLEM)
    wide = scores.pivot(index=[*keys, "seed"], columns="problem", values="value")
    rows, seeds, values = wide.groupby(keys).indices, wide.index.get_level_values("seed"), wide.to_numpy(float)
    for key in scores[keys].drop_duplicates().itertuples(index=False, name=None):
        own = values[rows[key]]
        there = pd.notna(own).any(axis=0)
        yield dict(zip(keys, key, strict=True)), pd.DataFrame(own[:, there], seeds[rows[key]], wide.columns[there])
