"""The slope of logit p' on logit p: a base at another temperature is recovered, least squares would not do."""

import numpy as np
import pytest

from azr.metrics import sharpening


def measured(rng, slope, samples, problems=250, seeds=3, shift=0.0, spread=0.0):
    """A base measured four times, and runs at p' = a logistic function of slope * logit p + shift."""
    logit = rng.normal(-0.3, 1.4, problems)
    base = rng.binomial(samples, 1 / (1 + np.exp(-logit)), (4, problems)) / samples
    after = slope * logit + shift + spread * rng.normal(size=(seeds, problems))
    return base, rng.binomial(samples, 1 / (1 + np.exp(-after))) / samples


@pytest.mark.parametrize(("slope", "shift"), [(1.5, 0.0), (1.0, 0.0), (0.7, 0.0), (1.0, 0.5)])
def test_a_known_temperature_and_gain_are_within_their_intervals(slope, shift):
    rng, slopes, intercepts, estimates = np.random.default_rng(0), 0, 0, []
    for _ in range(60):
        found = sharpening(*measured(rng, slope, 64, shift=shift, spread=0.2), 64)
        slopes += found.slope.low <= slope <= found.slope.high
        intercepts += found.intercept.low <= shift <= found.intercept.high
        estimates.append(found.slope.estimate)
    assert np.mean(estimates) == pytest.approx(slope, abs=0.03)
    assert slopes >= 52
    assert intercepts >= 52


def test_least_squares_would_see_widening_where_there_is_none():
    rng, naive, ours = np.random.default_rng(1), [], []
    for _ in range(30):
        base, trained = measured(rng, 1.0, 8)
        x, y = (np.log((8 * p + 0.5) / (8 * (1 - p) + 0.5)) for p in (base[0], trained[0]))
        chosen = (base[0] >= 0.1) & (base[0] <= 0.9)
        naive.append(np.polyfit(x[chosen], y[chosen], 1)[0])
        ours.append(sharpening(base, trained, 8).slope.estimate)
    assert np.mean(naive) < 0.9
    assert np.mean(ours) == pytest.approx(1.0, abs=0.05)


def test_one_measurement_of_the_base_is_not_enough():
    with pytest.raises(ValueError, match="base needs two rows"):
        sharpening([0.5, 0.6, 0.7], [0.5, 0.6, 0.7], 64)
    with pytest.raises(ValueError, match="Fewer than three problems"):
        sharpening(np.full((2, 9), 0.99), np.full((1, 9), 0.5), 64)
