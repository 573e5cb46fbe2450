"""pass@k at any k from exact tables: between which values it lies, and what a run gains over the base.

    exact_gains(exact, 10_000, np.random.default_rng(0))    # exact: the columns of ``COLUMNS``

Two kinds of not knowing are kept apart: what enumeration left unexplored (a range that is certain), and other problems
and seeds (an interval at 95 %). Where the range is wide, ``with_counts`` adds what sampling says. Left out: the curves
over k (``azr.figures.leash``).
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


def with_counts(exact: pd.DataFrame, counts: pd.DataFrame) -> pd.DataFrame:
    """Add ``log_estimate``: the sampled frequency c / n, moved to the nearer bound where it lies outside the two.

    Args:
        exact: ``COLUMNS``.
        counts: method, seed, task_type, problem, n, c, of at least the same problems.

    Returns:
        ``exact`` with that column. Where the bounds are close it has no sampling noise, elsewhere that of c / n; with
        c = 0 it is the lower bound.
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
    return exact.assign(log_estimate=estimate.to_numpy())


def exact_gains(
    exact: pd.DataFrame, k: float, rng: np.random.Generator, *, reference: str = "base", by: str = "log_lower"
) -> pd.DataFrame:
    """Mean paired difference of pass@k from the reference by task type and method.

    Args:
        exact: one row a method, seed and problem, ``COLUMNS``; the tables that ``azr evaluate --exact`` writes.
        k: samples allowed, at least 1.
        rng: source of the bootstrap over problems, where there is one seed.
        reference: the method to subtract: its mean over seeds, problem by problem.
        by: what stands for the truth in ``reference``, ``value`` and ``difference``: log_lower or log_estimate.

    Returns:
        One row a task type and method: task_type, method, k, by, ``reference`` and ``value`` (mean pass@k),
        ``difference`` with its interval ``low`` and ``high`` over seeds and problems, and the certified range of the
        difference on these runs and problems: ``pessimistic`` (the method's lower, the reference's upper bounds, with
        the interval's lower end ``pessimistic_low``) and ``optimistic`` (the reverse, ``optimistic_high``); the mean
        bounds ``reference_lower``, ``reference_upper``, ``value_lower``, ``value_upper``; seeds, problems.
    """
    rows = []
    for task_type, table in exact.groupby("task_type", sort=False):
        scores = {
            column: {m: exact_pass_at_k(v, k) for m, v in problem_matrices(table, column).items()}
            for column in {by, "log_lower", "log_upper"}
        }
        base = {column: of_method[reference].mean(axis=0) for column, of_method in scores.items()}
        for method in scores[by]:
            if method == reference:
                continue
            plain, worst, best = (
                paired_seed_interval(scores[own][method], base[other], rng)
                for own, other in ((by, by), ("log_lower", "log_upper"), ("log_upper", "log_lower"))
            )
            seeds, problems = scores[by][method].shape
            rows.append(
                {"task_type": task_type, "method": method, "k": k, "by": by}
                | {"reference": base[by].mean(), "value": scores[by][method].mean()}
                | {"difference": plain.estimate, "low": plain.low, "high": plain.high}
                | {"pessimistic": worst.estimate, "pessimistic_low": worst.low}
                | {"optimistic": best.estimate, "optimistic_high": best.high}
                | {"reference_lower": base["log_lower"].mean(), "reference_upper": base["log_upper"].mean()}
                | {f"value_{end}": scores[f"log_{end}"][method].mean() for end in ("lower", "upper")}
                | {"seeds": seeds, "problems": problems}
            )
    return pd.DataFrame(rows)
