"""The numbers behind the claims, by hand: pairing, C2 by bounds, the crossing, trends over seeds, E3's ratio."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from figures.claims_tables import tables

from azr.claims import CONTRADICTED, UNDECIDED, claims_table
from azr.findings import CODE, EXACT_K, FINDINGS, Tables, difference, paired

KEYS = ["method", "seed", "task_type", "problem"]


def scores(values: dict[tuple[str, int], list[float]]) -> pd.DataFrame:
    """Scores of a method and seed on problems p0, p1, ..., in no particular order."""
    rows = [(m, s, "deduction", f"p{i}", v) for (m, s), own in values.items() for i, v in enumerate(own)]
    return pd.DataFrame(rows, columns=[*KEYS, "score"]).sample(frac=1, random_state=1)


def test_scores_are_paired_by_seed_and_problem_whatever_the_order_of_rows():
    table = scores({("half", s): [0.1 * s, 0.5, 0.9 - 0.2 * s] for s in range(3)} | {("base", 0): [0.3, 0.2, 0.1]})
    defaults = scores({("selfplay", s): [0.1 * s, 0.4, 0.8 - 0.2 * s] for s in (2, 1, 3)})
    own, control = paired(pd.concat([defaults, table]), "half", "selfplay")
    # Of the two seeds that both have; problems may come in any order.
    assert np.sort(own - control) == pytest.approx(np.array([[0.0, 0.1, 0.1]] * 2))
    own, control = paired(table, "half", "base")
    assert np.sort(own[1] - control) == pytest.approx([-0.2, 0.3, 0.6])


def test_a_difference_that_is_the_same_everywhere_has_no_width_however_problems_and_seeds_vary():
    levels = np.random.default_rng(0).random((3, 12))
    table = scores(
        {("selfplay", s): list(level) for s, level in enumerate(levels)}
        | {("frozen", s): list(level - 0.05) for s, level in enumerate(levels)}
    )
    found = difference(table, "frozen", "selfplay")
    assert (found.interval.low, found.interval.high) == pytest.approx((-0.05, -0.05))
    assert (found.seeds, found.problems) == (3, 12)


def bounds(rows: list[tuple[str, int, str, float, float]]) -> Tables:
    """Bounds on probabilities of deduction problems: method, seed, problem, lower, upper."""
    table = pd.DataFrame(rows, columns=["method", "seed", "problem", "lower", "upper"]).assign(task_type="deduction")
    return Tables(exact=table.assign(log_lower=np.log(table["lower"]), log_upper=np.log(table["upper"])))


def test_at_large_k_the_gain_is_known_within_what_enumeration_left_open():
    narrow, wide = 1e-5, 3e-5
    base = [("base", 0, f"p{i}", narrow, wide) for i in range(4)]
    trained = [("selfplay", 0, f"p{i}", narrow / 10, narrow / 5) for i in range(4)]
    found = FINDINGS["C2"](bounds(base + trained), "deduction, exact")
    low, high = ((1 - p) ** EXACT_K for p in (wide, narrow))  # the chance of no right response in k
    worst = low - (1 - narrow / 10) ** EXACT_K
    best = high - (1 - narrow / 5) ** EXACT_K
    assert worst < best < 0
    assert (found.interval.low, found.interval.high) == pytest.approx((worst, best))
    assert found.interval.estimate == pytest.approx((worst + best) / 2)
    assert found.p == 0.0  # every problem agrees, and all that is possible is below the margin
    assert f"{worst:+.3f} to {best:+.3f}" in found.note


def test_where_enumeration_leaves_both_sides_possible_nothing_is_tested():
    rows = [(m, 0, f"p{i}", 1e-7, 1e-2) for m in ("base", "selfplay") for i in range(4)]
    found = FINDINGS["C2"](bounds(rows), "deduction, exact")
    assert found.interval.estimate == pytest.approx(0.0)
    assert found.interval.high > 0.99
    assert found.p == 1.0


def test_the_curves_cross_in_all_draws_or_in_none():
    """Better at k = 1 and worse at k = n / 2 in every problem, and the reverse."""
    base = [(("base", 0, t, f"{t}{i}", 16, 4)) for t in CODE for i in range(10)]
    sharper = [(("selfplay", 0, t, f"{t}{i}", 16, 16 if i < 5 else 0)) for t in CODE for i in range(10)]
    crossing = pd.DataFrame(base + sharper, columns=[*KEYS, "n", "c"])
    found = FINDINGS["C3"](Tables(test=crossing), "")
    assert found.interval.estimate > 0.9
    assert "k* = " in found.note
    swapped = crossing.assign(method=crossing["method"].map({"base": "selfplay", "selfplay": "base"}))
    assert FINDINGS["C3"](Tables(test=swapped), "").interval.estimate < 0.1


def test_lengths_are_judged_over_seeds_and_the_curriculum_over_steps():
    trends = tables().trends
    wide = trends.assign(low_over_seeds=-1.0, high_over_seeds=1.0, se_over_seeds=0.4)
    frame = claims_table(replace(tables(), trends=wide), "nano").set_index(["id", "part"])
    for row in (("C5", ""), ("C6", "all"), ("C6", "within statements")):
        assert frame.loc[row, ["verdict", "covers"]].tolist() == [UNDECIDED, "seeds"]
        assert frame.loc[row, "p"] > 0.3
    assert frame.loc[("C4", ""), ["verdict", "covers"]].tolist() == ["supported", "steps of origin in these runs"]
    one = claims_table(replace(tables(seeds=1), trends=wide.assign(seeds=1)), "micro").set_index(["id", "part"])
    assert one.loc[("C5", ""), "covers"] == "steps of origin in these runs"


def test_answers_that_narrow_as_fast_as_tokens_have_a_ratio_of_one():
    made = tables()
    ends = {"first": 1.0, "last": 0.8}
    steps = made.steps.assign(entropy_full=np.where(made.steps["step"] < 10, ends["first"], ends["last"]))
    jitter = 1 + 0.01 * steps["seed"] * (steps["step"] >= 10)
    steps = steps.assign(entropy_full=steps["entropy_full"] * jitter, entropy_nll=steps["entropy_full"] * jitter)
    trained = made.test["method"] == "selfplay"
    level = made.test.groupby(["task_type", "problem"])["answer_entropy"].transform("max")
    test = made.test.assign(answer_entropy=level.where(~trained, level * 0.8))
    found = FINDINGS["E3"](replace(made, test=test, steps=steps), "")
    ratios = [-0.2 / (0.8 * (1 + 0.01 * seed) - 1) for seed in range(3)]
    assert found.interval.estimate == pytest.approx(np.mean(ratios))
    assert FINDINGS["E3"](made, "").interval.estimate == pytest.approx(-0.3 / -0.2, rel=0.8)


def test_answers_that_narrow_faster_than_tokens_are_found_so():
    made = tables()
    faster = made.test["answer_entropy"].where(made.test["method"] == "base", made.test["answer_entropy"] / 10)
    frame = claims_table(replace(made, test=made.test.assign(answer_entropy=faster)), "nano").set_index("id")
    assert frame.loc["E3", "verdict"] == "supported"
    slower = made.test["answer_entropy"].where(made.test["method"] == "base", 0.99 / 0.7 * made.test["answer_entropy"])
    frame = claims_table(replace(made, test=made.test.assign(answer_entropy=slower)), "nano").set_index("id")
    assert frame.loc["E3", "verdict"] == CONTRADICTED
