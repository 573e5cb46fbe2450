"""Entropy over training: means by role, changes with intervals, and what the figure's panels hold."""

import numpy as np
import pandas as pd
import pytest

from azr.figures.entropy import answer_changes, entropy_by_role, entropy_changes, entropy_ends, plot_entropy
from azr.figures.style import METHOD_COLORS
from azr.metrics import t_interval

from .synthetic import TASKS, entropy


def titles(fig) -> list[str]:
    return [ax.get_title(loc="left") for ax in fig.axes if ax.axison]


def thick_line(ax, method: str = "selfplay", linestyle: str = "-") -> np.ndarray:
    lines = [line for line in ax.get_lines() if line.get_color() == METHOD_COLORS[method] and line.get_linewidth() > 1]
    (line,) = [line for line in lines if line.get_linestyle() == linestyle]
    return line.get_ydata()


def straight(first: dict[int, float], last: dict[int, float], method: str, steps: int = 20) -> pd.DataFrame:
    """A solver's entropies: one value in the first half, another in the second, by seed."""
    rows = [
        (method, step, seed, "solver", "deduction", value, value)
        for seed in first
        for step in range(steps)
        for value in [first[seed] if step < steps / 2 else last[seed]]
    ]
    return pd.DataFrame(rows, columns=["method", "step", "seed", "role", "task_type", "entropy_nll", "entropy_full"])


def answers(values: dict[tuple[str, int], list[float]]) -> pd.DataFrame:
    rows = [
        {"method": method, "seed": seed, "task_type": task, "problem": i, "answer_entropy": value}
        for (method, seed), row in values.items()
        for task in TASKS
        for i, value in enumerate(row)
    ]
    return pd.DataFrame(rows)


def test_tokens_weight_the_means_over_task_types():
    frame = entropy(steps=3, seeds=1)
    frame["tokens"] = np.where(frame["task_type"] == "induction", 10, 0.001)
    averaged = entropy_by_role(frame)
    induction = frame[frame["task_type"] == "induction"].groupby("step")["entropy_full"].mean().to_numpy()
    whole = averaged[averaged["role"] == "whole"]
    assert whole["entropy_full"].to_numpy() == pytest.approx(induction, rel=1e-3)
    assert set(averaged["role"]) == {"whole", "proposer", "solver"}


def test_proposals_that_the_base_drew_say_nothing_of_the_proposer():
    frame = entropy(("selfplay", "frozen", "frozen-strict"), steps=10)
    roles = entropy_by_role(frame).groupby("method")["role"].agg(set)
    assert roles["frozen-strict"] == {"solver"}
    assert roles["selfplay"] == roles["frozen"] == {"whole", "proposer", "solver"}
    proposer = next(ax for ax in plot_entropy(frame).axes if ax.get_title(loc="left") == "proposer")
    colors = {line.get_color() for line in proposer.get_lines()}
    assert colors == {METHOD_COLORS["selfplay"], METHOD_COLORS["frozen"]}


def test_ends_are_means_of_a_tenth_of_training():
    frame = straight({0: 1.0}, {0: 0.4}, "selfplay")
    frame.loc[frame["step"] == 19, "entropy_full"] = 0.2
    solver = entropy_ends(frame).set_index("role").loc["solver"]
    assert (solver["first"], solver["last"]) == pytest.approx((1.0, 0.3))  # two of twenty steps


def test_changes_are_within_a_run_and_ends_are_paired_by_seed():
    default = straight({0: 1.0, 1: 2.0, 2: 3.0}, {0: 0.9, 1: 1.7, 2: 2.8}, "selfplay")
    frozen = straight({0: 1.0, 1: 2.0, 2: 3.0}, {0: 1.0, 1: 1.9, 2: 2.8}, "frozen")
    table = entropy_changes(pd.concat([default, frozen])).set_index(["method", "role", "quantity"])
    fall, end = table.loc[("selfplay", "solver", "change")], table.loc[("frozen", "solver", "end")]
    assert fall["value"] == pytest.approx(2.0)
    expected = t_interval([-0.1, -0.3, -0.2])
    assert tuple(fall[["difference", "low", "high"]]) == pytest.approx((-0.2, expected.low, expected.high))
    assert (end["difference"], end["value"]) == pytest.approx((0.1, 1.8))
    assert ("selfplay", "solver", "end") not in table.index
    assert np.isnan(entropy_changes(straight({0: 1.0}, {0: 0.5}, "selfplay"))["low"]).all()


