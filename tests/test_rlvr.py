"""RLVR's fixed problems: the order in which they come, and that a step is self-play's solver and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from azr.config import RolloutConfig
from azr.executor import Executor
from azr.prompts.compact import CompactStyle
from azr.rlvr import FixedProblems, epochs
from azr.sampling import Completion
from azr.tasks import Role, TaskType
from azr.world.grammar import split_of
from azr.world.worked import worked_problems

WORKED = worked_problems(5)
STYLE = CompactStyle()


@given(count=st.integers(1, 7), size=st.integers(1, 9), steps=st.integers(1, 9), seed=st.integers(0, 3))
def test_every_problem_comes_once_before_any_comes_again(count, size, steps, seed):
    drawn = np.concatenate([epochs(count, size, step, seed, 0) for step in range(1, steps + 1)])
    assert len(drawn) == count * steps
    for start in range(0, len(drawn) - size + 1, size):
        assert sorted(drawn[start : start + size]) == list(range(size))


def test_the_order_depends_on_seed_and_epoch():
    first, second = epochs(50, 50, 1, 0, 0), epochs(50, 50, 2, 0, 0)
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, epochs(50, 50, 1, 1, 0))
    assert np.array_equal(first, epochs(50, 50, 1, 0, 0))


@pytest.fixture(scope="module")
def executor():
    with Executor(workers=1) as executor:
        yield executor


def test_the_worked_answers_are_right_and_well_formed(executor):
    from azr.selfplay import grade

    responses = [Completion([], [], worked.response(STYLE)) for worked in WORKED]
    correct, formed = grade([worked.task for worked in WORKED], responses, STYLE, executor)
    assert correct.all()
    assert formed.all()


def test_the_worked_problems_are_fixed_and_come_from_the_train_split():
    assert worked_problems(5) == WORKED
    assert worked_problems(3) == [worked for at, worked in enumerate(WORKED) if at % 5 < 3]
    assert [worked.task.type for worked in WORKED] == [t for t in TaskType for _ in range(5)]
    assert {split_of(worked.task.program) for worked in WORKED} == {"train"}


def test_worked_answers_read_back_in_the_papers_style_too(executor):
    from azr.prompts.paper import PaperStyle
    from azr.selfplay import grade

    style = PaperStyle(None)
    responses = [Completion([], [], worked.response(style)) for worked in WORKED]
    correct, formed = grade([worked.task for worked in WORKED], responses, style, executor)
    assert correct.all()
    assert formed.all()


def test_a_step_has_as_many_responses_as_self_plays_all_of_them_the_solvers(executor):
    right = {STYLE.solve(worked.task): worked.response(STYLE) for worked in WORKED}
    config = RolloutConfig(batch=4)
    source = FixedProblems([worked.task for worked in WORKED], config, STYLE, executor, seed=0)

    def generate(prompts):  # every second response is right
        return [Completion([1], [2, 3], right[p] if i % 2 else "nonsense") for i, p in enumerate(prompts)]

    result = source.step(1, generate)
    assert source.rows_per_step == len(result.rows) == 24
    assert {row.role for row in result.rows} == {Role.SOLVER}
    assert [row.reward for row in result.rows] == [-1.0, 1.0] * 12
    assert result.metrics["tasks"]["deduction"] == {"accuracy": 0.5, "well_formed": 0.5}
    assert result.metrics["tokens"] == {"solved": 48}
    assert (result.fates, source.state()) == ([], [])
