"""Training figure: what its panels hold, with and without validation, long and short."""

import numpy as np
import pytest

from azr.figures.entropy import plot_entropy
from azr.figures.style import TASK_COLORS
from azr.figures.training import log_frame, plot_training

from .synthetic import training


def titles(fig) -> list[str]:
    return [ax.get_title(loc="left") for ax in fig.axes if ax.axison]


def thick_line(ax, task: str, linestyle: str = "-") -> np.ndarray:
    chosen = [
        line
        for line in ax.get_lines()
        if line.get_color() == TASK_COLORS[task] and line.get_linewidth() > 1 and line.get_linestyle() == linestyle
    ]
    assert len(chosen) == 1
    return chosen[0].get_ydata()


def test_panels_show_means_over_seeds():
    frame = training(steps=10, validate_every=3)
    fig = plot_training(frame)
    means = frame.groupby(["role", "task_type", "step"])[["reward", "valid_share", "response_length"]].mean()
    assert thick_line(fig.axes[0], "abduction") == pytest.approx(means["reward"]["proposer", "abduction"].to_numpy())
    assert thick_line(fig.axes[1], "induction") == pytest.approx(means["reward"]["solver", "induction"].to_numpy())
    assert thick_line(fig.axes[2], "deduction") == pytest.approx(
        means["valid_share"]["proposer", "deduction"].to_numpy()
    )
    lengths = means["response_length"]["proposer", "deduction"].to_numpy()
    assert thick_line(fig.axes[4], "deduction", "--") == pytest.approx(lengths)
    assert len(thick_line(fig.axes[5], "deduction")) == 4  # validated at steps 0, 3, 6, 9


def test_long_runs_are_smoothed_and_the_caption_says_so():
    fig = plot_training(training(steps=60), note="nano")
    assert "moving average over 4 steps" in fig.get_supxlabel().replace("\n", " ")
    assert "moving average" not in plot_training(training(steps=10)).get_supxlabel()


def test_solve_rates_stack_to_one():
    frame = training(seeds=1, steps=5, rollouts=4)
    fig = plot_training(frame)
    areas = fig.axes[3].collections
    assert len(areas) == 5
    assert max(area.get_paths()[0].vertices[:, 1].max() for area in areas) == pytest.approx(1.0)
    proposer = frame[frame["role"] == "proposer"]
    none = proposer.groupby("step")["solved_0"].sum() / proposer.groupby("step")[
        [f"solved_{k}" for k in range(5)]
    ].sum().sum(axis=1)
    assert areas[0].get_paths()[0].vertices[:, 1].max() == pytest.approx(none.max())


def test_solve_counts_are_ordered_by_number_not_by_name():
    frame = training(seeds=1, steps=3, rollouts=12)
    frame.loc[frame["role"] == "proposer", [f"solved_{k}" for k in range(13)]] = 0
    frame.loc[frame["role"] == "proposer", "solved_2"] = 3
    frame.loc[frame["role"] == "proposer", "solved_10"] = 1
    areas = plot_training(frame).axes[3].collections
    assert areas[2].get_paths()[0].vertices[:, 1].max() == pytest.approx(0.75)
    assert areas[10].get_paths()[0].vertices[:, 1].max() == pytest.approx(1.0)


def test_panels_without_data_are_left_out():
    fig = plot_training(training(steps=4).drop(columns="validation_accuracy"))
    assert not fig.axes[5].axison
    solver_only = training(steps=4).query("role == 'solver'")
    fig = plot_training(solver_only)
    assert titles(fig) == ["solver reward", "response length (tokens)", "validation accuracy"]
    assert [text.get_text() for text in fig.legends[0].get_texts()] == list(TASK_COLORS)[:3]


RECORDS = [
    {
        "step": 1,
        "tasks": {"deduction": {"valid": 0.75, "solve_rate_histogram": [1, 0, 2], "accuracy": 0.4}},
        "groups": {
            "deduction/proposer": {"reward": -0.1, "length": 30.0, "entropy_nll": 0.9, "entropy_full": 0.8},
            "deduction/solver": {"reward": 0.5, "length": 12.0, "entropy_nll": 0.3, "entropy_full": 0.2},
        },
        "validation": {"deduction": 0.35},
        "loss": 0.1,
    },
    {"step": 2, "tasks": {}, "groups": {"deduction/solver": {"reward": 0.6, "length": 13.0}}},
]


def test_log_records_become_rows():
    frame = log_frame(RECORDS, seed=3, method="rlvr")
    proposer, first, second = (row for _, row in frame.iterrows())
    assert (frame["method"] == "rlvr").all()
    assert (frame["seed"] == 3).all()
    assert proposer[["role", "reward", "valid_share", "solved_0", "solved_1", "solved_2"]].tolist() == [
        "proposer", -0.1, 0.75, 1, 0, 2,
    ]  # fmt: skip
    assert first[["role", "response_length", "entropy_full", "validation_accuracy"]].tolist() == [
        "solver",
        12,
        0.2,
        0.35,
    ]
    assert second[["valid_share", "entropy_nll", "solved_0", "validation_accuracy"]].isna().all()
    assert np.isnan(proposer["validation_accuracy"])


def test_log_frames_can_be_drawn():
    frame = log_frame(RECORDS, seed=0)
    assert titles(plot_training(frame))[0] == "proposer reward (single run)"
    assert titles(plot_entropy(frame))[0] == "whole (single run)"
    assert len(titles(plot_training(log_frame(RECORDS[1:], seed=0)))) == 2


def test_a_single_step_and_no_valid_proposal_can_be_drawn():
    frame = training(seeds=1, steps=1)
    assert len(plot_training(frame).axes[3].patches) == 9
    empty = frame.drop(columns=[column for column in frame if column.startswith("solved_")])
    assert plot_training(empty).axes[3].texts[0].get_text() == "not logged"
    nothing_valid = frame.assign(**{f"solved_{k}": 0 for k in range(9)})
    assert plot_training(nothing_valid).axes[3].texts[0].get_text() == "no valid proposal"


def test_missing_columns_are_named():
    with pytest.raises(ValueError, match="lacks the columns reward"):
        plot_training(training(steps=2).drop(columns="reward"))
