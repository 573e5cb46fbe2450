"""Benchmarks about running a program in one's head: CruxEval-I, CruxEval-O and LiveCodeBench's execution part.

They are self-play's own tasks (abduction and deduction) with programs by others, so they are worded by the prompt style
and graded by ``Executor.grade_many``: any input that leads to the output counts (CruxEval, arXiv 2401.03065;
LiveCodeBench, arXiv 2403.07974). Entry functions are renamed to ``f``, as AZR does for its validation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from azr.benchmarks.base import Problem, answer_text
from azr.prompts.parsing import find_value, read_arguments, read_literal, read_program
from azr.tasks import Task, TaskType

if TYPE_CHECKING:
    from azr.executor import Executor


def read_execution(task_type: TaskType, name: str, row: Mapping[str, Any], index: int) -> Problem:
    """A row with ``code``, ``input`` (arguments, or a call) and ``output``, as a task of ``task_type``."""
    if not all(isinstance(row[column], str) for column in ("code", "input", "output")):
        raise ValueError("code, input and output must be text")
    program = read_program(row["code"], rename=True)
    if program.program is None:
        raise ValueError(program.reason)
    arguments = read_arguments(row["input"], program.parameters, program.entry)
    output = read_literal(row["output"])
    if arguments is None or output is None:
        raise ValueError(f"the {'input' if arguments is None else 'output'} is not literal")
    task = Task(task_type, program.program, (arguments,), (output,))
    return Problem(name, str(row.get("id", index)), task=task)


read_deduction = partial(read_execution, TaskType.DEDUCTION)
read_abduction = partial(read_execution, TaskType.ABDUCTION)


def grade_execution(items: Sequence[tuple[Problem, str]], executor: Executor) -> list[bool]:
    """Right if the executor confirms the value; a response without one is wrong."""
    pairs: list[tuple[int, Task, str]] = []
    for number, (problem, response) in enumerate(items):
        if problem.task is None:
            raise ValueError(f"problem {problem.id} of {problem.benchmark} holds no task")
        value = _value(problem.task, response)
        if value is not None:
            pairs.append((number, problem.task, value))
    right = [False] * len(items)
    for (number, _, _), correct in zip(pairs, executor.grade_many([(t, v) for _, t, v in pairs]), strict=True):
        right[number] = correct
    return right


def _value(task: Task, response: str) -> str | None:
    text, closed = answer_text(response)
    if task.type is TaskType.DEDUCTION:
        return find_value(text, "output", read_literal, closed=closed)
    parameters = read_program(task.program, rename=False).parameters
    return find_value(text, "input", partial(read_arguments, parameters=parameters), closed=closed)
