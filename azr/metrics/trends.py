"""Trends over training when observations come in clusters (RQ2): bootstrap by cluster, Spearman's rho with an interval.

Problems proposed in one step share a policy and its references, so they are resampled together, step by step.

>>> rng = np.random.default_rng(0)
>>> step = np.repeat(np.arange(40), 20)
>>> solved = 0.6 - 0.005 * step + rng.normal(0, 0.1, 800)
>>> spearman_interval(step, solved, rng, clusters=step).high < 0
True

Left out: models of the trend. A rank correlation says whether later means harder, not by how much.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from azr.metrics.stats import NUM_DRAWS, Interval, percentile_interval


def cluster_interval(
    values: ArrayLike,
    clusters: ArrayLike,
    rng: np.random.Generator,
    *,
    statistic: Callable[[np.ndarray], float] = np.mean,
    num_draws: int = NUM_DRAWS,
    level: float = 0.95,
) -> Interval:
    """Percentile bootstrap of a statistic that resamples whole clusters.

    Args:
        values: [N] or [N, ...], observations along the first axis.
        clusters: [N] labels, for instance the training step at which a problem was proposed; at least two distinct.
        rng: source of the draws.
        statistic: function of the chosen observations, [any number, ...], to a number.
        num_draws: bootstrap draws.
        level: coverage; with fewer than about 20 clusters the interval is too narrow.

    Returns:
        Interval. Draws on which the statistic is NaN are left out.

    >>> interval = cluster_interval([0.0, 0.0, 1.0, 1.0], [1, 1, 2, 2], np.random.default_rng(0))
    >>> interval.estimate, interval.low, interval.high
    (0.5, 0.0, 1.0)
    """
    values, labels = np.asarray(values), np.asarray(clusters)
    if labels.shape != values.shape[:1]:
        raise ValueError(
            f"clusters has shape {labels.shape}; it needs one label for each of {len(values)} observations."
        )
    _, owner = np.unique(labels, return_inverse=True)
    order = np.argsort(owner, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(owner))[:-1]) if owner.size else []
    if len(members) < 2:
        raise ValueError("A cluster bootstrap needs at least two clusters.")
    estimate = float(statistic(values))
    draws = np.empty(num_draws)
    for i in range(num_draws):
        chosen = np.concatenate([members[j] for j in rng.integers(len(members), size=len(members))])
        draws[i] = statistic(values[chosen])
    return percentile_interval(estimate, draws, level)


def spearman(x: ArrayLike, y: ArrayLike, within: ArrayLike | None = None) -> float:
    """Spearman's rank correlation, ties by mean rank; optionally within groups.

    Args:
        x: [N].
        y: [N].
        within: [N] labels (statement counts, say). Ranks are then taken inside each group, centred and divided by the
            group's size, so that differences between groups cannot make a correlation.

    Returns:
        rho in [-1, 1]; NaN if x or y does not vary.

    >>> round(spearman([1, 2, 3, 4], [1, 8, 9, 100]), 6)
    1.0
    """
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if x.shape != y.shape or x.ndim != 1:
        raise ValueError(f"x and y must be lists of the same length; got shapes {x.shape} and {y.shape}.")
    if np.isnan(x).any() or np.isnan(y).any():
        raise ValueError("x or y holds NaN; leave out the observations that were not measured.")
    labels = np.zeros(x.size) if within is None else np.asarray(within)
    a, b = _centred_ranks(x, labels), _centred_ranks(y, labels)
    scale = np.sqrt((a @ a) * (b @ b))
    return float(np.clip(a @ b / scale, -1, 1)) if scale > 0 else float("nan")


def spearman_interval(
    x: ArrayLike,
    y: ArrayLike,
    rng: np.random.Generator,
    *,
    clusters: ArrayLike | None = None,
    within: ArrayLike | None = None,
    num_draws: int = NUM_DRAWS,
    level: float = 0.95,
) -> Interval:
    """Spearman's rho with a percentile bootstrap interval that resamples clusters.

    Args:
        x: [N], for instance the step of origin.
        y: [N], for instance the solve rate of a fixed solver.
        rng: source of the draws.
        clusters: [N] labels resampled together; None if the observations are independent.
        within: [N] labels inside which ranks are taken, as in ``spearman``.
        num_draws: bootstrap draws.
        level: coverage.

    Returns:
        Interval of rho.

    >>> spearman_interval([1, 2, 3], [3, 2, 1], np.random.default_rng(0)).estimate
    -1.0
    """
    spearman(x, y)  # says what is wrong with x and y, if anything is
    _, groups = np.unique(np.zeros(len(x)) if within is None else np.asarray(within), return_inverse=True)
    table = np.column_stack([x, y, groups])
    return cluster_interval(
        table,
        np.arange(len(table)) if clusters is None else clusters,
        rng,
        statistic=lambda rows: spearman(rows[:, 0], rows[:, 1], rows[:, 2]),
        num_draws=num_draws,
        level=level,
    )


def _centred_ranks(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Mean ranks inside each label, centred and divided by the label's size; one sort, since a bootstrap calls it."""
    order = np.lexsort((values, labels))
    opens_group, opens_tie = np.ones(values.size, dtype=bool), np.ones(values.size, dtype=bool)
    opens_group[1:] = labels[order][1:] != labels[order][:-1]
    opens_tie[1:] = opens_group[1:] | (values[order][1:] != values[order][:-1])
    group, tie, place = np.cumsum(opens_group) - 1, np.cumsum(opens_tie) - 1, np.arange(values.size)
    sizes = np.bincount(group)
    mean_of_tie, mean_of_group = np.bincount(tie, place) / np.bincount(tie), np.bincount(group, place) / sizes
    ranks = np.empty(values.size)
    ranks[order] = (mean_of_tie[tie] - mean_of_group[group]) / sizes[group]
    return ranks
