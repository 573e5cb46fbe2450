"""The baselines: what SFT imitates, what RLVR is paid, and the fixed problems of self-play's estimator."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from azr.models.sampling import Completion
from azr.problems import Graded, load_problems
from azr.prompts.compact import CompactStyle
from azr.training.baselines import FixedProblems, reward_function, rlvr_trainer, worked_rows

from .tiny import TOKENIZER, tiny_model, tiny_profile

STYLE = CompactStyle()
PROBLEMS = load_problems("world/train", limit=5)


def grade(attempts):
    """Right where the response says so, malformed where it is empty."""
    return [Graded(text == "right", bool(text), text) for _, text in attempts]


def test_a_row_of_sft_is_the_prompt_and_the_worked_answer_of_which_only_the_answer_counts():
    rows = worked_rows(PROBLEMS, STYLE, TOKENIZER)
    for problem, row in zip(PROBLEMS.problems, rows, strict=True):
        mask, ids = np.array(row["completion_mask"], bool), np.array(row["input_ids"])
        assert TOKENIZER.decode(ids[~mask]) == "<bos>" + PROBLEMS.prompt(problem, STYLE)
        assert TOKENIZER.decode(ids[mask]) == PROBLEMS.worked(problem, STYLE) + "<eos>"


def test_the_worked_answers_are_right():
    attempts = [(problem, PROBLEMS.worked(problem, STYLE)) for problem in PROBLEMS.problems]
    with PROBLEMS.open_executor(1) as executor:
        assert all(g.correct and g.well_formed for g in PROBLEMS.grade(attempts, STYLE, executor))


def test_rlvr_is_paid_as_the_solver_and_logs_each_group():
    logged = {}
    reward = reward_function(PROBLEMS, grade)
    paid = reward(completions=["right", "wrong", "", "right"], problem=[0, 1, 5, 5], log_metric=logged.__setitem__)
    assert paid == [1, -0.5, -1, 1]
    names = [PROBLEMS.problems[i].group for i in (0, 5)]
    assert logged == {f"{names[0]}/solver/reward": 0.25, f"{names[1]}/solver/reward": 0}


def test_grpo_has_trls_defaults_and_self_plays_rows(tmp_path):
    profile = tiny_profile()
    args = rlvr_trainer(tiny_model(), TOKENIZER, PROBLEMS, STYLE, grade, profile, 0, tmp_path).args
    assert (args.loss_type, args.scale_rewards, args.beta, args.num_iterations) == ("dapo", "group", 0, 1)
    assert args.per_device_train_batch_size * args.gradient_accumulation_steps == profile.rollout.rows
    assert args.steps_per_generation == args.gradient_accumulation_steps
    assert args.num_generations == profile.train.group


@pytest.fixture
def source():
    return FixedProblems(PROBLEMS, STYLE, grade, 24, seed=0)


def test_a_step_of_fixed_problems_has_self_plays_rows_all_of_them_the_solvers(source):
    def generate(prompts, stream):
        return [Completion([1], [2, 3], "right" if i % 2 else "", True) for i in range(len(prompts))]

    result = source.step(1, generate)
    assert Counter(row.group for row in result.rows) == {f"{group}/solver": 8 for group in source.groups}
    assert [row.reward for row in result.rows] == [-1, 1] * 12
    assert result.metrics["tasks"]["deduction"] == {"accuracy": 0.5, "well_formed": 0.5}
    assert result.metrics["tokens"] == {"solved": 48}
    assert not result.fates


def test_problems_repeat_with_step_and_seed_and_come_once_before_any_comes_twice(source):
    asked = []

    def generate(prompts, stream):
        asked.append(prompts)
        return [Completion([1], [2], "", True) for _ in prompts]

    for step, own in ((1, source), (1, FixedProblems(PROBLEMS, STYLE, grade, 24, seed=0)), (2, source)):
        own.step(step, generate)
    assert asked[0] == asked[1] != asked[2]
    assert len(set(asked[0][:5])) == 5
