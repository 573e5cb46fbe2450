"""Spearman's rho: scipy as reference, groups, one number a run."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from azr.metrics import bootstrap_interval, paired_difference, rank_trends, spearman


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


def runs(slopes: dict[str, float], seeds: int = 4) -> pd.DataFrame:
    rows = []
    for method, slope in slopes.items():
        for seed in range(seeds):
            step = np.repeat(np.arange(40), 10)
            solved = 0.6 + slope * step + rng(seed).normal(0, 0.2, 400)
            rows.append(pd.DataFrame({"method": method, "seed": seed, "step": step, "solve_rate": solved}))
    return pd.concat(rows)


def test_trends_are_one_number_a_run_and_are_compared_over_seeds():
    frame = runs({"selfplay": -0.01, "strict": 0.0})
    frame.iloc[0, 3] = np.nan
    trends = rank_trends(frame, "step", "solve_rate")
    assert list(trends) == ["method", "seed", "value", "n"]
    assert trends["n"].tolist() == [399] + [400] * 7
    own = frame[(frame["method"] == "strict") & (frame["seed"] == 2)]
    assert trends["value"].iloc[6] == spearman(own["step"], own["solve_rate"])
    (row,) = paired_difference(trends, "selfplay", "strict").to_dict("records")
    assert (row["seeds"], row["problems"]) == (4, 0)
    assert row["high"] < 0


def test_one_run_has_an_interval_by_steps():
    run = runs({"selfplay": -0.01}, seeds=1)
    table = run[["step", "solve_rate"]].to_numpy()
    found = bootstrap_interval(
        table, rng(), statistic=lambda t: spearman(t[:, 0], t[:, 1]), clusters=run["step"], num_draws=200
    )
    assert found.estimate == spearman(run["step"], run["solve_rate"])
    assert found.low < found.estimate < found.high < 0
