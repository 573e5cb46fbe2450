"""Arms by what they cost: tokens and responses summed from logs, accuracy at equal tokens, and the figures."""

import numpy as np
import pandas as pd
import pytest

from azr.figures.budgets import (
    ACCURACY,
    ALL,
    budget_means,
    budget_table,
    learning_frame,
    plot_budgets,
    plot_learning,
)

TASKS = ("deduction", "abduction")


def log(steps: int, tokens: int, gain: float, every: int = 2, sampled: bool = True) -> list[dict]:
    """A log of so many trained tokens a step, in responses of ten, whose accuracy rises by ``gain`` a step."""
    records = []
    for step in range(1, steps + 1):
        group = {"length": 10.0, "tokens": tokens / 2, "reward": 0.1 * step, "entropy_full": 1 / step}
        record = {"step": step, "groups": {f"{task}/solver": group for task in TASKS}, "tokens": {"trained": tokens}}
        if sampled:
            record["tokens"] |= {"solved": tokens, "estimated": 3 * tokens}
        else:
            record |= {"loss": 1 / step, "token_accuracy": 0.5}
        if step % every == 0:
            record["validation"] = {"deduction": 0.2 + gain * step, "abduction": 0.4 + gain * step}
        records.append(record)
    return records


VALIDATION = pd.DataFrame(
    [
        ("base", 0, task, i, 4, c)
        for task, c in (("deduction", 1), ("abduction", 2), ("arithmetic", 4))
        for i in range(3)
    ]
    + [("sft", 0, "deduction", 0, 4, 4)],
    columns=["method", "seed", "task_type", "problem", "n", "c"],
)


def frame(seeds: int = 2) -> pd.DataFrame:
    """SFT trains on 40 tokens a step, RLVR on 60."""
    rlvr = [log(8, 60, 0.02 + 0.01 * seed) for seed in range(seeds)]
    return learning_frame({"sft": [log(8, 40, 0.01, sampled=False)] * seeds, "rlvr": rlvr}, VALIDATION, problems=3)


def spent(rows: pd.DataFrame) -> list[list[int]]:
    return rows[["responses", "trained_tokens", "generated_tokens"]].drop_duplicates().to_numpy().tolist()


def test_tokens_and_responses_are_summed_up_to_each_step():
    rows = frame()
    assert spent(rows[(rows["method"] == "rlvr") & (rows["seed"] == 1) & (rows["step"] == 4)]) == [[24, 240, 960]]
    assert spent(rows[(rows["method"] == "sft") & (rows["step"] == 8)]) == [[32, 320, 0]]


def test_what_a_log_has_becomes_quantities():
    rows = frame()
    assert set(rows.loc[rows["method"] == "sft", "quantity"]) >= {"loss", "token accuracy", ACCURACY}
    step = rows[(rows["method"] == "rlvr") & (rows["seed"] == 0) & (rows["step"] == 2)]
    values = step.set_index(["quantity", "task_type"])["value"]
    assert values["solver reward", "deduction"] == pytest.approx(0.2)
    assert values[ACCURACY, "deduction"] == pytest.approx(0.24)
    assert values[ACCURACY, ALL] == pytest.approx(0.34)


def test_the_bases_level_is_of_the_problems_that_training_validates():
    base = frame().query("method == 'base'").set_index("task_type")["value"]
    assert base.to_dict() == {"deduction": 0.25, "abduction": 0.5, ALL: 0.375}


def test_accuracy_is_compared_at_the_tokens_of_the_arm_with_fewest():
    table = budget_table(frame()).set_index(["method", "seed"])
    assert (table["matched_tokens"] == 320).all()
    assert table.loc[("sft", 0), "matched_step"] == 8
    assert table.loc[("rlvr", 0), "matched_step"] == 4  # step 5 is within the 320 tokens too, but was not validated
    assert table.loc[("rlvr", 0), "matched_accuracy"] == pytest.approx(0.3 + 4 * 0.02)
    assert table.loc[("rlvr", 1), "accuracy"] == pytest.approx(0.3 + 8 * 0.03)
    costs = ["steps", "responses", "trained_tokens", "generated_tokens"]
    assert table.loc[("rlvr", 0), costs].tolist() == [8, 48, 480, 1920]


def test_an_arm_not_validated_so_early_has_no_accuracy_there():
    logs = {"sft": [log(8, 20, 0.0)], "rlvr": [log(8, 100, 0.0)]}
    table = budget_table(learning_frame(logs, VALIDATION, problems=3)).set_index("method")
    assert np.isnan(table.loc["rlvr", "matched_accuracy"])
    assert np.isnan(
        budget_means(budget_table(learning_frame(logs, VALIDATION, problems=3))).iloc[1]["matched_accuracy"]
    )


def test_means_over_seeds_have_t_intervals():
    means = budget_means(budget_table(frame())).set_index("method")
    rlvr = means.loc["rlvr"]
    assert rlvr["seeds"] == 2
    assert rlvr["accuracy"] == pytest.approx(0.5)
    assert rlvr["accuracy_low"] < 0.46 < 0.54 < rlvr["accuracy_high"]


def titles(fig) -> list[str]:
    return [ax.get_title(loc="left") for ax in fig.axes if ax.axison]


def test_an_arms_figure_has_what_its_log_has_and_the_base_as_a_line():
    rows = frame()
    fig = plot_learning(rows[rows["method"].isin(["base", "sft"])], ("loss", "token accuracy", "unknown"))
    expected = ["loss", "token accuracy", "accuracy over steps", "accuracy over tokens"]
    assert titles(fig) == expected
    dashed = {float(line.get_ydata()[0]) for line in fig.axes[2].lines if line.get_linestyle() == "--"}
    assert dashed == {0.25, 0.5}
    assert "tokens" in fig.axes[3].get_xlabel()


def test_budgets_are_drawn_against_steps_and_against_tokens():
    fig = plot_budgets(frame(), note="tiny")
    assert titles(fig) == ["accuracy over steps", "accuracy over tokens"]
    ends = [max(line.get_xdata()[-1] for line in ax.lines if line.get_linestyle() == "-") for ax in fig.axes]
    assert ends == [8, 480]
    assert [text.get_text() for text in fig.legends[0].get_texts()] == ["SFT", "RLVR", "base"]


def test_a_single_run_is_called_one():
    assert "(single run)" in titles(plot_budgets(frame(seeds=1)))[0]
