"""RQ2: do later proposals get harder? Trends of a run's proposals, as one fixed solver finds them.

    table = pd.read_csv("runs/laptop/nano/selfplay-seed0/curriculum.csv").assign(method="selfplay", seed=0)
    trends = curriculum_trends(table)
    save(plot_curriculum(curriculum_frame(table, trends)), "curriculum", frame, "figures")

Left out: measuring (``azr.curriculum``), and the verdicts on the claims.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from azr.figures.style import METHOD_COLORS, known_first, require_columns
from azr.metrics.stats import t_interval
from azr.metrics.trends import spearman, spearman_interval

COLUMNS = ("method", "seed", "step", "statements", "operators", "novelty", "n", "c", "length", "truncated")
"""What is read of the table of problems: one row a problem of origin ``step``, of whose ``n`` responses ``c`` are
right; ``length`` is their mean in tokens and ``truncated`` the share that was cut off."""


def curriculum_trends(
    table: pd.DataFrame, rng: np.random.Generator | None = None, *, num_draws: int = 1000
) -> pd.DataFrame:
    """Spearman's rho of each trend that RQ2 is about, one row a method and statistic.

    Args:
        table: problems with ``COLUMNS``, of any methods and seeds; ``Study.table("curriculum", arms, base=False)``.
        rng: source of the bootstrap; None for a fixed one.
        num_draws: bootstrap draws.

    Returns:
        Columns method, statistic, estimate, low, high, se, tasks, seeds, then low_over_seeds and high_over_seeds.
        Statistics: ``rho_step_solve_rate`` (C4, C11), ``rho_step_length`` (C5), ``rho_solve_rate_length`` and
        ``rho_solve_rate_length_within_statements`` (C6), ``rho_solve_rate_length_uncut`` (C6 over problems none of
        whose responses was cut off, within statement count), ``rho_step_solve_rate_within_statements``,
        ``rho_step_statements``, ``rho_step_operators`` and ``rho_step_novelty``.

        Seeds are pooled: ranks are taken within each seed, so that a difference between runs makes no trend, and
        within seed and statement count where the name says so (``azr.metrics.trends.spearman`` with ``within``).
        low, high, se: 95 % percentile bootstrap that resamples pairs of seed and step; they say what other problems
        of these runs would give. The last two columns are a 95 % t-interval over the seeds' own rhos, which says what
        other runs would give; NaN for one seed. A rho is NaN where one of the two does not vary.
    """
    require_columns(table, COLUMNS)
    rng = rng or np.random.default_rng(0)
    rows = []
    for method in known_first(table["method"], METHOD_COLORS):
        own = table[table["method"] == method].assign(solve_rate=lambda t: t["c"] / t["n"])
        for statistic, (x, y, strata, uncut) in _STATISTICS.items():
            problems = own[own["truncated"] == 0] if uncut else own
            problems = problems.dropna(subset=[x, y])
            rows.append({"method": method, "statistic": statistic} | _trend(problems, x, y, strata, rng, num_draws))
    return pd.DataFrame(rows)


_STATISTICS: dict[str, tuple[str, str, bool, bool]] = {
    "rho_step_solve_rate": ("step", "solve_rate", False, False),
    "rho_step_length": ("step", "length", False, False),
    "rho_solve_rate_length": ("solve_rate", "length", False, False),
    "rho_solve_rate_length_within_statements": ("solve_rate", "length", True, False),
    "rho_solve_rate_length_uncut": ("solve_rate", "length", True, True),
    "rho_step_solve_rate_within_statements": ("step", "solve_rate", True, False),
    "rho_step_statements": ("step", "statements", False, False),
    "rho_step_operators": ("step", "operators", False, False),
    "rho_step_novelty": ("step", "novelty", False, False),
}
"""By name: the two quantities, whether ranks are taken within statement count, whether cut-off problems are out."""


def _trend(
    problems: pd.DataFrame, x: str, y: str, strata: bool, rng: np.random.Generator, num_draws: int
) -> dict[str, float]:
    """Pooled rho with its interval over steps and over seeds."""
    size = {"tasks": len(problems), "seeds": problems["seed"].nunique()}
    within = _codes(problems, ["seed", "statements"] if strata else ["seed"])
    clusters = _codes(problems, ["seed", "step"])
    if len(set(clusters)) < 2:
        empty = dict.fromkeys(("estimate", "low", "high", "se", "low_over_seeds", "high_over_seeds"), np.nan)
        return empty | size
    pooled = spearman_interval(problems[x], problems[y], rng, clusters=clusters, within=within, num_draws=num_draws)
    of_seeds = t_interval(
        [spearman(own[x], own[y], own["statements"] if strata else None) for _, own in problems.groupby("seed")]
    )
    ends = {"estimate": pooled.estimate, "low": pooled.low, "high": pooled.high, "se": pooled.se}
    return ends | size | {"low_over_seeds": of_seeds.low, "high_over_seeds": of_seeds.high}


def _codes(problems: pd.DataFrame, columns: list[str]) -> np.ndarray:
    """One integer for each combination of the columns' values."""
    return problems.groupby(columns, sort=True).ngroup().to_numpy()
