"""Spearman's rho: scipy as reference, groups, the interval of one run."""

import numpy as np
import pytest
from scipy import stats

from azr.metrics import bootstrap_interval, spearman


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_rho_equals_scipys_with_ties():
    x, y = rng().integers(0, 8, 200), rng(1).integers(0, 8, 200) + rng().integers(0, 8, 200)
    assert spearman(x, y) == pytest.approx(stats.spearmanr(x, y).statistic)


def test_rho_of_something_constant_is_nan_and_of_something_unmeasured_refused():
    assert np.isnan(spearman([1, 1, 1], [1, 2, 3]))
    with pytest.raises(ValueError, match="NaN"):
        spearman([1, np.nan], [1, 2])


def test_rho_within_groups_does_not_see_differences_between_them():
    group = np.repeat([0, 1, 2, 3], 100)
    x, y = group * 10 + rng().random(400), group * 10 + rng(1).random(400)
    assert spearman(x, y) > 0.9
    assert abs(spearman(x, y, within=group)) < 0.15
    assert spearman(x, -x, within=group) == pytest.approx(-1)
    assert spearman([1, 2, 3, 99], [1, 2, 3, -99], within=["a", "a", "a", "b"]) == pytest.approx(1)


def test_one_run_has_an_interval_by_steps():
    step = np.repeat(np.arange(40), 10)
    table = np.column_stack([step, 0.6 - 0.01 * step + rng().normal(0, 0.2, 400)])
    found = bootstrap_interval(table, rng(), lambda t: spearman(*t.T), clusters=step, num_draws=200)
    assert found.estimate == spearman(*table.T)
    assert found.low < found.estimate < found.high < 0
