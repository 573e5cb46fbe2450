"""pass@k: the chance that at least one of k samples solves a problem, and where two models' curves cross.

Left out: the plug-in 1 - (1 - c/n)^k, which is biased low exactly where curves of two models cross; means and intervals
over problems (``azr.metrics.stats``).
"""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from azr.metrics.stats import Interval


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


def crossing(rows: pd.DataFrame) -> tuple[Interval, float]:
    """Where a difference of two pass@k curves falls from above 0 to below it, and a test that it does.

    Args:
        rows: paired differences of one pair of methods, one row a k: k, estimate, low, high, se, df.

    Returns:
        k* at which the mean difference first falls below 0, NaN where it does not, and p of a crossing as the
        intersection of two claims: the larger of the one-sided p of a gain at the smallest k and of a loss at the
        largest. Between the ks, differences and ends of their intervals are taken as linear in log k. The interval of
        k* holds the k at which the difference is not told from 0, so it has the coverage of the rows' intervals; it may
        begin at the smallest k, and end at infinity.

    >>> import pandas as pd
    >>> rows = [(1, 0.1, 0.05, 0.15, 0.025, 50.0), (64, -0.1, -0.15, -0.05, 0.025, 50.0)]
    >>> k, p = crossing(pd.DataFrame(rows, columns=["k", "estimate", "low", "high", "se", "df"]))
    >>> round(k.estimate, 1), round(k.low, 1), round(k.high, 1), p < 0.05
    (8.0, 2.8, 22.6, True)
    """
    rows = rows.sort_values("k")
    gain, loss = (Interval(**rows[["estimate", "low", "high", "se", "df"]].iloc[i]) for i in (0, -1))
    p = max(gain.p_value(side="greater"), loss.p_value(side="less"))
    k, low, high = (
        _first_fall(rows["k"].to_numpy(float), rows[name].to_numpy()) for name in ("estimate", "low", "high")
    )
    if not np.isnan(k):
        low, high = rows["k"].min() if np.isnan(low) else low, np.inf if np.isnan(high) else high
    return Interval(k, low, high, np.nan), p


def _first_fall(ks: np.ndarray, values: np.ndarray) -> float:
    """Where values, linear in log k, first fall from above 0 to below it; NaN where they do not."""
    below = np.flatnonzero(np.maximum.accumulate(values > 0) & (values < 0))
    if not below.size:
        return float("nan")
    i = below[0]
    return float(np.exp(np.interp(0, [values[i], max(values[i - 1], 0.0)], np.log(ks[[i, i - 1]]))))
