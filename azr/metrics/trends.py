"""RQ2: the rank correlation of something with the training step.

>>> spearman([1, 2, 3, 4], [1, 8, 9, 100])
1.0

It is judged over seeds, with one number a run (``azr.tables.curriculum``); of a single run, ``bootstrap_interval`` with
the steps as clusters. Left out: models of the trend. A rank correlation says whether later means harder, not by how
much.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def spearman(x: ArrayLike, y: ArrayLike, within: ArrayLike | None = None) -> float:
    """Spearman's rank correlation, ties by mean rank; optionally within groups.

    Args:
        x: [N].
        y: [N].
        within: [N] labels (statement counts, say). Ranks are then taken inside each group, centred and divided by the
            group's size, so that differences between groups cannot make a correlation.

    Returns:
        rho in [-1, 1]; NaN if x or y does not vary within any group.
    """
    from scipy.stats import rankdata

    table = np.column_stack([x, y]).astype(float)
    if np.isnan(table).any():
        raise ValueError("x or y holds NaN; leave out the observations that were not measured.")
    labels = np.zeros(len(table)) if within is None else np.asarray(within)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        table[rows] = (rankdata(table[rows], axis=0) - (len(rows) + 1) / 2) / len(rows)
    products = table.T @ table
    scale = np.sqrt(products[0, 0] * products[1, 1])
    return float(np.clip(products[0, 1] / scale, -1, 1)) if scale > 0 else float("nan")
