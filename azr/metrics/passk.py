"""pass@k: the chance that at least one of k samples solves a problem, and where two models' curves cross.

>>> pass_at_k([4, 4], [1, 0], k=2)
array([0.5, 0. ])

Left out: the plug-in 1 - (1 - c/n)^k, which is biased low exactly where curves of two models cross; means and intervals
over problems (``azr.metrics.stats``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from azr.metrics.stats import Interval

if TYPE_CHECKING:
    import pandas as pd


def pass_at_k(num_samples: ArrayLike, num_correct: ArrayLike, k: int) -> np.ndarray:
    """Unbiased estimate of pass@k, one value a problem: 1 - C(n - c, k) / C(n, k) (arXiv 2107.03374, eq. 1).

    Args:
        num_samples: n, integers [problems] or one integer for all of them.
        num_correct: c, integers [problems], 0 <= c <= n.
        k: samples allowed, 1 <= k <= n.

    Returns:
        Float array of the shape that n and c broadcast to, in [0, 1]; non-decreasing in k up to rounding.

    Raises:
        ValueError: for a k above n, since the data cannot say what more samples would have brought.

    >>> pass_at_k(10, [0, 3, 10], k=5).round(4).tolist()
    [0.0, 0.9167, 1.0]
    """
    n, c = np.broadcast_arrays(np.asarray(num_samples), np.asarray(num_correct))
    if n.size == 0:
        return np.zeros(n.shape)
    if np.any(c < 0) or np.any(c > n) or np.any(c != np.floor(c)):
        raise ValueError("num_correct must hold whole numbers between 0 and num_samples.")
    if k != int(k) or not 1 <= k <= n.min():
        raise ValueError(f"k is {k}, but a problem has {n.min()} samples; ask for a k from 1 to that, or draw more.")
    miss = np.ones(n.shape)  # C(n - c, k) / C(n, k) is the product of 1 - k / (n - j) over j < c
    for j in range(int(c.max())):
        miss *= np.where(j < c, np.maximum(1 - k / np.maximum(n - j, 1), 0), 1)
    return 1 - miss


@dataclass(frozen=True)
class Crossing:
    """Whether a difference of two pass@k curves falls from above 0 to below it, and where."""

    k: float
    """k* at which the mean difference first falls below 0; NaN where it does not."""
    low: float
    """The k at which the lower end of the difference's interval does."""
    high: float
    """Likewise the upper end; infinite where it stays above 0."""
    p: float
    """The larger of the one-sided p of a gain at the smallest k and of a loss at the largest."""
    crosses: bool
    """Whether both tests are passed at 5 %."""


def crossing(rows: pd.DataFrame) -> Crossing:
    """Test for a crossing as an intersection of two claims: a gain at the smallest k and a loss at the largest.

    Args:
        rows: paired differences of one pair of methods, one row a k: k, estimate, low, high, se, df.

    Returns:
        Crossing. Between the ks, differences and ends of intervals are taken as linear in log k. low to high are the
        k at which the difference is not told from 0, so an interval of k* with the coverage of the rows' intervals.

    >>> import pandas as pd
    >>> rows = [(1, 0.1, 0.05, 0.15, 0.025, 50.0), (64, -0.1, -0.15, -0.05, 0.025, 50.0)]
    >>> found = crossing(pd.DataFrame(rows, columns=["k", "estimate", "low", "high", "se", "df"]))
    >>> round(found.k, 1), round(found.low, 1), round(found.high, 1), found.p < 0.05
    (8.0, 2.8, 22.6, True)
    """
    rows = rows.sort_values("k")
    gain, loss = Interval.of(rows.iloc[0]), Interval.of(rows.iloc[-1])
    p = max(gain.p_value(side="greater"), loss.p_value(side="less"))
    ks = rows["k"].to_numpy(float)
    k, low, high = (_first_fall(ks, rows[name].to_numpy()) for name in ("estimate", "low", "high"))
    low, high = ks[0] if np.isnan(low) else low, np.inf if np.isnan(high) else high
    return Crossing(k, *((np.nan, np.nan) if np.isnan(k) else (low, high)), p, p <= 0.05)


def _first_fall(ks: np.ndarray, values: np.ndarray) -> float:
    """Where values, linear in log k, first fall from above 0 to below it; NaN where they do not."""
    was_above = np.maximum.accumulate(values > 0)
    below = np.flatnonzero(was_above & (values < 0))
    if not below.size:
        return float("nan")
    i = below[0]
    ends = np.log(ks[[i - 1, i]])
    return float(np.exp(np.interp(0, [values[i], max(values[i - 1], 0.0)], ends[::-1])))
