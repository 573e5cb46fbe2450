"""pass@k figure: its frame by hand, its invariants, and what is drawn."""

import numpy as np
import pandas as pd
import pytest

from azr.figures.passk import default_ks, pass_at_k_frame, plot_pass_at_k
from azr.metrics import pass_at_k

from .synthetic import counts


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_frame_of_hand_computable_counts():
    rows = [("base", 0, "deduction", p, 4, c) for p, c in ((0, 0), (1, 2))]
    rows += [("selfplay", s, "deduction", p, 4, c) for s, p, c in ((0, 0, 1), (0, 1, 4), (1, 0, 1), (1, 1, 2))]
    table = pd.DataFrame(rows, columns=["method", "seed", "task_type", "problem", "n", "c"])
    frame = pass_at_k_frame(table, [1, 2], rng()).set_index(["quantity", "method", "seed", "k"])["estimate"]
    assert frame["pass@k", "base", "mean", 1] == pytest.approx((0 + 0.5) / 2)
    assert frame["pass@k", "base", "mean", 2] == pytest.approx((0 + 5 / 6) / 2)
    assert frame["pass@k", "selfplay", "0", 1] == pytest.approx((0.25 + 1) / 2)
    assert frame["pass@k", "selfplay", "1", 1] == pytest.approx((0.25 + 0.5) / 2)
    assert frame["difference", "selfplay", "mean", 1] == pytest.approx(0.5 - 0.25)
    assert frame["difference", "selfplay", "1", 1] == pytest.approx(0.375 - 0.25)
    assert "base" not in frame["difference"].index.get_level_values("method")


def test_frame_agrees_with_the_estimator_and_bands_hold_their_estimate():
    table = counts(seeds=2)
    frame = pass_at_k_frame(table, None, rng())
    assert sorted(frame["k"].unique()) == default_ks(128) == [1, 2, 4, 8, 16, 32, 64]
    base = table[(table["method"] == "base") & (table["task_type"] == "abduction")]
    mean = frame[frame["seed"] == "mean"]
    row = mean.query("quantity == 'pass@k' and method == 'base' and task_type == 'abduction' and k == 16").iloc[0]
    assert row["estimate"] == pytest.approx(pass_at_k(base["n"], base["c"], 16).mean())
    assert row[["seeds", "problems", "samples", "band"]].tolist() == [1, 60, 128, "problems"]
    for low, high in (
        ("low_simultaneous", "low"),
        ("low", "estimate"),
        ("estimate", "high"),
        ("high", "high_simultaneous"),
    ):
        assert (mean[low] <= mean[high] + 1e-12).all()
    assert mean.query("quantity == 'difference'")["band"].unique().tolist() == ["seeds and problems"]
    curves = mean[mean["quantity"] == "pass@k"].sort_values("k").groupby(["method", "task_type"])["estimate"]
    assert all(np.all(np.diff(curve) >= 0) for _, curve in curves)


def test_equal_counts_give_a_difference_of_zero_everywhere():
    base = counts(methods=("base",), tasks=("deduction",))
    frame = pass_at_k_frame(pd.concat([base, base.assign(method="selfplay")]), None, rng())
    difference = frame[frame["quantity"] == "difference"]
    assert (difference[["estimate", "low", "high", "low_simultaneous", "high_simultaneous"]] == 0).all(axis=None)


def test_the_same_generator_gives_the_same_frame():
    pd.testing.assert_frame_equal(pass_at_k_frame(counts(), None, rng()), pass_at_k_frame(counts(), None, rng()))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda t: t.drop(columns=["n", "c"]), "lacks the columns n, c"),
        (lambda t: t.iloc[:0], "no rows"),
        (lambda t: pd.concat([t, t.tail(1)]), "has problem 59 .induction. twice"),
        (lambda t: t[:-1], "selfplay has seeds that lack some induction problems"),
        (lambda t: t[(t["method"] == "base") | (t["problem"] > 3)], "selfplay was not measured on the same deduction"),
    ],
)
def test_counts_that_cannot_be_compared_are_refused(spoil, message):
    with pytest.raises(ValueError, match=message):
        pass_at_k_frame(spoil(counts(seeds=2)), None, rng())


def test_k_beyond_the_samples_is_refused():
    with pytest.raises(ValueError, match="k is 256 but a problem has only 128 samples"):
        pass_at_k_frame(counts(), [1, 256], rng())


def test_figure_has_a_column_a_task_type_and_a_zero_line_under_differences():
    fig = plot_pass_at_k(pass_at_k_frame(counts(), None, rng()), note="T = 1")
    assert len(fig.axes) == 6
    assert [ax.get_title(loc="left") for ax in fig.axes[:3]] == ["deduction", "abduction", "induction"]
    assert fig.axes[0].get_xscale() == "log"
    assert list(fig.axes[3].get_lines()[0].get_ydata()) == [0, 0]
    assert [text.get_text() for text in fig.legends[0].get_texts()] == ["base", "self-play"]
    caption = fig.get_supxlabel().replace("\n", " ")
    assert "S = 3 training seeds, M = 60 problems a panel, n = 128 samples" in caption
    assert caption.endswith("T = 1")


def test_figure_says_so_when_there_is_a_single_run():
    fig = plot_pass_at_k(pass_at_k_frame(counts(seeds=1, tasks=("deduction",)), None, rng()))
    assert fig.axes[0].get_title(loc="left") == "deduction (single run)"
    assert "nothing about other training seeds" in fig.get_supxlabel().replace("\n", " ")


def test_figure_without_a_reference_shows_curves_only():
    fig = plot_pass_at_k(pass_at_k_frame(counts(methods=("selfplay", "rlvr")), None, rng()))
    assert len(fig.axes) == 3


def test_figure_shades_k_beyond_half_the_samples():
    frame = pass_at_k_frame(counts(tasks=("deduction",)), [1, 32, 128], rng())
    fig = plot_pass_at_k(frame)
    assert any(patch.get_x() == 64 for patch in fig.axes[0].patches)


def test_legend_and_panels_do_not_overlap():
    fig = plot_pass_at_k(pass_at_k_frame(counts(), None, rng()))
    fig.canvas.draw()
    legend = fig.legends[0].get_window_extent()
    caption = fig._supxlabel.get_window_extent()
    for ax in fig.axes:
        assert not legend.overlaps(ax.get_tightbbox())
        assert not caption.overlaps(ax.get_tightbbox())


def test_a_single_k_has_bars_in_place_of_bands():
    frame = pass_at_k_frame(counts(tasks=("deduction",)), [1], rng())
    fig = plot_pass_at_k(frame, reference="base")
    (bars, _) = fig.axes[0].containers
    assert bars.lines[0].get_ydata() == pytest.approx(frame["estimate"][0])
    assert not fig.axes[0].patches  # nothing is shaded
    assert "Thin lines" not in fig.get_supxlabel()


def test_the_axis_of_differences_names_the_reference():
    table = counts(methods=("rlvr", "selfplay"), tasks=("deduction",))
    fig = plot_pass_at_k(pass_at_k_frame(table, None, rng(), reference="rlvr"), reference="rlvr")
    assert fig.axes[1].get_ylabel() == "pass@k − RLVR, paired"
