"""Claims: what makes a verdict, that none is dropped, and Holm over the confirmatory ones."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from figures.claims_tables import EMPTY, tables

from azr.claims import (
    CLAIMS,
    CONTRADICTED,
    NOT_MEASURED,
    SUPPORTED,
    UNDECIDED,
    by_interval,
    claims_table,
    none_counted,
)
from azr.findings import FINDINGS, Finding
from azr.metrics import Interval, holm

ABOVE, WITHIN = (0.0, np.inf), (-0.1, 0.1)


def finding(low: float, high: float, estimate: float | None = None) -> Finding:
    return Finding(Interval((low + high) / 2 if estimate is None else estimate, low, high, 0.1), 3, "seeds")


def verdicts(frame: pd.DataFrame) -> dict[str, str]:
    names = (frame["id"] + " " + frame["part"]).str.strip()
    return dict(zip(names, frame["verdict"], strict=True))


@pytest.mark.parametrize(
    ("low", "high", "side", "verdict"),
    [
        (0.01, 0.03, ABOVE, SUPPORTED),
        (-0.03, -0.01, ABOVE, CONTRADICTED),
        (-0.01, 0.03, ABOVE, UNDECIDED),
        (-0.09, 0.09, WITHIN, SUPPORTED),
        (-0.3, -0.11, WITHIN, CONTRADICTED),
        (0.11, 0.3, WITHIN, CONTRADICTED),
        (-0.3, 0.3, WITHIN, UNDECIDED),
        (0.05, 0.15, WITHIN, UNDECIDED),
        (np.nan, np.nan, ABOVE, UNDECIDED),
    ],
)
def test_the_whole_interval_must_lie_on_one_side(low, high, side, verdict):
    assert by_interval(finding(low, high), side) == verdict


@pytest.mark.parametrize(
    ("certain", "possible", "verdict"), [(0, 0, SUPPORTED), (0, 2, UNDECIDED), (1, 1, CONTRADICTED)]
)
def test_a_count_is_judged_by_what_is_certain(certain, possible, verdict):
    assert none_counted(finding(certain, possible), (-np.inf, 0.0)) == verdict


def test_every_claim_has_a_number_behind_it_and_none_is_dropped():
    assert [claim.id for claim in CLAIMS] == [f"C{i}" for i in range(1, 15)] + ["E1", "E2", "E3"]
    assert set(FINDINGS) == {claim.id for claim in CLAIMS}
    frame = claims_table(EMPTY, "nano")
    assert len(frame) == sum(len(claim.parts) for claim in CLAIMS)
    assert set(frame["verdict"]) == {NOT_MEASURED}
    assert frame["note"].str.startswith("missing: ").all()
    assert frame["estimate"].isna().all()
    assert (frame["model"] == "nano").all()


def test_a_study_that_behaves_as_the_paper_says_supports_it():
    frame = claims_table(tables(), "nano")
    pd.testing.assert_frame_equal(frame, claims_table(tables(), "nano"))
    found = verdicts(frame)
    expected = [name for name in found if not name.endswith("exact") and name[:2] not in ("C3", "E3")]
    assert {name: found[name] for name in expected} == dict.fromkeys(expected, SUPPORTED)
    assert (frame["seeds"] == 3).all()
    confirmatory = frame[frame["confirmatory"]]
    assert confirmatory["p_holm"].to_numpy() == pytest.approx(holm(confirmatory["p"]), nan_ok=True)
    assert frame.loc[~frame["confirmatory"], "p_holm"].isna().all()
    by_id = frame.set_index("id")
    assert by_id.loc[["C3", "C12", "E2"], "p"].isna().all()  # rules that test no margin
    assert by_id.loc["C7", "covers"] == "seeds"
    assert by_id.loc["C13", ["covers", "problems"]].tolist() == ["seeds and problems", 120]


def test_a_study_that_behaves_otherwise_contradicts_it():
    found = verdicts(claims_table(tables(reverse=True), "nano"))
    for name in ("C1 deduction", "C4", "C5", "C6 all", "C7", "C8", "C9", "C10", "C11 validation accuracy", "C12"):
        assert found[name] == CONTRADICTED, name
    assert found["C11 curriculum"] == CONTRADICTED


def test_a_single_run_decides_over_problems_and_not_over_seeds():
    frame = claims_table(tables(seeds=1), "micro")
    found = verdicts(frame)
    covers = dict(zip(frame["id"], frame["covers"], strict=True))
    assert found["C1 deduction"] == SUPPORTED
    assert covers["C1"] == "problems of one run"
    for name in ("C7", "C8", "C9", "C10", "C14 solver"):
        assert found[name] == UNDECIDED, name
        assert covers[name[:3].strip()] == "no interval", name
    assert found["C12"] == SUPPORTED  # its rule needs no interval


def test_what_is_missing_of_one_arm_does_not_touch_the_others():
    full = tables()
    table = replace(full, steps=full.steps[full.steps["method"] == "selfplay"], exact=None)
    frame = claims_table(table, "nano")
    found = verdicts(frame)
    assert found["C7"] == SUPPORTED
    assert found["C10"] == found["C14 whole"] == found["C2 deduction, exact"] == found["E2"] == NOT_MEASURED
    notes = dict(zip(frame["id"], frame["note"], strict=True))
    assert notes["C10"] == "missing: training log of frozen"
