"""The claims' rules with numbers worked out by hand, and every verdict on a synthetic study."""

import numpy as np
import pandas as pd
import pytest
from tables.synthetic import synthetic_study

from azr.metrics import Interval
from azr.study import open_study, said
from azr.study.claims import (
    CLAIMS,
    CONTRADICTED,
    NOT_INFORMATIVE,
    NOT_TESTED,
    SUPPORTED,
    UNDECIDED,
    Claim,
    Contrast,
    Tables,
    claims_table,
    find,
    with_base_in_place,
)
from azr.study.readings import READINGS, findings, readings
from azr.study.readme import END, START, claims_block, markdown, write_readme

ABOVE, BELOW = Contrast("test", "pass@1", ">"), Contrast("test", "pass@1", "<")


def between(low: float, high: float) -> Interval:
    """An interval with infinitely many degrees of freedom."""
    return Interval((low + high) / 2, low, high, (high - low) / 2 / 1.959964)


@pytest.fixture(scope="module")
def study() -> dict[str, pd.DataFrame]:
    return synthetic_study(seeds=3, problems=16, models=("nano",))


@pytest.fixture(scope="module")
def table(study) -> pd.DataFrame:
    return claims_table(study)


def table_of(study: dict[str, pd.DataFrame], *ids: str) -> pd.DataFrame:
    return claims_table(study, claims=[claim for claim in CLAIMS if claim.id in ids])


def verdict_of(table: pd.DataFrame, claim: str) -> str:
    (verdict,) = table.loc[table["id"] == claim, "verdict"].unique()
    return verdict


@pytest.mark.parametrize(
    ("interval", "side", "verdict"),
    [
        ((0.01, 0.03), (0.0, np.inf), SUPPORTED),
        ((-0.01, 0.03), (0.0, np.inf), UNDECIDED),
        ((-0.03, -0.01), (0.0, np.inf), CONTRADICTED),
        ((0.01, 0.03), (-np.inf, 0.02), UNDECIDED),
        ((0.01, 0.03), (-np.inf, 0.04), SUPPORTED),
        ((-0.01, 0.01), (-0.02, 0.02), SUPPORTED),
        ((-0.03, 0.01), (-0.02, 0.02), UNDECIDED),
        ((0.03, 0.05), (-0.02, 0.02), CONTRADICTED),
        ((np.nan, np.nan), (0.0, np.inf), UNDECIDED),
    ],
)
def test_a_verdict_says_on_which_side_of_the_margin_the_whole_interval_lies(interval, side, verdict):
    claim = Claim("C", "RQ", "", (ABOVE,))
    assert claim.judge([between(*interval)], [side]) == verdict


def test_all_contrasts_must_support_a_claim_and_one_can_contradict_it():
    crossing, sides = Claim("C3", "RQ1", "", (ABOVE, BELOW)), [(0.0, np.inf), (-np.inf, 0.0)]
    gain, loss, nothing = between(0.01, 0.03), between(-0.03, -0.01), between(-0.01, 0.01)
    assert crossing.judge([gain, loss], sides) == SUPPORTED
    assert crossing.judge([gain, nothing], sides) == UNDECIDED
    assert crossing.judge([nothing, gain], sides) == CONTRADICTED
    # 0.02 and 0.01 with standard error 0.0051: z = 3.92 and 1.96; the worse one counts
    assert crossing.p_value([gain, between(-0.02, 0.0)], sides) == pytest.approx(0.025, abs=1e-4)


def test_between_means_differences_of_opposite_signs_in_either_order():
    claim = Claim("C12", "RQ4", "", (ABOVE, ABOVE), opposite=True)
    more, less, none = between(0.1, 0.2), between(-0.2, -0.1), between(-0.1, 0.1)
    sides = [(-np.inf, np.inf)] * 2
    judged = [claim.judge(pair, sides) for pair in ([more, less], [less, more], [more, more], [more, none])]
    assert judged == [SUPPORTED, SUPPORTED, CONTRADICTED, UNDECIDED]
    assert claim.p_value([more, less], sides) == pytest.approx(claim.p_value([less, more], sides))
    # each order is tested: the p of a standard error's distance of 1.96 doubles
    assert claim.p_value([between(0, 0.2), less], sides) == pytest.approx(0.05, abs=1e-4)
    assert claim.p_value([more, more], sides) > 0.99


def test_margins_are_a_quarter_of_self_plays_own_effect(study):
    tables = Tables(study)
    gain = find(Contrast("test", "pass@1"), tables)[0].estimate
    assert Contrast("test", "pass@K", "<", quarter_of="pass@1").ends(tables) == (-np.inf, pytest.approx(gain / 4))
    fall = find(Contrast("entropy", "solver"), tables)[0].estimate
    assert fall < 0
    low, high = Contrast("entropy", "solver", "=", method="half", control="selfplay", quarter_of="solver").ends(tables)
    assert (low, high) == (pytest.approx(fall / 4), pytest.approx(-fall / 4))


def test_the_numbers_are_those_of_the_counts(study):
    test = study["test"].query("group in ('deduction', 'abduction', 'induction')")
    share = test.assign(value=test["c"] / test["n"]).set_index("method")["value"]
    own = share[(test["step"] == 60).to_numpy()]["selfplay"].mean()
    control = share[((test["step"] == 0) & (test["seed"] == 0)).to_numpy()]["base"].mean()
    found, seeds, problems = find(ABOVE, Tables(study))
    assert found.estimate == pytest.approx(own - control)
    assert (seeds, problems) == (3, 48)
    wide, narrow = find(ABOVE, Tables(study))[0], find(Contrast("test", "pass@1", level=0.9), Tables(study))[0]
    assert wide.low < narrow.low < narrow.high < wide.high


