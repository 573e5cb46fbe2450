"""Figure of the claims: which side of the line a row stands on, and its words."""

import numpy as np
import pandas as pd
import pytest

from azr.claims import claims_table
from azr.figures.claims import plot_claims, signed, towards_claim

from .claims_tables import EMPTY, tables


def row(estimate, low, high, side, part="") -> dict:
    ends = {"side_low": side[0], "side_high": side[1]}
    return {"id": "C1", "part": part, "estimate": estimate, "low": low, "high": high} | ends


def distances(*rows: dict) -> list[list[float]]:
    return towards_claim(pd.DataFrame(rows)).to_numpy().tolist()


def test_right_of_the_line_is_the_claims_side_whatever_its_direction():
    assert distances(row(2.0, 1.0, 4.0, (0, np.inf))) == [[0.5, 0.25, 1.0]]
    assert distances(row(2.0, 1.0, 4.0, (-np.inf, 0))) == [[-0.5, -1.0, -0.25]]
    assert distances(row(-0.04, -0.09, 0.01, (-np.inf, 0.01))) == [pytest.approx([0.5, 0.0, 1.0])]


def test_a_bounded_side_has_its_best_place_in_the_middle():
    assert distances(row(0.05, -0.05, 0.15, (-0.1, 0.1))) == [pytest.approx([0.5, -0.5, 1.0])]
    assert distances(row(0.0, -1.0, 1.0, (0.0, 0.0))) == [[0.0, -1.0, 0.0]]  # "contains 0" touches the line


def test_models_share_a_rows_scale_and_parts_do_not():
    side = (0, np.inf)
    found = distances(row(1, 1, 1, side), row(4, 4, 4, side), row(1, 1, 1, side, part="other"))
    assert [values[0] for values in found] == [0.25, 1.0, 1.0]
    assert np.isnan(distances(row(1, np.nan, np.nan, side))[0][1:]).all()


def test_numbers_are_written_with_a_sign_and_whole_ones_without_decimals():
    assert [signed(v) for v in (0.1234, -0.05, 1.0, 0.0, np.nan)] == ["+0.123", "−0.050", "+1", "0", ""]


def test_one_panel_a_model_with_every_row_and_verdict():
    frame = pd.concat([claims_table(tables(), "nano"), claims_table(EMPTY, "micro")])
    fig = plot_claims(frame, note="laptop")
    labels, nano, micro = fig.axes
    assert nano.get_title(loc="left") == "nano (3 seeds)"
    statements = {text.get_text() for text in labels.texts}
    assert {"C1", "E3", "the curves cross", "deduction, exact"} <= statements
    words = [text.get_text() for text in micro.texts]
    assert words.count("not measured") == len(frame) / 2
    assert sum("supported" in text.get_text() for text in nano.texts) == (frame["verdict"] == "supported").sum()
    assert fig.get_supxlabel().endswith("laptop")


def test_a_verdict_that_holm_would_not_leave_is_marked():
    frame = claims_table(tables(), "nano")
    frame.loc[frame["id"] == "C5", "p_holm"] = 0.2
    words = [text.get_text() for text in plot_claims(frame).axes[1].texts]
    assert words.count("supported*") == 1


def test_text_does_not_run_into_the_next_panel():
    frame = pd.concat([claims_table(tables(), "nano"), claims_table(EMPTY, "micro")])
    fig = plot_claims(frame)
    fig.canvas.draw()
    for ax, following in zip(fig.axes[:-1], fig.axes[1:], strict=True):
        ends = max(text.get_window_extent().x1 for text in ax.texts)
        assert ends < following.get_window_extent().x0 + 1
    assert max(text.get_window_extent().x1 for text in fig.axes[-1].texts) < fig.bbox.x1
