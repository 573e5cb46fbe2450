"""Tasks: what a solver is shown of them, and their way to a JSON line and back."""

import json

import pytest

from azr.tasks import Task, TaskType

PROGRAM = "def f(x):\n    return x * x"


def squares(count: int) -> Task:
    numbers = range(1, count + 1)
    return Task(TaskType.INDUCTION, PROGRAM, tuple(map(str, numbers)), tuple(str(n * n) for n in numbers), "square")


@pytest.mark.parametrize(("pairs", "shown"), [(1, 1), (2, 1), (5, 3), (6, 3), (10, 5)])
def test_the_solver_sees_the_first_half_of_the_pairs_and_never_the_others(pairs, shown):
    task = squares(pairs)
    assert len(task.shown) == shown
    assert task.shown + task.hidden == tuple((str(n), str(n * n)) for n in range(1, pairs + 1))


@pytest.mark.parametrize("task", [squares(6), Task(TaskType.ABDUCTION, PROGRAM, ("'é\n', [1]",), ('"a"',))])
def test_a_task_survives_json(task):
    assert Task.from_json(json.loads(json.dumps(task.to_json()))) == task


def test_the_answer_is_what_is_hidden():
    pair = {task_type: Task(task_type, PROGRAM, ("3",), ("9",)).answer for task_type in TaskType}
    assert pair == {"deduction": "9", "abduction": "3", "induction": PROGRAM}


def test_a_task_has_as_many_outputs_as_inputs_and_at_least_one():
    with pytest.raises(ValueError, match="2 inputs for 1 outputs"):
        Task(TaskType.INDUCTION, PROGRAM, ("1", "2"), ("1",))
    with pytest.raises(ValueError, match="needs pairs"):
        Task(TaskType.DEDUCTION, PROGRAM, (), ())
