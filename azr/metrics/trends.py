"""RQ2: rank correlations over training, one a run.

>>> spearman([1, 2, 3, 4], [1, 8, 9, 100])
1.0

A statistic over steps is judged over seeds: ``rank_trends`` has one number a run; of a single run,
``bootstrap_interval`` with the steps as clusters. Left out: models of the trend. A rank correlation says whether later
means harder, not by how much.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    import pandas as pd


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


def rank_trends(
    frame: pd.DataFrame, x: str, y: str, within: str | None = None, by: Sequence[str] = ("method", "seed")
) -> pd.DataFrame:
    """Spearman's rho of two columns in each run.

    Args:
        frame: one row an observation, with the columns named by the other arguments; rows with NaN in x or y are left
            out.
        x: for instance ``step``, the step of origin.
        y: for instance ``solve_rate``, that of a fixed solver.
        within: a column inside whose values ranks are taken, as in ``spearman``.
        by: columns whose values make a run.

    Returns:
        One row a run: the columns of ``by``, value (rho) and n (observations); no rows of runs without a rho.
    """
    import pandas as pd

    rows = []
    for key, run in frame.dropna(subset=[x, y]).groupby(list(by), sort=False):
        rho = spearman(run[x], run[y], run[within] if within else None)
        rows.append((*key, rho, len(run)))
    return pd.DataFrame(rows, columns=[*by, "value", "n"]).dropna(subset=["value"])
