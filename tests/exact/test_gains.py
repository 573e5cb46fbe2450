"""Exact pass@k at any k: differences by hand, the certified range, and estimates from samples held within bounds."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from azr.exact.gains import COLUMNS, exact_gains, with_counts


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def table(rows) -> pd.DataFrame:
    """Rows of method, seed, problem, lower and upper probability, all of one task type."""
    frame = pd.DataFrame(rows, columns=["method", "seed", "problem", "lower", "upper"])
    frame["task_type"] = "deduction"
    with np.errstate(divide="ignore"):
        return frame.assign(log_lower=np.log(frame["lower"]), log_upper=np.log(frame["upper"]))[list(COLUMNS)]


BASE = [("base", 0, "a", 0.5, 0.5), ("base", 0, "b", 0.0, 0.2)]
TRAINED = [("selfplay", 0, "a", 0.8, 0.8), ("selfplay", 0, "b", 0.0, 0.1)]


def test_differences_and_their_certified_range_by_hand():
    (row,) = exact_gains(table(BASE + TRAINED), 1, rng()).itertuples()
    assert (row.task_type, row.method, row.k, row.seeds, row.problems) == ("deduction", "selfplay", 1, 1, 2)
    assert (row.reference_lower, row.reference_upper) == pytest.approx((0.25, 0.35))
    assert (row.value_lower, row.value_upper) == pytest.approx((0.4, 0.45))
    assert row.pessimistic == pytest.approx(0.4 - 0.35)
    assert row.optimistic == pytest.approx(0.45 - 0.25)
    (row,) = exact_gains(table(BASE + TRAINED), 2, rng()).itertuples()
    assert row.value_lower == pytest.approx((1 - 0.2**2) / 2)


def test_the_range_holds_the_difference_and_the_interval_of_several_seeds():
    draw = rng()
    rows = []
    for method, seeds in (("base", 1), ("selfplay", 3)):
        for seed in range(seeds):
            for problem in range(12):
                p = draw.random()
                rows.append((method, seed, problem, p * draw.random(), p))
    for k in (1, 100, 10_000):
        (row,) = exact_gains(table(rows), k, rng()).itertuples()
        own = {end: np.mean([1 - (1 - r[i]) ** k for r in rows if r[0] == "selfplay"]) for i, end in ((3, 0), (4, 1))}
        base = {end: np.mean([1 - (1 - r[i]) ** k for r in rows if r[0] == "base"]) for i, end in ((3, 0), (4, 1))}
        assert (row.pessimistic, row.optimistic) == pytest.approx((own[0] - base[1], own[1] - base[0]))
        assert row.low <= row.pessimistic <= row.optimistic <= row.high
        assert row.seeds == 3


def test_at_a_million_samples_a_tiny_lower_bound_settles_the_matter():
    rows = [(m, 0, p, 1e-4, 1.0) for m in ("base", "selfplay") for p in range(3)]
    (row,) = exact_gains(table(rows), 1e6, rng()).itertuples()
    assert abs(row.pessimistic) < 1e-12
    assert abs(row.optimistic) < 1e-12


def test_methods_must_have_the_same_problems():
    with pytest.raises(ValueError, match="base was not measured on the same deduction problems"):
        exact_gains(table(BASE[:1] + TRAINED), 1, rng())


def counts(c) -> pd.DataFrame:
    frame = table([("base", 0, p, 0.2, 0.6) for p in "abc"])[["method", "seed", "task_type", "problem"]]
    return frame.assign(n=10, c=c)


def test_an_estimate_is_the_sampled_frequency_moved_to_the_nearer_bound():
    exact = table([("base", 0, p, 0.2, 0.6) for p in "abc"])
    estimate = with_counts(exact, counts([0, 5, 9]).sample(frac=1, random_state=0))["log_estimate"]
    assert np.exp(estimate).tolist() == pytest.approx([0.2, 0.5, 0.6])


def test_an_estimate_needs_the_samples():
    with pytest.raises(ValueError, match="base seed 0 has no samples of c"):
        with_counts(table([("base", 0, p, 0.2, 0.6) for p in "abc"]), counts([1, 2, 3]).iloc[:2])
