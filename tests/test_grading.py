"""Grading: by value and type, by running, and the same as plain Python on the world's tasks."""

from __future__ import annotations

import ast
import random

import pytest

from azr.executor import Executor
from azr.grading import grade_many
from azr.tasks import Task, TaskType
from azr.world.corpus import draw_task


@pytest.fixture(scope="module")
def executor():
    with Executor(workers=1, wall_seconds=120) as executor:
        yield executor


def test_grading_by_value_and_type(executor):
    deduction = Task(TaskType.DEDUCTION, "def f(x): return x", ("[1, 2]",), ("[1, 2]",))
    abduction = Task(TaskType.ABDUCTION, "def f(x): return x + 1", ("1",), ("2",))
    induction = Task(TaskType.INDUCTION, "def f(x): return x + 1", ("1", "2", "3"), ("2", "3", "4"))
    attempts = [
        (deduction, "[1,2]", True),
        (deduction, "[1, 2.0]", False),
        (deduction, "[True, 2]", False),
        (deduction, "no literal", False),
        (abduction, "1", True),
        (abduction, "1.0", False),
        (abduction, "0) or (1", False),
        (abduction, "'a'", False),
        (induction, "def f(y): return 1 + y", True),
        (induction, "f = lambda y: 1 + y", True),
        (induction, "def f(x):\n    print('debug', x)\n    return x + 1\nif __name__ == '__main__': print(f(0))", True),
        (induction, "def f(x): return x", False),
        (induction, "def f(x) return x + 1", False),
        (induction, "def f(x): return {1: 2, 2: 3}[x]", False),
        (induction, "def f(x):\n    class A:\n        def __eq__(self, other): return True\n    return A()", False),
    ]
    assert grade_many(executor, [(task, answer) for task, answer, _ in attempts]) == [right for *_, right in attempts]
    assert grade_many(executor, []) == []


def test_a_task_without_hidden_pairs_is_never_solved(executor):
    task = Task(TaskType.INDUCTION, "def f(x): return x", ("1",), ("1",))
    assert task.hidden == ()
    assert grade_many(executor, [(task, "def f(x): return x")]) == [False]


def by_python(program: str, text: str) -> str:
    """What plain Python makes of an argument; the program is ours."""
    namespace = {}
    exec(program, namespace)
    try:
        return repr(namespace["f"](ast.literal_eval(text)))
    except (TypeError, IndexError, ValueError, AttributeError):
        return "no value"


@pytest.mark.parametrize("task_type", TaskType)
def test_right_answers_are_confirmed_and_others_are_not(executor, task_type):
    tasks = [draw_task(task_type, random.Random(seed))[0] for seed in range(30)]
    right = {TaskType.DEDUCTION: "output", TaskType.ABDUCTION: "input", TaskType.INDUCTION: "program"}[task_type]
    assert all(grade_many(executor, [(task, getattr(task, right)) for task in tasks]))
    if task_type is TaskType.ABDUCTION:  # many inputs may be right: all that give the output
        attempts = [(task, text) for task in tasks for text in ("7", "'ab'", "[3, 1]")]
        expected = [by_python(task.program, text) == task.output for task, text in attempts]
        assert grade_many(executor, attempts) == expected
        assert 0 < sum(expected) < len(expected)
    else:
        wrong = "def f(x):\n    return ('no', 'such')" if task_type is TaskType.INDUCTION else "('no', 'such')"
        assert not any(grade_many(executor, [(task, wrong) for task in tasks]))
