"""Intervals: coverage by simulation; Holm, seeds needed; rank correlations against scipy's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from azr.metrics import (
    Interval,
    bootstrap_interval,
    crossed_interval,
    holm,
    minimum_detectable_difference,
    ratio_interval,
    seeds_needed,
    spearman,
    t_interval,
)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def crossed(generator, seeds, problems, sd_seed, sd_problem, sd_rest):
    """[S, M] with mean 0 and known components."""
    return (
        generator.normal(0, sd_seed, (seeds, 1))
        + generator.normal(0, sd_problem, (1, problems))
        + generator.normal(0, sd_rest, (seeds, problems))
    )


def test_t_interval_is_scipys():
    values = [0.2, 0.5, 0.1, 0.9]
    ours, theirs = t_interval([*values, np.nan]), stats.ttest_1samp(values, 0)
    assert (ours.low, ours.high) == pytest.approx(theirs.confidence_interval(0.95))
    assert ours.p_value() == pytest.approx(theirs.pvalue)
    assert ours.p_value(side="greater") == pytest.approx(stats.ttest_1samp(values, 0, alternative="greater").pvalue)
    assert ours.p_value(0.7, side="less") == pytest.approx(stats.ttest_1samp(values, 0.7, alternative="less").pvalue)


def test_p_value_agrees_with_the_interval_and_without_spread_is_certain():
    interval = t_interval([0.2, 0.5, 0.1, 0.9])
    assert interval.p_value(interval.low) == pytest.approx(0.05)
    assert interval.p_value(interval.low, side="greater") == pytest.approx(0.025)
    certain = Interval(1.0, 1.0, 1.0, 0.0)
    assert [certain.p_value(side=side) for side in ("two-sided", "greater", "less")] == [0, 0, 1]
    assert certain.p_value(margin=1.0) == 1


@pytest.mark.parametrize(
    ("seeds", "parts"),
    [(3, (0.0, 0.2, 0.1)), (3, (0.05, 0.2, 0.2)), (3, (0.1, 0.1, 0.1)), (5, (0.02, 0.2, 0.1)), (2, (0.1, 0.1, 0.1))],
)
def test_crossed_interval_covers_the_truth(seeds, parts):
    generator, hits, trials = rng(2), 0, 500
    for _ in range(trials):
        interval = crossed_interval(crossed(generator, seeds, 60, *parts))
        hits += interval.low <= 0 <= interval.high
    assert 0.925 < hits / trials < 0.995


def test_a_percentile_bootstrap_over_three_seeds_would_not():
    generator, hits = rng(3), 0
    for _ in range(200):
        interval = bootstrap_interval(crossed(generator, 3, 60, 0.1, 0.01, 0.01).mean(axis=1), generator)
        hits += interval.low <= 0 <= interval.high
    assert hits / 200 < 0.85


def test_one_run_has_the_interval_over_its_problems():
    d = rng().normal(size=80)
    assert crossed_interval(d) == crossed_interval(d[None]) == t_interval(d)
    assert crossed_interval(d[:, None]) == t_interval(d)


@pytest.mark.parametrize("values", [[0.5], [0.5, np.nan], np.zeros((2, 3, 4))])
def test_what_makes_no_table_is_refused(values):
    with pytest.raises(ValueError, match="make no table"):
        crossed_interval(values)


def test_ratio_covers_the_truth():
    generator, hits = rng(5), 0
    for _ in range(300):
        before = generator.normal(2, 0.5, 40)
        after = 0.8 * before + crossed(generator, 4, 40, 0.02, 0.05, 0.1)
        interval = ratio_interval(after - before, before)
        hits += interval.low <= -0.2 <= interval.high
    assert 0.92 < hits / 300 < 0.995


def test_ratio_without_a_denominator_has_no_interval():
    assert ratio_interval([0.2, 0.4, 0.3], [1.0, 2.0, 1.5]).estimate == pytest.approx(0.2)
    gap = ratio_interval(rng().normal(1, 0.1, 30), rng(1).normal(0.0, 1.0, 30))
    assert np.isnan([gap.low, gap.high]).all()


def test_bootstrap_of_a_mean_has_its_standard_error():
    values = rng().random(200)
    assert bootstrap_interval(values, rng()).se == pytest.approx(values.std() / np.sqrt(200), rel=0.05)


def test_holm_on_the_textbook_example():
    assert holm([0.01, 0.02, 0.03, 0.04]) == pytest.approx([0.04, 0.06, 0.06, 0.06])
    assert holm([0.9, np.nan, 0.6])[[0, 2]].tolist() == [1.0, 1.0]
    assert np.isnan(holm([0.9, np.nan])[1])
    with pytest.raises(ValueError, match="between 0 and 1"):
        holm([0.1, 1.2])


@settings(max_examples=50)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_between_p_and_bonferroni_and_keeps_the_order(p):
    adjusted = holm(p)
    assert np.all(adjusted >= np.array(p))
    assert np.all(adjusted <= np.minimum(len(p) * np.array(p), 1) + 1e-15)
    assert np.all(np.diff(adjusted[np.argsort(p, kind="stable")]) >= 0)


def test_minimum_detectable_difference_is_found_with_its_power():
    generator, seeds, sd = rng(5), 6, 0.1
    difference = minimum_detectable_difference(sd / np.sqrt(seeds), seeds - 1)
    samples = generator.normal(difference, sd, (4000, seeds))
    found = stats.ttest_1samp(samples, 0, axis=1).pvalue < 0.05
    assert found.mean() == pytest.approx(0.8, abs=0.05)


def test_seeds_needed_decide_with_the_power():
    parts = (0.05, 0.02, 0.05)
    pilot = crossed(rng(6), 400, 40, *parts)
    pilot += 0.05 - pilot.mean()
    number = int(seeds_needed(pilot))
    found = [crossed_interval(0.05 + crossed(rng(i), number, 40, *parts)).p_value() < 0.05 for i in range(300)]
    assert 0.75 < np.mean(found) < 0.92
    assert seeds_needed(pilot - 0.04) > number


def test_no_number_of_seeds_decides_what_depends_on_problems():
    pilot = crossed(rng(6), 3, 20, 0.0, 0.5, 0.01) + 0.01
    assert seeds_needed(pilot - pilot.mean() + 0.01) == np.inf


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