def test_answers_are_compared_problem_by_problem():
    same = {("base", 0): [0.0, 1.0, 2.0], ("selfplay", 0): [0.0, 1.0, 2.0], ("selfplay", 1): [0.0, 1.0, 2.0]}
    table = answer_changes(answers(same), np.random.default_rng(0))
    assert table["task_type"].tolist() == list(TASKS)
    assert (table[["difference", "low", "high"]] == 0).all(axis=None)
    lower = same | {("selfplay", 1): [-0.2, 0.8, 1.8]}
    row = answer_changes(answers(lower), np.random.default_rng(0)).iloc[0]
    assert (row["reference"], row["value"], row["difference"]) == pytest.approx((1.0, 0.9, -0.1))
    assert (row["seeds"], row["problems"]) == (2, 3)


def test_panels_for_roles_task_types_and_checks():
    fig = plot_entropy(entropy(), note="T = 1")
    checks = ["two estimators", "sample − full (nats)"]
    assert titles(fig) == ["whole", "proposer", "solver", *TASKS, *checks]
    assert [text.get_text() for text in fig.legends[0].get_texts()] == [
        "self-play",
        "solver (2nd row)",
        "proposer (2nd row)",
    ]
    assert "S = 3 training seeds, steps 0 to 59" in fig.get_supxlabel()


def test_curves_are_those_of_the_frame():
    frame = entropy()
    fig = plot_entropy(frame)
    means = frame.groupby(["role", "task_type", "step"])["entropy_full"].mean()
    assert thick_line(fig.axes[0]) == pytest.approx(frame.groupby("step")["entropy_full"].mean().to_numpy())
    assert thick_line(fig.axes[4]) == pytest.approx(means["solver", "abduction"].to_numpy())
    assert thick_line(fig.axes[4], linestyle="--") == pytest.approx(means["proposer", "abduction"].to_numpy())


def test_answers_have_a_panel_where_they_are_given():
    values = {("base", 0): [0.0, 1.0], ("selfplay", 0): [0.5, 1.0], ("selfplay", 1): [0.0, 0.8]}
    fig = plot_entropy(entropy(steps=4), answer_changes(answers(values), np.random.default_rng(0)))
    assert titles(fig)[-1] == "answer entropy − base's"
    (bars,) = fig.axes[8].containers
    assert bars.lines[0].get_ydata() == pytest.approx([0.075] * 3)
    assert "over seeds and problems" in fig.get_supxlabel().replace("\n", " ")


def test_gap_panel_shows_a_temperature_that_was_forgotten():
    frame = entropy()
    frame["entropy_nll"] = frame["entropy_full"] + 0.3
    fig = plot_entropy(frame)
    assert "mean gap +0.3000" in fig.axes[6].texts[0].get_text()
    assert thick_line(fig.axes[7]) == pytest.approx(np.full(60, 0.3))


def test_a_single_run_says_so_and_has_no_band():
    fig = plot_entropy(entropy(seeds=1, steps=4))
    assert titles(fig)[0] == "whole (single run)"
    assert not fig.axes[0].collections


def test_methods_are_told_apart_by_colour_and_a_method_without_proposer_can_be_drawn():
    frame = entropy(("selfplay", "frozen", "rlvr"), steps=4)
    frame = frame[(frame["method"] != "rlvr") | (frame["role"] == "solver")]
    fig = plot_entropy(frame)
    shown = {ax.get_title(loc="left"): {line.get_color() for line in ax.get_lines()} for ax in fig.axes[:3]}
    assert len(shown["solver"]) == 3
    assert shown["proposer"] == {METHOD_COLORS["selfplay"], METHOD_COLORS["frozen"]}
    assert "self-play, frozen proposer" in [text.get_text() for text in fig.legends[0].get_texts()]


def test_frames_that_cannot_be_drawn_are_refused():
    with pytest.raises(ValueError, match="lacks the columns entropy_nll"):
        plot_entropy(entropy().drop(columns="entropy_nll"))
    with pytest.raises(ValueError, match="No row has both"):
        plot_entropy(entropy(steps=2).assign(entropy_full=np.nan))
    with pytest.raises(ValueError, match="'whole' is neither proposer nor solver"):
        plot_entropy(entropy(steps=2).replace({"role": {"solver": "whole"}}))
    with pytest.raises(ValueError, match="at most 4"):
        plot_entropy(entropy(("a", "b", "c", "d", "e"), steps=2))
