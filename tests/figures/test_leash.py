"""Exact pass@k and the leash: frames by hand, what is drawn open, and what counts as beyond the leash."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from azr.exact.gains import with_counts
from azr.figures.leash import (
    exact_pass_frame,
    leash_counts,
    leash_frame,
    plot_exact_pass_at_k,
    plot_leash,
    support_counts,
)

from .synthetic import counts


def exact(methods=("base", "selfplay"), seeds=2, problems=12, tasks=("deduction", "abduction"), gap=1.0):
    """Made-up bounds: wide for every other problem."""
    rng = np.random.default_rng(0)
    rows = []
    for task in tasks:
        base = -rng.exponential(4, problems)
        for method in methods:
            for seed in range(1 if method == "base" else seeds):
                lower = base if method == "base" else np.minimum(base + rng.normal(0, 0.5, problems), -0.01)
                upper = np.where(np.arange(problems) % 2 == 0, lower, np.minimum(lower + 5 * gap, 0))
                rows += [(method, seed, task, i, lower[i], upper[i]) for i in range(problems)]
    return pd.DataFrame(rows, columns=["method", "seed", "task_type", "problem", "log_lower", "log_upper"])


def pairs(*rows) -> pd.DataFrame:
    """Base and trained bounds of problems: (base lower, base upper, lower, upper)."""
    base = [("base", 0, "deduction", i, r[0], r[1]) for i, r in enumerate(rows)]
    trained = [("selfplay", 0, "deduction", i, r[2], r[3]) for i, r in enumerate(rows)]
    return pd.DataFrame([*base, *trained], columns=list(exact()))


def test_pass_at_k_runs_from_the_probability_itself_to_a_million_samples():
    frame = exact_pass_frame(pairs((np.log(0.5), np.log(0.5), -np.inf, np.log(1e-6)))).set_index(["method", "k"])
    assert frame.loc[("base", 1), ["lower", "upper"]].tolist() == pytest.approx([0.5, 0.5])
    assert frame.loc[("selfplay", 10**6), "lower"] == 0
    assert frame.loc[("selfplay", 10**6), "upper"] == pytest.approx(1 - np.exp(-1), abs=1e-6)
    assert frame["problems"].tolist() == [1] * len(frame)


def test_curves_rise_with_k_and_samples_lie_between_bounds():
    table = exact()
    samples = table[["method", "seed", "task_type", "problem"]].assign(n=16, c=3)
    frame = exact_pass_frame(with_counts(table, samples))
    assert set(frame[frame["sampled"].notna()]["k"]) == {k for k in frame["k"] if k <= 8}
    few = frame.dropna(subset=["sampled"])
    assert (few["lower"] <= few["sampled"] + 1e-12).all()
    assert (few["sampled"] <= few["upper"] + 1e-12).all()
    for _, curve in frame.sort_values("k").groupby(["method", "task_type"]):
        assert (np.diff(curve[["lower", "upper"]], axis=0) >= -1e-12).all()
        assert (np.diff(curve["sampled"].dropna()) >= -1e-12).all()
    assert exact_pass_frame(table)["sampled"].isna().all()


def test_samples_count_by_the_unbiased_estimate_and_not_by_their_frequency():
    table = pairs(*[(-np.inf, 0.0, -np.inf, 0.0)] * 2)  # nothing is known
    samples = table[["method", "seed", "task_type", "problem"]].assign(n=16, c=[2, 0, 1, 0])
    frame = exact_pass_frame(with_counts(table, samples)).set_index(["method", "k"])["sampled"]
    assert frame["base", 4] == pytest.approx((1 - (12 * 11) / (16 * 15)) / 2)
    assert frame["selfplay", 4] == pytest.approx((4 / 16) / 2)


def test_a_closed_range_is_solid_and_an_open_one_dotted():
    closed = plot_exact_pass_at_k(exact_pass_frame(exact(gap=0.0)))
    solid, dashed = (
        [line for line in closed.axes[0].get_lines() if line.get_linestyle() == style] for style in ("-", "--")
    )
    assert all(np.isfinite(line.get_ydata()).all() for line in solid)
    assert all(np.isnan(line.get_ydata()).all() for line in dashed)
    wide = plot_exact_pass_at_k(exact_pass_frame(exact()), note="nano")
    assert [ax.get_title(loc="left") for ax in wide.axes] == ["deduction", "abduction"]
    assert any(np.isnan(line.get_ydata()).any() for line in wide.axes[0].get_lines() if line.get_linestyle() == "-")
    assert any(np.isfinite(line.get_ydata()).any() for line in wide.axes[0].get_lines() if line.get_linestyle() == "--")
    assert wide.get_supxlabel().endswith("nano")


def test_dots_stand_at_base_and_trained_and_loose_ones_are_hollow():
    frame = leash_frame(pairs((-2, -2, -1, -1), (-25, -25, -3, -1)))
    assert frame[["base", "trained"]].to_numpy().tolist() == [[-2, -1], [-25, -3]]
    assert frame["loose"].tolist() == [False, True]
    fig = plot_leash(frame)
    dots = {tuple(c.get_offsets()[0].tolist()): len(c.get_facecolors()) for c in fig.axes[0].collections}
    assert dots == {(-2, -1): 1, (-25, -3): 0}
    assert fig.axes[0].get_title(loc="left") == "self-play (single run)"


def test_seeds_share_a_dot_and_methods_have_panels():
    fig = plot_leash(leash_frame(exact(methods=("base", "rlvr", "selfplay"))))
    assert [ax.get_title(loc="left") for ax in fig.axes] == ["RLVR", "self-play"]
    assert sum(len(c.get_offsets()) for c in fig.axes[1].collections) == 24


def test_a_reference_of_several_seeds_counts_with_its_mean_probability():
    table = pairs((np.log(0.2), np.log(0.2), -1, -1))
    second = table[table["method"] == "base"].assign(seed=1, log_lower=np.log(0.4), log_upper=np.log(0.4))
    (row,) = leash_frame(pd.concat([table, second])).itertuples()
    assert np.exp(row.base_lower) == pytest.approx(0.3)


def test_problems_are_counted_by_lower_bounds_and_by_what_is_certain():
    table = pairs(
        (-2, -2, -1, -1),  # kept
        (-2, -2, -30, -25),  # lost, and certainly so
        (-2, -2, -30, -1),  # lost by the lower bound alone
        (-30, -25, -3, -1),  # gained, and certainly so
        (-30, -1, -3, -1),  # gained by the lower bound alone
        (-30, -1, -30, -1),  # neither
        (-10, -1, -10, -1),  # between the thresholds
    )
    (row,) = leash_counts(table).itertuples()
    assert (row.kept, row.lost, row.gained, row.neither, row.unclear) == (1, 2, 2, 1, 1)
    assert (row.certainly_gained, row.certainly_lost, row.certainly_reachable) == (1, 1, 4)
    assert row.problems == 7


def test_samples_count_problems_kept_and_lost():
    table = counts(seeds=2, problems=20)
    rows = support_counts(table)
    assert len(rows) == 6
    assert (rows[["kept", "lost", "gained", "neither"]].sum(axis=1) == 20).all()
    one = table.query("task_type == 'deduction'").pivot(index="problem", columns=["method", "seed"], values="c")
    row = rows.query("task_type == 'deduction' and seed == 1").iloc[0]
    assert row["lost"] == ((one["base", 0] > 0) & (one["selfplay", 1] == 0)).sum()
    assert row["samples"] == 128


def test_samples_of_different_numbers_are_not_compared():
    table = counts(seeds=1, problems=5)
    table.loc[0, "n"] = 64
    with pytest.raises(ValueError, match="different numbers of samples"):
        support_counts(table)


def test_a_frame_without_the_base_is_refused():
    with pytest.raises(ValueError, match="no rows of base"):
        leash_frame(exact(methods=("selfplay",)))


@pytest.mark.parametrize(
    "draw",
    [lambda t: plot_exact_pass_at_k(exact_pass_frame(t)), lambda t: plot_leash(leash_frame(t))],
    ids=["k", "leash"],
)
def test_legend_caption_and_panels_do_not_overlap(draw):
    fig = draw(exact(methods=("base", "rlvr", "selfplay"), tasks=("deduction", "abduction", "induction")))
    fig.canvas.draw()
    legend, caption = fig.legends[0].get_window_extent(), fig._supxlabel.get_window_extent()
    for ax in fig.axes:
        assert not legend.overlaps(ax.get_tightbbox())
        assert not caption.overlaps(ax.get_tightbbox())
