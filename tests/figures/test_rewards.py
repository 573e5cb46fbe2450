"""RQ5's figure: shapes of rewards, and two arms compared seed by seed and problem by problem."""

import numpy as np
import pandas as pd
import pytest

from azr.figures.rewards import accuracy_differences, plot_rewards, proposal_changes, proposal_table, rewards_frame
from azr.metrics import paired_seed_interval, t_interval
from azr.rewards import PROPOSER_REWARDS

from .synthetic import TASKS, entropy

ONE, TWO = "def f(x):\n    return x", "def f(x):\n    y = x\n    return y"


def validation(seeds: int = 2, effect: float = -0.1) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = []
    for task in TASKS:
        base = rng.uniform(0.3, 0.7, 10)
        for method in ("selfplay", "half"):
            for seed in range(seeds):
                chance = base + 0.01 * seed + (effect if method == "half" else 0.0)
                rows += [(method, seed, task, f"{task}-{i}", 1000, round(1000 * p)) for i, p in enumerate(chance)]
    return pd.DataFrame(rows, columns=["method", "seed", "task_type", "problem", "n", "c"])


def proposals(seeds: int = 2) -> pd.DataFrame:
    """The default proposes one statement, half of the tasks unsolved; the other two, all at one half."""
    rows = []
    for seed in range(seeds):
        for step in (1, 2):
            rows += [("selfplay", seed, step, "valid", rate, ONE) for rate in (0.0, 0.0, 0.5, 1.0)]
            rows += [("half", seed, step, "valid", 0.5, TWO)] * 4 + [("half", seed, step, "unparsable", np.nan, "def")]
    return pd.DataFrame(rows, columns=["method", "seed", "step", "fate", "solve_rate", "program"])


def steps(seeds: int = 2) -> pd.DataFrame:
    frame = entropy(("selfplay", "half"), seeds=seeds, steps=3)
    accuracy = 0.4 + 0.01 * frame["step"] + 0.1 * frame["seed"]
    return frame.assign(validation_accuracy=accuracy.where((frame["role"] == "solver") & (frame["step"] != 1)))


def drawn(seeds: int = 2):
    frame = rewards_frame(steps(seeds), proposals(seeds), validation(seeds), np.random.default_rng(0))
    return frame, plot_rewards(frame, note="nano")


def test_accuracy_is_paired_by_seed_and_problem():
    table = validation()
    found = accuracy_differences(table, np.random.default_rng(0)).set_index("task_type")
    assert list(found.index) == [*TASKS, "all"]
    assert found["difference"].to_numpy() == pytest.approx([-0.1] * 4, abs=1e-9)
    scores = table.assign(score=table["c"] / table["n"]).query("task_type == 'abduction'")
    own, control = (
        scores[scores["method"] == m].pivot(index="seed", columns="problem", values="score")
        for m in ("half", "selfplay")
    )
    expected = paired_seed_interval(own.to_numpy(), control.to_numpy(), np.random.default_rng(0))
    row = found.loc["abduction"]
    assert (row["low"], row["high"], row["seeds"], row["problems"]) == pytest.approx(
        (expected.low, expected.high, 2, 10)
    )
    assert found.loc["all", "problems"] == 30


def test_only_valid_proposals_count():
    table = proposal_table(proposals()).set_index(["method", "seed"])
    assert table.loc[("selfplay", 0), ["statements", "solve_rate", "learnable"]].tolist() == [1.0, 0.375, 0.25]
    assert table.loc[("half", 1), ["statements", "solve_rate", "learnable"]].tolist() == [2.0, 0.5, 1.0]
    assert table.loc[("half", 0), [0.0, 0.5, 1.0]].tolist() == [0.0, 1.0, 0.0]


def test_proposals_are_compared_seed_by_seed():
    table = proposal_table(proposals(3))
    table.loc[(table["method"] == "half") & (table["seed"] == 2), "statements"] = 4.0
    row = proposal_changes(table).set_index("quantity").loc["statements"]
    expected = t_interval([1.0, 1.0, 3.0])
    assert tuple(row[["difference", "low", "high"]]) == pytest.approx((expected.estimate, expected.low, expected.high))
    shares = proposal_changes(table).set_index("quantity")
    assert shares.loc["share at solve rate 0.5", "difference"] == pytest.approx(0.75)
    assert shares.loc["share at solve rate 0.5", "seeds"] == 3


def test_every_reward_is_drawn_with_its_pay_at_the_ends():
    frame, fig = drawn()
    shape = frame[frame["panel"] == "shape"]
    assert set(shape["method"]) == set(PROPOSER_REWARDS)
    half = shape[shape["method"] == "half"].set_index("x")["value"]
    assert (half.loc[0.0], half.loc[0.5], half.loc[1.0]) == pytest.approx((-0.5, 1.0, -0.5))
    assert len(fig.axes[0].get_lines()) == 2 * len(PROPOSER_REWARDS)


def test_panels_show_both_arms():
    frame, fig = drawn()
    assert [ax.get_title(loc="left") for ax in fig.axes] == [
        "proposer rewards",
        "validation accuracy",
        "accuracy, half − default",
        "entropy (nats per token)",
        "solve rates of proposals",
        "statements of proposals",
    ]
    accuracy = frame[frame["panel"] == "accuracy"]
    assert accuracy.query("method == 'half' and seed == 1 and x == 2")["value"].item() == pytest.approx(0.52)
    assert len(fig.axes[4].patches) == 6  # three solve rates, two arms
    assert fig.axes[3].get_lines()
    fig.canvas.draw()
    assert "over seeds and problems" in fig.get_supxlabel().replace("\n", " ")


def test_a_single_run_has_no_bands():
    _, fig = drawn(seeds=1)
    assert not fig.axes[1].collections
    assert "Single run" in fig.get_supxlabel()
