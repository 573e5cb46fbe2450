"""Entropy: known values, limits, agreement with sampled tokens, and entropy over answers."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from azr.metrics import answer_entropy, token_entropy

INF = float("inf")


def test_uniform_distribution_has_the_logarithm_of_its_size():
    assert token_entropy(torch.zeros(2, 3, 50)) == pytest.approx(torch.full((2, 3), math.log(50)), rel=1e-6)


def test_impossible_tokens_add_nothing():
    open_row = torch.tensor([1.0, 2.0, -0.5])
    with_impossible = torch.tensor([1.0, -INF, 2.0, -INF, -0.5])
    assert torch.allclose(token_entropy(with_impossible), token_entropy(open_row))
    assert token_entropy(torch.tensor([-INF, 3.0, -INF])) == 0
    assert torch.isnan(token_entropy(torch.tensor([-INF, -INF])))


@given(st.lists(st.floats(-60, 60), min_size=1, max_size=12), st.floats(-1000, 1000))
def test_equals_the_sum_of_p_log_p_and_does_not_see_a_shift(values, shift):
    logits = torch.tensor(values, dtype=torch.float64)
    p = np.exp(np.array(values) - max(values))
    p /= p.sum()
    expected = -sum(q * math.log(q) for q in p if q > 0)
    assert float(token_entropy(logits)) == pytest.approx(expected, abs=1e-9)
    assert float(token_entropy(logits + shift)) == pytest.approx(expected, abs=1e-9)


def test_answer_entropy_of_known_samples():
    assert answer_entropy(["a"]) == 0.0
    assert answer_entropy(range(10)) == pytest.approx(math.log(10))  # all differ: the bound, not above it
    assert answer_entropy(["a"] * 75 + ["b"] * 25) == pytest.approx(0.5623 + 1 / 200, abs=1e-4)
    assert math.isnan(answer_entropy([]))


def test_answer_entropy_comes_closer_to_the_truth_than_the_plug_in():
    rng = np.random.default_rng(0)
    p = np.array([0.4, 0.3, 0.2, 0.1])
    truth = float(-(p * np.log(p)).sum())
    estimates = [answer_entropy(rng.choice(4, size=16, p=p).tolist()) for _ in range(2000)]
    assert np.mean(estimates) == pytest.approx(truth, abs=0.03)