def test_a_study_with_an_effect_supports_what_is_there_and_calls_the_rest_by_name(table):
    assert {verdict_of(table, claim) for claim in ("C1", "C7", "C10", "C12")} == {SUPPORTED}
    assert verdict_of(table, "C6") == NOT_INFORMATIVE  # length follows difficulty for the base's proposals, too
    assert not table["note"].str.startswith("not measured").any()
    assert set(table.loc[table["id"].isin(["E3", "E4"]), "verdict"]) == {""}
    own = table.drop_duplicates("id").set_index("id")
    assert own.loc["C7", "base_low"] < 0.01
    assert own.loc["C7", "base_high"] > -0.01
    assert own.loc["C1", "p_holm"] >= own.loc["C1", "p"]
    assert own.loc["E1":, "p_holm"].isna().all()
    assert own.loc["C1":"C14", "p_holm"].notna().all()


def test_a_share_of_the_start_is_no_number_of_nats(table):
    units = table.drop_duplicates("id").set_index("id")["unit"]
    assert (units["C7"], units["C9"], units["E3"]) == ("nats a token", "share of the start", "share of the start")


def test_training_that_harms_contradicts_and_leaves_no_margin(study):
    harmed = {"test": study["test"].assign(c=study["test"]["n"] - study["test"]["c"])}
    assert verdict_of(table_of(harmed, "C1"), "C1") == CONTRADICTED
    assert Contrast("test", "pass@K", "<", quarter_of="pass@1").ends(Tables(harmed)) == (-np.inf, 0.0)


def test_without_seeds_measures_or_a_difference_of_proposals_nothing_is_tested(study):
    few = {"test": study["test"].query("method == 'base' or seed < 2")}
    table = table_of(few, "C1", "C7")
    assert verdict_of(table, "C1") == NOT_TESTED
    assert table.set_index("id").loc["C1", "estimate"] > 0
    assert "not measured" in table.set_index("id").loc["C7", "note"]
    table = table_of({"entropy": study["entropy"].query("method != 'frozen'")}, "C7", "C10")
    assert [verdict_of(table, "C7"), verdict_of(table, "C10")] == [SUPPORTED, NOT_TESTED]
    same = study | {"proposals": study["proposals"].assign(solve_rate=0.5)}
    assert verdict_of(table_of(same, "C13"), "C13") == NOT_TESTED


def test_in_a_study_of_the_base_alone_arms_are_the_base_and_updates_are_none(study):
    placed = with_base_in_place(study)
    tables = Tables(placed)
    assert find(ABOVE, tables)[0].estimate == pytest.approx(0, abs=0.05)
    assert verdict_of(table_of(placed, "C1"), "C1") == UNDECIDED
    control = placed["test"].query("method == 'base' and seed == 0")
    own = placed["test"].query("method == 'selfplay' and seed == 0")
    assert len(own) == len(control)
    assert (own["c"].to_numpy() != control["c"].to_numpy()).any()
    full = placed["sparsity"][placed["sparsity"]["method"].str.endswith("-full")]
    assert (full["unchanged"] == full["parameters"]).all()
    assert find(Contrast("ρ", "step, solve rate", method="frozen", control="selfplay"), tables)[1] == 3


def test_what_the_base_gets_is_left_out_where_it_is_0_by_construction(table):
    ids = table.set_index("id")["base"]
    assert ids[["C4", "C10", "C11a", "C11b", "C12", "C13", "C14"]].isna().all()
    assert ids[["C1", "C2", "C6", "C7", "E2"]].notna().all()


def test_the_readme_counts_verdicts_and_has_one_row_a_claim(study, table):
    found = findings(study, table)
    gain = table.set_index("id").loc["C1"]
    assert "**nano** (3 training seeds; " in found
    assert f"pass@1 by {said(gain)} (self-play)" in found
    assert f"{gain['base']:+.3f} [{gain['base_low']:+.3f}, {gain['base_high']:+.3f}] (the base, sampled again)" in found
    rows = claims_block(table).splitlines()
    assert rows[0] == "| claim | the paper says | nano |"
    assert len(rows) == 2 + table.loc[table["confirmatory"], "id"].nunique()
    assert markdown(pd.DataFrame({"a": ["x | y"]})).splitlines()[2] == "| x \\| y |"


def test_the_readme_keeps_its_other_words(study, table, tmp_path):
    (tmp_path / "README.md").write_text(f"# azr\n\n{START}\nold numbers\n{END}\n\n## More\n")
    (tmp_path / "docs").mkdir()
    reference = open_study("reference", runs=tmp_path)
    reference.frames, reference.claims = study, table
    write_readme(reference, tmp_path)
    text = (tmp_path / "README.md").read_text()
    assert text.startswith(f"# azr\n\n{START}\n**nano** (")
    assert text.endswith(f"\n{END}\n\n## More\n")
    assert "| C1 | self-play solves more at small k |" in text
    assert "| C14 |" in (tmp_path / "docs" / "results.md").read_text()


def test_figures_are_read_in_sentences_with_the_claims_own_numbers(study, table):
    gain = table.set_index("id").loc["C1"]
    (small, large, *_) = readings("fig04_passk", study)
    assert f"{gain['estimate']:+.3f} [{gain['low']:+.3f}, {gain['high']:+.3f}], above 0" in small
    assert "pass@K" in large
    for name, contrasts in READINGS.items():
        assert len(readings(name, study)) == len(contrasts), name
    assert readings("fig04_leash", {"test": study["test"].query("method != 'selfplay'")}) == []
