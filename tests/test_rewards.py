"""Rewards of both roles, at the solve rates that matter."""

import numpy as np
import pytest

from azr.rewards import PROPOSER_REWARDS, proposer_rewards, solver_rewards

RATES = [0, 1 / 8, 1 / 2, 7 / 8, 1]
EXPECTED = {
    "learnability": [-0.5, 7 / 8, 1 / 2, 1 / 8, -0.5],
    "learnability_equation": [0, 7 / 8, 1 / 2, 1 / 8, 0],
    "half": [-0.5, 1 / 4, 1, 1 / 4, -0.5],
    "variance": [0, 7 / 64, 1 / 4, 7 / 64, 0],
    "r_zero": [0, 1 / 8, 1 / 2, 1 / 8, 0],
    "inverse": [1, 7 / 8, 1 / 2, 1 / 8, -0.5],
    "valid_only": [1, 1, 1, 1, 1],
}


def test_every_shape_has_known_values():
    assert set(EXPECTED) == set(PROPOSER_REWARDS)


@pytest.mark.parametrize("shape", EXPECTED)
def test_values_of_a_shape(shape):
    rewards = proposer_rewards(np.array(RATES), np.ones(5, dtype=bool), PROPOSER_REWARDS[shape])
    assert rewards == pytest.approx(EXPECTED[shape])


@pytest.mark.parametrize("shape", EXPECTED)
def test_an_invalid_proposal_gets_minus_one_whatever_its_solve_rate(shape):
    rates = np.array([np.nan, 0, 0.5, 1])
    assert proposer_rewards(rates, np.zeros(4, dtype=bool), PROPOSER_REWARDS[shape]).tolist() == [-1, -1, -1, -1]


def test_a_solver_is_right_wrong_or_malformed():
    correct = np.array([True, False, False, True])
    well_formed = np.array([True, True, False, False])
    assert solver_rewards(correct, well_formed).tolist() == [1, -0.5, -1, -1]


def test_a_function_of_ones_own_sees_the_rates_of_valid_proposals_alone():
    seen = []

    def own(rates):
        seen.append(rates.tolist())
        return rates**2

    assert proposer_rewards(np.array([np.nan, 0.5, 1]), np.array([False, True, False]), own).tolist() == [-1, 0.25, -1]
    assert seen == [[0.5]]
