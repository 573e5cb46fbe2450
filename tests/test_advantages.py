"""TRR++: by hand, against a loop over tokens, and what must not matter."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from azr.advantages import row_weights, task_relative_advantages

REWARDS = st.sampled_from([-1, -0.5, 0.125, 0.5, 1])
ROWS = st.lists(st.tuples(REWARDS, st.integers(1, 30), st.integers(0, 2)), min_size=1, max_size=20)


def columns(rows):
    rewards, lengths, groups = (np.array(column) for column in zip(*rows, strict=True))
    return rewards.astype(float), lengths, groups


def test_a_long_response_weighs_by_its_tokens():
    # Tokens 1, 1, 1, 0: mean 3/4, Bessel-corrected variance (3/16 + 9/16) / 3 = 1/4.
    advantages = task_relative_advantages(np.array([1.0, 0.0]), np.array([3, 1]), np.array([0, 0]))
    assert advantages == pytest.approx([0.5, -1.5], abs=1e-6)


def test_by_sequence_lengths_do_not_matter():
    # Rewards 1, 0, 0: mean 1/3, variance (4/9 + 1/9 + 1/9) / 2 = 1/3.
    advantages = task_relative_advantages(np.array([1.0, 0, 0]), np.array([9, 1, 5]), np.zeros(3), by="sequence")
    assert advantages == pytest.approx(np.array([2, -1, -1]) / np.sqrt(3), abs=1e-6)


@given(ROWS)
def test_equals_a_loop_over_tokens(rows):
    rewards, lengths, groups = columns(rows)
    expected = np.zeros(len(rows))
    for i, group in enumerate(groups):
        tokens = [
            reward
            for reward, length, other in zip(rewards, lengths, groups, strict=True)
            if other == group
            for _ in range(length)
        ]
        if len(set(tokens)) > 1:
            expected[i] = (rewards[i] - np.mean(tokens)) / np.sqrt(np.var(tokens, ddof=1) + 1e-8)
    assert task_relative_advantages(rewards, lengths, groups) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("by", ["token", "sequence"])
def test_equal_rewards_teach_nothing(by):
    advantages = task_relative_advantages(np.full(4, 0.1), np.array([1, 7, 30, 2]), np.array([0, 0, 1, 1]), by=by)
    assert advantages.tolist() == [0, 0, 0, 0]


@given(ROWS, ROWS)
def test_groups_do_not_touch_each_other(rows, others):
    rewards, lengths, groups = columns(rows)
    other_rewards, other_lengths, other_groups = columns(others)
    together = task_relative_advantages(
        np.concatenate([other_rewards, rewards]),
        np.concatenate([other_lengths, lengths]),
        np.concatenate([other_groups + 3, groups]),
    )
    assert together[len(others) :].tolist() == task_relative_advantages(rewards, lengths, groups).tolist()


@given(ROWS, st.floats(-5, 5), st.floats(0.5, 8), st.sampled_from(["token", "sequence"]))
def test_shift_and_positive_scale_of_rewards_do_not_matter(rows, shift, scale, by):
    rewards, lengths, groups = columns(rows)
    changed = task_relative_advantages(rewards * scale + shift, lengths, groups, by=by)
    assert changed == pytest.approx(task_relative_advantages(rewards, lengths, groups, by=by), abs=1e-4)


@given(ROWS, st.sets(st.integers(0, 2)))
def test_weights_make_a_mean_over_trained_groups_of_means_over_tokens(rows, trained_groups):
    losses, lengths, groups = columns(rows)
    trained = np.isin(groups, list(trained_groups))
    loss = (row_weights(lengths, groups, trained) * losses * lengths).sum()
    of_groups = [
        np.average(losses[groups == g], weights=lengths[groups == g]) for g in np.unique(groups[trained]).tolist()
    ]
    assert loss == pytest.approx(np.mean(of_groups) if of_groups else 0)


def test_frozen_rows_have_no_weight_and_trained_groups_have_equal_weight():
    lengths, groups = np.array([1, 9, 5, 10]), np.array(["a", "a", "b", "c"])
    weights = lengths * row_weights(lengths, groups, np.array([True, True, False, True]))
    assert weights == pytest.approx([0.05, 0.45, 0, 0.5])
