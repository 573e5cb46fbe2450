"""Rewards of the two roles, as arrays of numbers; the proposer's shape is the subject of the paper's RQ5.

>>> PROPOSER_REWARDS["learnability"](np.array([0.0, 0.25, 1.0])).tolist()
[-0.5, 0.75, -0.5]

The solver gets 1 for a confirmed answer, -0.5 for a well-formed wrong one, -1 for a malformed response; the proposer -1
for a malformed or invalid proposal, else its shape's value (AZR, arXiv 2505.03335, eq. 4-6 and the published code).
Left out: AZR's intrinsic rewards (complexity, diversity), which all of its scripts switch off.
"""

from collections.abc import Callable

import numpy as np

WRONG = -0.5
"""A well-formed answer that the executor does not confirm; in the published code also a proposal nobody learns from."""
MALFORMED = -1.0
"""A response without the required form, or a proposal that does not hold."""

ProposerReward = Callable[[np.ndarray], np.ndarray]
"""Solve rates of valid proposals in [0, 1], shape (n,), to their rewards, shape (n,)."""


def _where_learnable(rate: np.ndarray, value: np.ndarray, extreme: float) -> np.ndarray:
    return np.where((rate > 0) & (rate < 1), value, extreme)


PROPOSER_REWARDS: dict[str, ProposerReward] = {
    # AZR as published in code: 1 - s, and -0.5 where every or no rollout solved the task.
    "learnability": lambda s: _where_learnable(s, 1 - s, WRONG),
    # AZR as in the paper's equation 4: the same with 0 at the extremes.
    "learnability_equation": lambda s: _where_learnable(s, 1 - s, 0.0),
    # RQ5 (arXiv 2510.27072): peaks at a solve rate of one half; extremes paid as in the default.
    "half": lambda s: _where_learnable(s, 1 - 2 * np.abs(s - 0.5), WRONG),
    # The variance of a solver's success, up to a constant the signal strength of GRPO.
    "variance": lambda s: s * (1 - s),
    # R-Zero (arXiv 2508.05004): min(s, 1 - s).
    "r_zero": lambda s: np.minimum(s, 1 - s),
    # AZR's option `inverse`: the harder the better, the unsolvable included; a reward of 0 is paid -0.5 as everywhere.
    "inverse": lambda s: np.where(s < 1, 1 - s, WRONG),
    # Any valid task is worth the same.
    "valid_only": lambda s: np.ones_like(s),
}


def proposer_rewards(solve_rate: np.ndarray, valid: np.ndarray, reward: ProposerReward) -> np.ndarray:
    """Rewards of proposals, shape (n,): ``solve_rate`` in [0, 1] (ignored where not ``valid``), ``valid`` boolean."""
    rewards = np.full(len(solve_rate), MALFORMED)
    rewards[valid] = reward(np.asarray(solve_rate, dtype=float)[valid])
    return rewards


def solver_rewards(correct: np.ndarray, well_formed: np.ndarray) -> np.ndarray:
    """Rewards of answers, shape (n,), from two boolean arrays; a malformed response is never correct."""
    return np.where(np.asarray(well_formed, bool), np.where(np.asarray(correct, bool), 1.0, WRONG), MALFORMED)
