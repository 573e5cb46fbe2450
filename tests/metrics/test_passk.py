"""pass@k: known values, brute force over subsets, integer combinatorics; and where two curves cross."""

from itertools import combinations
from math import comb

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from azr.metrics import crossed_interval, crossing, pass_at_k


def by_subsets(n: int, c: int, k: int) -> float:
    """The share of all k-subsets of n samples, the first c of them right, that hold a right one."""
    subsets = list(combinations(range(n), k))
    return sum(any(i < c for i in subset) for subset in subsets) / len(subsets)


def by_integers(n: int, c: int, k: int) -> float:
    return 1 - comb(n - c, k) / comb(n, k)


@pytest.mark.parametrize("n", range(1, 9))
def test_equals_brute_force_over_all_subsets(n):
    for c in range(n + 1):
        for k in range(1, n + 1):
            assert pass_at_k(n, c, k) == pytest.approx(by_subsets(n, c, k), abs=1e-14)


@given(st.data())
def test_equals_integer_combinatorics(data):
    n = data.draw(st.integers(1, 200))
    c = data.draw(st.integers(0, n))
    k = data.draw(st.integers(1, n))
    assert pass_at_k(n, c, k) == pytest.approx(by_integers(n, c, k), rel=1e-11, abs=1e-15)


@settings(max_examples=30)
@given(st.integers(1, 60).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))))
def test_does_not_fall_as_k_grows_and_ends_at_one_if_anything_was_right(pair):
    n, c = pair
    curve = np.array([float(pass_at_k(n, c, k)) for k in range(1, n + 1)])
    assert np.all(np.diff(curve) >= -1e-14)
    assert curve[0] == pytest.approx(c / n)
    assert curve[-1] == (1.0 if c else 0.0)


def test_one_value_a_problem_with_their_own_numbers_of_samples():
    values = pass_at_k([4, 8, 8], [1, 2, 0], 2)
    assert values.tolist() == pytest.approx([by_integers(4, 1, 2), by_integers(8, 2, 2), 0.0])
    assert pass_at_k([], [], 3).shape == (0,)


@pytest.mark.parametrize(
    ("n", "c", "k"), [([8, 4], [1, 1], 5), (4, 5, 1), (4, -1, 1), (4, 1, 0), (4, 1, 1.5), (4, 0.5, 1)]
)
def test_refuses_what_it_cannot_answer(n, c, k):
    with pytest.raises(ValueError, match=r"num_correct must|k is"):
        pass_at_k(n, c, k)


def test_estimator_is_unbiased():
    n, p, k = 12, 0.3, 5
    mean = sum(comb(n, c) * p**c * (1 - p) ** (n - c) * float(pass_at_k(n, c, k)) for c in range(n + 1))
    assert mean == pytest.approx(1 - (1 - p) ** k, abs=1e-14)


def curve(values, half=0.01):
    """Rows of a difference at k = 1, 2, 4, ... with intervals of one half width."""
    values = np.array(values)
    about = {"estimate": values, "low": values - half, "high": values + half, "se": half / 2, "df": 100.0}
    return pd.DataFrame({"k": 2 ** np.arange(len(values))} | about)


def test_a_crossing_is_a_gain_at_the_smallest_k_and_a_loss_at_the_largest():
    k, p = crossing(curve([0.04, 0.02, 0.0, -0.02]))
    assert p < 0.05
    assert (k.estimate, k.low, k.high) == pytest.approx((4, 2**1.5, 2**2.5))
    assert crossing(curve([0.04, 0.02, 0.0, -0.005]))[1] > 0.05  # the loss is not sure
    assert crossing(curve([0.005, 0.02, 0.0, -0.02]))[1] > 0.05  # the gain is not


@pytest.mark.parametrize(
    ("values", "k"),
    [
        ([0.1, -0.1], 2**0.5),
        ([-0.1, 0.1, -0.1, 0.1], 2**1.5),  # the first fall counts
        ([0.1, 0.0, 0.0, -0.1], 4),  # meets, then falls
        ([0.1, 0.1, 0.0], np.nan),  # meets, does not cross
        ([-0.1, -0.1], np.nan),  # behind from the start
        ([-0.1, 0.1], np.nan),  # overtakes
    ],
)
def test_the_curves_cross_at_the_first_fall_below_zero(values, k):
    assert crossing(curve(values))[0].estimate == pytest.approx(k, nan_ok=True)


def test_the_interval_of_a_crossing_may_reach_beyond_the_ks():
    k, _ = crossing(curve([0.04, 0.02, -0.02], half=0.05))
    assert (k.low, k.high) == (1, np.inf)
    assert k.low < k.estimate < k.high


def test_two_samples_of_one_model_cross_as_seldom_as_the_level_says():
    rng, crossings = np.random.default_rng(0), 0
    for _ in range(60):
        p = rng.beta(0.5, 0.8, 60)
        after, base = rng.binomial(32, p, (3, 60)), rng.binomial(32, p)
        gains = {k: pass_at_k(32, after, k) - pass_at_k(32, base, k) for k in (1, 16)}
        rows = [{"k": k} | vars(crossed_interval(gain)) for k, gain in gains.items()]
        crossings += crossing(pd.DataFrame(rows))[1] <= 0.05
    assert crossings <= 2
