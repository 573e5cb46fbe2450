"""TRR++: advantages normalised within each group, task type x role (AZR, arXiv 2505.03335, section 3.3.5), and what a
row weighs in the loss.

REINFORCE++ puts the return of a response on each of its tokens and whitens over the tokens of a batch; task-relative
REINFORCE++ does so for each group apart. A response of L tokens therefore weighs L times in the mean and variance.

>>> task_relative_advantages(np.array([1.0, 0.0]), np.array([3, 3]), np.array([0, 0])).round(3).tolist()
[0.913, -0.913]
"""

import numpy as np


def task_relative_advantages(
    rewards: np.ndarray, lengths: np.ndarray, groups: np.ndarray, *, by: str = "token"
) -> np.ndarray:
    """Whitened rewards A_i, shape (rows,); every token of a row has its row's advantage.

    Args:
        rewards: shape (rows,).
        lengths: completion tokens, shape (rows,).
        groups: labels, shape (rows,).
        by: "token", AZR's: mean and variance weigh a row by its length, the variance is Bessel-corrected on the token
            count and has 1e-8 added; "sequence": rows weigh alike.

    A group whose rewards are all equal gets zeros.
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


def row_weights(lengths: np.ndarray, groups: np.ndarray, trained: np.ndarray) -> np.ndarray:
    """What one token of each row weighs in the loss, w_i = 1 / (groups * tokens of the row's group), shape (rows,).

    Inside a group the loss is thus a mean over tokens, across groups a plain mean: AZR's micro-batches hold one role of
    one task type each and weigh alike. Rows with ``trained`` False get 0, and their groups do not count.

    >>> row_weights(np.array([1, 3, 5]), np.array([0, 0, 1]), np.array([True, True, True])).tolist()
    [0.125, 0.125, 0.1]
    """
    weights = np.zeros(len(lengths))
    kept = np.unique(groups[trained])
    for group in kept:
        rows = (groups == group) & trained
        weights[rows] = 1 / (len(kept) * np.sum(lengths[rows]))
    return weights
