"""pass@k at any k from exact tables: between which values it lies, and what a run gains over the base.

    exact_gains(exact, 10_000, np.random.default_rng(0))    # exact: the columns of ``COLUMNS``

Two kinds of not knowing are kept apart: what enumeration left unexplored (a range that is certain), and other problems
and seeds (an interval at 95 %). Left out: the curves over k (``azr.figures.leash``).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from azr.metrics.passk import exact_pass_at_k
from azr.metrics.stats import paired_seed_interval

COLUMNS = ("method", "seed", "task_type", "problem", "log_lower", "log_upper")


def problem_matrices(table: pd.DataFrame, column: str) -> dict[str, np.ndarray]:
    """Values of ``column`` by method, each [seeds, problems], both in increasing order.

    ``table`` holds one task type. Raises ValueError where methods or seeds do not have the same problems.
    """
    problems = sorted(table["problem"].unique())
    matrices = {}
    for method, rows in table.groupby("method", sort=False):
        values = rows.pivot(index="seed", columns="problem", values=column).reindex(columns=problems)
        if values.isna().any(axis=None):
            raise ValueError(
                f"{method} was not measured on the same {table['task_type'].iloc[0]} problems as the others; "
                "measure all with the same settings."
            )
        matrices[str(method)] = values.to_numpy()
    return matrices


def exact_gains(exact: pd.DataFrame, k: float, rng: np.random.Generator, *, reference: str = "base") -> pd.DataFrame:
    """Mean paired difference of pass@k from the reference by task type and method.

    Args:
        exact: one row a method, seed and problem, ``COLUMNS``; the tables that ``azr evaluate --exact`` writes.
        k: samples allowed, at least 1.
        rng: source of the bootstrap over problems, where there is one seed.
        reference: the method to subtract: its mean over seeds, problem by problem.

    Returns:
        One row a task type and method: task_type, method, k, ``reference`` and ``value`` (mean pass@k by the lower
        bounds), ``reference_upper`` and ``value_upper`` (by the upper bounds), ``difference`` (of the lower bounds)
        with its interval ``low`` and ``high`` over seeds and problems, and the certified range of the difference on
        these runs and problems: ``pessimistic`` (the method's lower, the reference's upper bounds, with the interval's
        lower end ``pessimistic_low``) and ``optimistic`` (``optimistic_high``); seeds, problems.
    """
    rows = []
    for task_type, table in exact.groupby("task_type", sort=False):
        lower, upper = (
            {m: exact_pass_at_k(v, k) for m, v in problem_matrices(table, column).items()}
            for column in ("log_lower", "log_upper")
        )
        base_lower, base_upper = lower[reference].mean(axis=0), upper[reference].mean(axis=0)
        for method in lower:
            if method == reference:
                continue
            plain, worst, best = (
                paired_seed_interval(values, control, rng)
                for values, control in (
                    (lower[method], base_lower),
                    (lower[method], base_upper),
                    (upper[method], base_lower),
                )
            )
            seeds, problems = lower[method].shape
            rows.append(
                {
                    "task_type": task_type,
                    "method": method,
                    "k": k,
                    "reference": base_lower.mean(),
                    "reference_upper": base_upper.mean(),
                    "value": lower[method].mean(),
                    "value_upper": upper[method].mean(),
                    "difference": plain.estimate,
                    "low": plain.low,
                    "high": plain.high,
                    "pessimistic": worst.estimate,
                    "pessimistic_low": worst.low,
                    "optimistic": best.estimate,
                    "optimistic_high": best.high,
                    "seeds": seeds,
                    "problems": problems,
                }
            )
    return pd.DataFrame(rows)
