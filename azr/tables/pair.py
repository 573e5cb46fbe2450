"""Two measured models against each other, whatever they are: what ``azr compare`` prints.

    compare_counts(counts_of(Path("base.csv")), counts_of(run))

Left out: seeds; one run says nothing about the next (``azr.tables.compare`` pairs by seed, too).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from azr.errors import UserError
from azr.metrics import pass_at_k, t_interval
from azr.runs import Run


def counts_of(source: Run | Path) -> pd.DataFrame:
    """What was measured on test problems: of a run (or its folder) at its last step, or a table of ``azr evaluate``."""
    if isinstance(source, Path) and not source.is_dir():
        return pd.read_csv(source) if source.suffix == ".csv" else pd.read_parquet(source)
    frame = (source if isinstance(source, Run) else Run(source)).measure("test")
    return frame[frame["step"] == frame["step"].max()]


def compare_counts(first: pd.DataFrame, second: pd.DataFrame, ks: Sequence[int] = ()) -> pd.DataFrame:
    """pass@k of ``second`` minus ``first``, paired by problem.

    Args:
        first: set, group, problem, n, c.
        second: the same; problems that only one of the two has are left out.
        ks: 1 and half the samples where it is empty.

    Returns:
        set, group, k, problems, first, second, difference, low, high (95 %, over problems). Raises UserError where the
        two have no problem in common, or fewer than k samples of one.
    """
    on = ["set", "group", "problem"]
    both = first.merge(second, on=on, suffixes=("_first", "_second"))
    if both.empty:
        raise UserError("The two were measured on different problems: evaluate both on the same set.")
    rows = []
    for (name, group), own in both.groupby(["set", "group"], sort=False):
        least = int(own[["n_first", "n_second"]].min(axis=None))
        for k in ks or sorted({1, max(least // 2, 1)}):
            if k > least:
                raise UserError(
                    f"pass@{k} needs {k} samples of a problem, and {name} has {least}: ask for a smaller k."
                )
            one, other = (pass_at_k(own[f"n_{side}"], own[f"c_{side}"], k) for side in ("first", "second"))
            found = t_interval(other - one)
            numbers = {"first": one.mean(), "second": other.mean(), "difference": found.estimate}
            about = {"set": name, "group": group, "k": k, "problems": len(own)}
            rows.append(about | numbers | {"low": found.low, "high": found.high})
    return pd.DataFrame(rows)
