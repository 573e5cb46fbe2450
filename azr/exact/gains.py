"""pass@k at any k from exact tables: between which values it lies, and what a run gains over the base.

    exact_gains(exact, 10_000, np.random.default_rng(0))    # exact: the columns of ``COLUMNS``

Two kinds of not knowing are kept apart: what enumeration left unexplored (a range that is certain), and other problems
and seeds (an interval at 95 %). For where the range is wide, ``with_counts`` adds what sampling says. Left out: the
curves over k (``azr.figures.leash``).
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


def pass_at_k_bounds(table: pd.DataFrame, k: float) -> dict[str, dict[str, np.ndarray]]:
    """Certified bounds on pass@k, by ``log_lower`` and ``log_upper`` and by method, each [seeds, problems].

    ``table`` is as for ``problem_matrices``.
    """
    return {
        column: {method: exact_pass_at_k(log_p, k) for method, log_p in problem_matrices(table, column).items()}
        for column in ("log_lower", "log_upper")
    }


def with_counts(exact: pd.DataFrame, counts: pd.DataFrame) -> pd.DataFrame:
    """Add the samples n and c, and ``log_estimate``: c / n, moved to the nearer bound where it lies outside the two.

    Args:
        exact: ``COLUMNS``.
        counts: method, seed, task_type, problem, n, c, of at least the same problems.

    Returns:
        ``exact`` with these columns. Where the bounds are close the estimate of p has no sampling noise, elsewhere that
        of c / n; with c = 0 it is the lower bound. It estimates p and not pass@k, where it would be biased low.
    """
    keys = list(COLUMNS[:4])
    merged = exact.merge(counts[[*keys, "n", "c"]], on=keys, how="left", validate="one_to_one")
    if merged["n"].isna().any():
        row = merged[merged["n"].isna()].iloc[0]
        raise ValueError(
            f"{row['method']} seed {row['seed']} has no samples of {row['problem']}; measure it by sampling."
        )
    with np.errstate(divide="ignore"):
        estimate = np.log(merged["c"] / merged["n"]).clip(merged["log_lower"], merged["log_upper"])
    return exact.assign(n=merged["n"].to_numpy(int), c=merged["c"].to_numpy(int), log_estimate=estimate.to_numpy())


def exact_gains(exact: pd.DataFrame, k: float, rng: np.random.Generator, *, reference: str = "base") -> pd.DataFrame:
    """The certified range of the mean paired difference of pass@k from the reference, by task type and method.

    Args:
        exact: one row a method, seed and problem, ``COLUMNS``; the tables that ``azr evaluate --exact`` writes.
        k: samples allowed, at least 1.
        rng: source of the bootstrap over problems, where there is one seed.
        reference: the method to subtract: its mean over seeds, problem by problem.

    Returns:
        One row a task type and method: task_type, method, k; the difference on these runs and problems lies between
        ``pessimistic`` (the method's lower, the reference's upper bounds) and ``optimistic`` (the reverse); ``low`` and
        ``high``, the outer ends of the two's 95 % intervals over seeds and problems; the mean bounds
        ``reference_lower``, ``reference_upper``, ``value_lower``, ``value_upper``; seeds, problems.
    """
    rows = []
    for task_type, table in exact.groupby("task_type", sort=False):
        scores = pass_at_k_bounds(table, k)
        base = {column: of_method[reference].mean(axis=0) for column, of_method in scores.items()}
        for method, values in scores["log_lower"].items():
            if method == reference:
                continue
            worst, best = (
                paired_seed_interval(scores[own][method], base[other], rng)
                for own, other in (("log_lower", "log_upper"), ("log_upper", "log_lower"))
            )
            seeds, problems = values.shape
            rows.append(
                {"task_type": task_type, "method": method, "k": k}
                | {"pessimistic": worst.estimate, "optimistic": best.estimate, "low": worst.low, "high": best.high}
                | {"reference_lower": base["log_lower"].mean(), "reference_upper": base["log_upper"].mean()}
                | {f"value_{end}": scores[f"log_{end}"][method].mean() for end in ("lower", "upper")}
                | {"seeds": seeds, "problems": problems}
            )
    return pd.DataFrame(rows)
