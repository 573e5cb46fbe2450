"""TRR++: advantages normalised within each of the groups task type x role (AZR, arXiv 2505.03335, section 3.3.5).

REINFORCE++ puts the return of a response on each of its tokens and whitens over the tokens of a batch; task-relative
REINFORCE++ does so for each group apart. A response of L tokens therefore weighs L times in the mean and variance.

>>> task_relative_advantages(np.array([1.0, 0.0]), np.array([3, 3]), np.array([0, 0])).round(3).tolist()
[0.913, -0.913]
"""

from __future__ import annotations

import numpy as np


def task_relative_advantages(
    rewards: np.ndarray, lengths: np.ndarray, groups: np.ndarray, *, by: str = "token"
) -> np.ndarray:
    """Whitened rewards, shape (rows,); every token of a row has its row's advantage.

    ``rewards`` (rows,), ``lengths`` (rows,) completion tokens, ``groups`` (rows,) integer labels. ``by="token"`` is
    AZR's: mean and variance weigh a row by its length, the variance is Bessel-corrected on the token count and has
    1e-8 added. ``by="sequence"`` weighs rows equally. A group whose rewards are all equal gets zeros.
    """
    advantages = np.zeros(len(rewards))
    for group in np.unique(groups):
        rows = groups == group
        r = np.asarray(rewards, dtype=float)[rows]
        weight = np.asarray(lengths, dtype=float)[rows] if by == "token" else np.ones(len(r))
        count = weight.sum()
        if count < 2 or np.ptp(r) == 0:
            continue
        mean = (weight * r).sum() / count
        variance = (weight * (r - mean) ** 2).sum() / (count - 1)
        advantages[rows] = (r - mean) / np.sqrt(variance + 1e-8)
    return advantages


def group_balance(lengths: np.ndarray, groups: np.ndarray, trained: np.ndarray, by: str = "token") -> np.ndarray:
    """Factors, shape (rows,), that turn one token mean over the batch into equal weight for each trained group.

    AZR's micro-batches hold one role of one task type each and weigh equally: inside a group the loss is a token mean,
    across groups a plain mean. Multiplying the advantages by these factors gives that from a loss divided by the
    number of tokens of all rows. Rows with ``trained`` False get 0. ``by="sequence"`` makes the mean inside a group one
    over responses, each the mean over its own tokens: a long response then weighs no more than a short one.
    """
    total = float(np.sum(lengths))
    kept = np.unique(groups[trained])
    factors = np.zeros(len(lengths))
    for group in kept:
        rows = (groups == group) & trained
        weight = np.sum(lengths[rows]) if by == "token" else rows.sum() * np.asarray(lengths, dtype=float)[rows]
        factors[rows] = total / (len(kept) * weight)
    return factors
