"""A study of one's own beside the reference's seeds."""

import numpy as np
import pytest
from scipy.stats import t

from azr.tables.replication import inside

from .synthetic import synthetic_study


@pytest.fixture(scope="module")
def studies():
    reference = synthetic_study(seeds=5, problems=24, models=("nano",))
    test, entropy = reference["test"], reference["entropy"]
    few = test["problem"].unique()[:12]
    own = {"test": test[(test["seed"] == 0) & test["problem"].isin(few)], "entropy": entropy[entropy["seed"] == 0]}
    return own, reference


def test_a_change_is_inside_where_a_further_seed_of_the_reference_is_expected(studies):
    own, reference = studies
    found = inside(own, reference)
    assert {"pass@1", "greedy", "entropy"} == set(found["quantity"])
    row = found.query("method == 'selfplay' and quantity == 'pass@1' and group == 'deduction'").iloc[-1]
    test = reference["test"]
    test = test[test["problem"].isin(own["test"]["problem"]) & (test["group"] == "deduction")]
    share = test.assign(share=test["c"] / test["n"]).groupby(["method", "seed", "step"])["share"].mean()
    gains = np.array([share["selfplay", seed, row["step"]] - share["base", 0, 0] for seed in range(5)])
    assert row["change"] == pytest.approx(gains[0])
    further = gains[1:]  # of the reference the seed that the own study has is the same run
    half = t.ppf(0.975, 3) * further.std(ddof=1) * np.sqrt(1 + 1 / 4)
    assert row["seeds"] == 4
    assert (row["low"], row["high"]) == pytest.approx((further.mean() - half, further.mean() + half))
    assert row["inside"] == (row["low"] <= gains[0] <= row["high"])
    whole = found.query("method == 'selfplay' and quantity == 'pass@1' and group == 'all'").iloc[-1]
    types = found.query("method == 'selfplay' and quantity == 'pass@1' and group not in ('all', 'arithmetic')")
    assert whole["change"] == pytest.approx(types[types["step"] == whole["step"]]["change"].mean())
    assert found["inside"].mean() > 0.9


def test_what_moved_elsewhere_is_outside_and_two_seeds_are_no_reference(studies):
    own, reference = studies
    test = own["test"].copy()
    trained = test["method"] == "selfplay"
    test.loc[trained, "c"] = test.loc[trained, "n"]
    found = inside(own | {"test": test}, reference).query("method == 'selfplay' and quantity == 'pass@1'")
    assert not found["inside"].any()
    two = {name: reference[name][reference[name]["seed"] < 2] for name in ("test", "entropy")}
    assert inside(own, two).empty
