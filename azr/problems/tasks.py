"""Problems that are self-play's own tasks: of the world, of seed files, of a run, and of execution benchmarks.

CruxEval (arXiv 2401.03065) asks for an output and for an input of each program, LiveCodeBench's execution part
(arXiv 2403.07974) for the output; any input that leads to the output counts. Entry functions are renamed to ``f``, as
AZR does. The world's arithmetic questions, which are no tasks, are here too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from azr.executor import Executor, Job, Verdict
from azr.grading import grade_many
from azr.problems.base import Graded, Problem, is_well_formed
from azr.problems.mathematics import final_answer
from azr.prompts.base import PromptStyle
from azr.prompts.parsing import find_answer, parse, read_arguments, read_literal, read_program
from azr.tasks import Task, TaskType
from azr.world.problems import arithmetic_problems, problems

_ARITHMETIC = re.compile(r"(?:think [^\n]*\n)?answer (-?\d+)")
_NO_INPUT = "no literal"
TUNING_FROM = 300
"""The first of the validation problems by which hyperparameters are chosen; no figure shows these."""


def world_problems(split: str, count: int) -> list[Problem]:
    """``count`` problems of each task type, or arithmetic questions (of the test split) where ``split`` names these."""
    if split == "arithmetic":
        return [
            Problem(q.id, split, q.prompt, gold={"answer": q.answer}, size=q.changes)
            for q in arithmetic_problems("test", count)
        ]
    start = TUNING_FROM if split == "tuning" else 0
    drawn = [problems("validation" if start else split, kind, start + count)[start:] for kind in TaskType]
    return [
        Problem(p.id, str(p.task.type), task=p.task, values=p.values, size=p.statements) for own in drawn for p in own
    ]


def read_execution(row: Mapping[str, Any], index: int) -> list[Problem]:
    """A row with ``code``, ``input`` (arguments or a call) and ``output``: a deduction and an abduction.

    LiveCodeBench's rows, which name their ``function_name``, ask for the output alone. An input that is no literal but
    an expression is shown as it stands.
    """
    program = read_program(row["code"], rename=True)
    if program.program is None:
        raise ValueError(program.reason)
    given, output = row["input"].strip(), read_literal(row["output"])
    arguments = read_arguments(given, program.parameters, program.entry)
    if arguments is None and parse(f"f({given}\n)") is None:
        raise ValueError("the input is no Python")
    if output is None:
        raise ValueError("the output is no literal")
    types = [TaskType.DEDUCTION] if "function_name" in row else [TaskType.DEDUCTION, TaskType.ABDUCTION]
    name = str(row.get("id", index))
    given = given if arguments is None else arguments
    return [Problem(f"{name}-{t}", str(t), task=Task(t, program.program, (given,), (output,))) for t in types]


def read_own(row: Mapping[str, Any], index: int) -> list[Problem]:
    """A row in self-play's own form, as in a run's ``seeds.jsonl``."""
    task = Task.from_json(row)
    return [Problem(str(index), str(task.type), task=task)]


def read_seed(row: Mapping[str, Any], index: int) -> list[Problem]:
    """A row of AZR's seed files: an input and an output are a deduction and an abduction, several are an induction.

    Published outputs are sometimes empty, cut off or no literal; ``azr.problems.loading`` computes them anew.
    """
    induction = "inputs" in row
    program = read_program("\n".join([*(row.get("imports") or ()), row["snippet"]]), rename=False)
    if program.program is None:
        raise ValueError(program.reason)
    inputs = [read_arguments(text, program.parameters) for text in (row["inputs"] if induction else [row["input"]])]
    if None in inputs or (induction and len(inputs) < 2):
        raise ValueError("the input is no literal" if None in inputs else "an induction needs two inputs")
    outputs = row["outputs"] if induction else [row["output"]]
    types = [TaskType.INDUCTION] if induction else [TaskType.DEDUCTION, TaskType.ABDUCTION]
    message = row["message"] if induction else ""
    tasks = [Task(t, program.program, tuple(map(str, inputs)), tuple(outputs), message) for t in types]
    return [Problem(f"{index}-{task.type}", str(task.type), task=task) for task in tasks]


def grade_tasks(attempts: Sequence[tuple[Problem, str]], style: PromptStyle, executor: Executor) -> list[Graded]:
    """By self-play's rule: the answer counts where the response has the style's form."""
    read = [style.parse_answer(problem.task.type, response) for problem, response in attempts]
    return _graded(attempts, [(parsed.answer, parsed.well_formed) for parsed in read], executor)


def grade_execution(attempts: Sequence[tuple[Problem, str]], style: PromptStyle, executor: Executor) -> list[Graded]:
    """A benchmark measures what is known: an answer counts without the style's form, too."""
    read = []
    for problem, response in attempts:
        task = problem.task
        parameters = read_program(task.program, rename=False).parameters
        answer = find_answer(task.type, style.final(response), parameters)
        read.append((answer, style.parse_answer(task.type, response).well_formed))
    return _graded(attempts, read, executor)


def _graded(
    attempts: Sequence[tuple[Problem, str]], read: Sequence[tuple[str | None, bool]], executor: Executor
) -> list[Graded]:
    answered = [i for i, (answer, _) in enumerate(read) if answer is not None]
    pairs = {i: (attempts[i][0].task, read[i][0]) for i in answered}
    right = dict(zip(answered, grade_many(executor, list(pairs.values())), strict=True))
    # Of the wrong ones that were run, those that the policy forbids: with an input that is none, nothing else is tried.
    programs = {
        i: answer if task.type is TaskType.INDUCTION else task.program
        for i, (task, answer) in pairs.items()
        if not right[i] and task.type is not TaskType.DEDUCTION
    }
    tried = executor.run_many([Job(program, _NO_INPUT, runs=1) for program in programs.values()]) if programs else []
    refused = {i for i, execution in zip(programs, tried, strict=True) if execution.verdict is Verdict.REJECTED}
    return [Graded(right.get(i, False), form, answer, i in refused) for i, (answer, form) in enumerate(read)]


def grade_arithmetic(attempts: Sequence[tuple[Problem, str]], style: PromptStyle, executor: Executor) -> list[Graded]:
    """The compact style's form, or the final answer of a response in any other style."""
    graded = []
    for problem, response in attempts:
        match = _ARITHMETIC.fullmatch(response)
        answer = (match and match[1]) if style.name == "compact" else final_answer(style.final(response))
        form = match is not None if style.name == "compact" else is_well_formed(style, response)
        graded.append(Graded(answer == problem.gold["answer"], form, answer))
    return graded
