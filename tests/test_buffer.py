"""The task buffers: what they keep and what they draw."""

import json

import numpy as np
import pytest

from azr import buffer as module
from azr.buffer import TaskBuffer
from azr.tasks import Task, TaskType


def task(number: int, task_type: TaskType = TaskType.DEDUCTION) -> Task:
    return Task(task_type, f"def f(x):\n    return x + {number}", ("1",), (str(number + 1),))


def filled(steps: list[int], task_type: TaskType = TaskType.DEDUCTION) -> TaskBuffer:
    """One task for each of ``steps``, numbered in order."""
    buffer = TaskBuffer()
    for number, step in enumerate(steps):
        buffer.add(task(number, task_type), step)
    return buffer


def test_a_full_buffer_drops_the_oldest(monkeypatch):
    monkeypatch.setattr(module, "CAPACITY", 3)
    assert filled([0, 0, 1, 2]).tasks(TaskType.DEDUCTION) == [task(1), task(2), task(3)]


def test_types_are_kept_apart():
    buffer = filled([0, 0])
    buffer.add(task(0, TaskType.ABDUCTION), 0)
    assert buffer.sizes() == {"deduction": 2, "abduction": 1, "induction": 0}


def test_the_same_program_twice_is_one_distinct_program():
    buffer = filled([0, 0])
    buffer.add(Task(TaskType.DEDUCTION, task(0).program, ("5",), ("5",)), 1)
    assert buffer.sizes()["deduction"] == 3
    assert buffer.distinct_programs(TaskType.DEDUCTION) == 2


def test_problems_are_first_those_of_the_previous_step():
    buffer = filled([0, 0, 0, 1, 2, 2, 3])
    for seed in range(20):
        drawn = buffer.problems(TaskType.DEDUCTION, 4, step=3, rng=np.random.default_rng(seed))
        assert len(drawn) == 4
        assert {t for t, _ in drawn[:2]} == {task(4), task(5)}
        assert [age for _, age in drawn[:2]] == [1, 1]
        assert all(age == 3 - [0, 0, 0, 1, 2, 2, 3][int(t.output) - 1] for t, age in drawn)


def test_of_many_new_problems_only_as_many_as_are_wanted_are_drawn_and_none_twice():
    buffer = filled([1] * 8)
    drawn = [buffer.problems(TaskType.DEDUCTION, 4, 2, np.random.default_rng(seed)) for seed in range(20)]
    assert all(len({t for t, _ in problems}) == 4 for problems in drawn)
    assert {t for problems in drawn for t, _ in problems} == set(buffer.tasks(TaskType.DEDUCTION))


def test_a_buffer_with_too_few_problems_repeats_them():
    drawn = filled([0, 0]).problems(TaskType.DEDUCTION, 6, step=9, rng=np.random.default_rng(0))
    assert len(drawn) == 6
    assert {t for t, _ in drawn} <= {task(0), task(1)}


def test_references_are_drawn_without_replacement_from_the_whole_buffer():
    buffer = filled([0] * 5, TaskType.ABDUCTION)
    drawn = [buffer.references(TaskType.ABDUCTION, 3, np.random.default_rng(seed)) for seed in range(30)]
    assert all(len(set(references)) == 3 for references in drawn)
    assert {reference for references in drawn for reference in references} == set(buffer.tasks(TaskType.ABDUCTION))
    assert len(buffer.references(TaskType.ABDUCTION, 9, np.random.default_rng(0))) == 5


def test_induction_is_shown_one_program_of_the_other_two_types():
    buffer = filled([0, 0])
    buffer.add(task(7, TaskType.ABDUCTION), 0)
    buffer.add(task(8, TaskType.INDUCTION), 0)
    drawn = [buffer.references(TaskType.INDUCTION, 6, np.random.default_rng(seed)) for seed in range(40)]
    assert all(len(references) == 1 for references in drawn)
    assert {references[0] for references in drawn} == {task(0), task(1), task(7, TaskType.ABDUCTION)}


@pytest.mark.parametrize("draw", ["references", "problems"])
def test_draws_repeat_with_the_seed(draw):
    buffer = filled([0] * 50)
    arguments = (TaskType.DEDUCTION, 5) if draw == "references" else (TaskType.DEDUCTION, 5, 3)
    of_seed = [getattr(buffer, draw)(*arguments, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert of_seed[0] == of_seed[1] != of_seed[2]


def test_a_buffer_survives_json():
    buffer = filled([0, 1, 1, 4])
    buffer.add(task(9, TaskType.INDUCTION), 2)
    copy = TaskBuffer.from_json(json.loads(json.dumps(buffer.to_json())))
    assert copy.to_json() == buffer.to_json()
    ages = [age for _, age in copy.problems(TaskType.DEDUCTION, 4, step=5, rng=np.random.default_rng(0))]
    assert ages[0] == 1


def test_references_can_be_kept_to_what_the_buffer_was_seeded_with():
    buffer = filled([0, 0, 1, 2])
    buffer.add(task(9, TaskType.ABDUCTION), 3)
    rng = np.random.default_rng(0)
    assert {t.output for t in buffer.references(TaskType.DEDUCTION, 4, rng, seeds_only=True)} == {"1", "2"}
    programs = {buffer.references(TaskType.INDUCTION, 1, rng, seeds_only=True)[0].program for _ in range(30)}
    assert programs == {task(0).program, task(1).program}
