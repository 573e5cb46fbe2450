"""Does training sharpen what the base can do, or widen it? The slope of logit p' on logit p over problems (E2).

p and p' are the probabilities of a right answer before and after training, one problem each. A base read at a lower
temperature has p' proportional to p^b: logit p' = b logit p where two answers compete. So a slope b above 1 sharpens
(what was likely becomes likelier, what was unlikely is lost), b below 1 widens, and 1 with an intercept above 0 gains
everywhere. Left out: why; and problems that the base almost always or almost never solves, whose logits no number of
samples fixes.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from azr.metrics.stats import Interval, crossed_interval

RANGE = (0.1, 0.9)
"""Where the base's p is fitted."""


@dataclass(frozen=True)
class Sharpening:
    """logit p' = intercept + slope logit p."""

    slope: Interval
    intercept: Interval
    problems: float
    """Problems in the range, mean over the base's measurements."""


def sharpening(base: ArrayLike, trained: ArrayLike, samples: int, within: tuple[float, float] = RANGE) -> Sharpening:
    """Fit logit p' = a + b logit p, with the noise of both taken into account.

    Args:
        base: [R, M], at least two measurements of the base's p, with different random numbers, none of which the
            trained runs share.
        trained: [S, M], p' of the same problems, one row a training seed.
        samples: n behind each p; where p is a mean of scored probabilities, still the number of traces. p enters as
            log((n p + 1/2) / (n (1 - p) + 1/2)), whose bias falls with 1 / n^2 where n p and n (1 - p) are above 2.
        within: the p of the problems that are used.

    Returns:
        Sharpening, with intervals over seeds and problems.

    Noise in p alone would pull the slope of ordinary least squares towards 0 and make any training look as if it
    widened. So one measurement of the base chooses the problems and is the instrument for the mean of the others
    (slope = cov(z, y) / cov(z, x): noise in z has nothing to do with noise in x or y), each measurement in turn, and
    the slopes are averaged. The interval is the crossed one (``azr.metrics.crossed_interval``) of the linearised
    estimate, which has one value a seed and problem.
    """
    p, q = np.atleast_2d(np.asarray(base, dtype=float)), np.atleast_2d(np.asarray(trained, dtype=float))
    if len(p) < 2 or p.shape[1] != q.shape[1]:
        raise ValueError(f"base and trained have shapes {p.shape} and {q.shape}; base needs two rows, both one M.")
    x, y = (np.log((samples * v + 0.5) / (samples * (1 - v) + 0.5)) for v in (p, q))
    slopes, intercepts = np.zeros_like(y), np.zeros_like(y)
    chosen = (p >= within[0]) & (p <= within[1])
    if chosen.sum(axis=1).min() < 3:
        raise ValueError(f"Fewer than three problems have a p in {within} on each measurement of the base.")
    for instrument, rows in zip(x, chosen, strict=True):
        others = (x.sum(axis=0) - instrument) / (len(x) - 1)
        z = np.where(rows, instrument - instrument[rows].mean(), 0.0)
        x_mean, y_mean = others[rows].mean(), y[:, rows].mean()
        slope = float((z * y).mean() / (z * others).mean())
        residual = np.where(rows, y - y_mean - slope * (others - x_mean), 0.0)
        per_slope = z * residual / (z * others).mean()
        slopes += (slope + per_slope) / len(x)
        intercepts += (y_mean - slope * x_mean + residual / rows.mean() - x_mean * per_slope) / len(x)
    return Sharpening(crossed_interval(slopes), crossed_interval(intercepts), float(chosen.sum(axis=1).mean()))
