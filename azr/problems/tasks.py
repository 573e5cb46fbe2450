"""What a problem is, and problems that are self-play's own tasks: of the world, seed files, runs, execution benchmarks.

>>> Problem("61", "aime24", question="What is 2 + 3?", gold={"answer": "5"}).task is None
True

CruxEval (arXiv 2401.03065) asks for an output and for an input of each program, LiveCodeBench's execution part
(arXiv 2403.07974) for the output; any input that leads to the output counts. Entry functions are renamed to ``f``, as
AZR does. The world's arithmetic questions, which are no tasks, are drawn here too. Left out: problems in free text
(``evalplus``, ``mathematics``) and names of sets (``loading``).
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from azr.executor import Executor, Job, Verdict
from azr.grading import grade_many
from azr.prompts.base import ParsedAnswer, PromptStyle
from azr.prompts.parsing import find_answer, parse, read_arguments, read_literal, read_program
from azr.tasks import Task, TaskType
from azr.world.arithmetic import draw_question
from azr.world.corpus import draw_task, on_the_way
from azr.world.grammar import STATEMENT_WEIGHTS, Split

_PAIR = (TaskType.DEDUCTION, TaskType.ABDUCTION)
_DRAWS = 100  # of a program of some size, before the size counts as used up


@dataclass(frozen=True)
class Problem:
    id: str
    """Unique within its set, and the same wherever the set is loaded from."""
    group: str
    """What tables break down by: the task type of a task, else the set's name."""
    question: str = ""
    """What the model is asked; empty where ``task`` is given."""
    task: Task | None = None
    gold: Mapping[str, Any] = field(default_factory=dict)
    """What the grader compares with; its keys are the grader's own."""
    values: tuple[str, ...] = ()
    """The world's problems: literals on the way to the answer, in the order in which a solver writes them."""
    worked: str = ""
    """The text of a worked solution, where the set has one."""
    size: int = 0
    """Statements of the program; 0 where it is not known."""


@dataclass(frozen=True)
class Graded:
    """What became of one response."""

    correct: bool
    well_formed: bool
    """Whether the response has the form that the prompt style asks for."""
    answer: str | None
    """The final answer as it was read; None where there is none."""
    refused: bool = False
    """Whether it is wrong because the executor's policy forbids the program: no fault of the answer's."""


def world_problems(split: str, count: int) -> list[Problem]:
    """The first ``count`` problems of each task type, or arithmetic questions (of the test split) where ``split`` names
    these; always the same ones, and right by construction.

    A hash of its text says to which split a program belongs, so the corpus cannot contain held-out ones. These have 1
    to 6 statements in turn, so every size weighs the same until the few programs of one statement run out, and no
    program comes twice. ``train``, which a person would have to curate for RLVR and SFT, has the corpus's mixture of
    sizes, and a program may come again on another input. Left out: whether self-play itself proposes a test program, as
    it may by chance.
    """
    if split == "arithmetic":
        return _arithmetic_problems(count)
    return [problem for kind in TaskType for problem in _world_tasks(split, kind, count)]


def _world_tasks(split: Split, kind: TaskType, count: int) -> list[Problem]:
    rng = random.Random(f"{split} {kind}")
    train = split == "train"
    sizes = list(STATEMENT_WEIGHTS)
    found: dict[object, Problem] = {}
    while len(found) < count:
        size = None if train else sizes[len(found) % len(sizes)]
        for _ in range(_DRAWS):
            task, program, inputs = draw_task(kind, rng, split, statements=size)
            key = (task.program, task.inputs if train else ())
            if key not in found:
                values = on_the_way(kind, program.trace(inputs[0])[0])
                name = f"{split}-{kind}-{len(found):04d}"
                found[key] = Problem(name, str(kind), task=task, values=values, size=program.statements)
                break
        else:
            sizes.remove(size)
    return list(found.values())


def _arithmetic_problems(count: int) -> list[Problem]:
    """No two alike; the domain that self-play never sees."""
    rng = random.Random("test arithmetic")
    found: dict[str, Problem] = {}
    while len(found) < count:
        question = draw_question(rng, "test")
        if question.text not in found:
            name, gold = f"test-arithmetic-{len(found):04d}", {"answer": str(question.answer)}
            found[question.text] = Problem(name, "arithmetic", question.text, gold=gold, size=len(question.changes))
    return list(found.values())


def _problems(name: str, tasks: Sequence[Task]) -> list[Problem]:
    if any(task.type is TaskType.INDUCTION and not task.hidden for task in tasks):
        raise ValueError("induction takes two pairs at least, one to show and one to check")
    return [Problem(f"{name}-{task.type}", str(task.type), task=task) for task in tasks]


def _texts(values: Any) -> list[str]:
    """The values. Raises ValueError where they are no list of texts."""
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise ValueError('programs, inputs and outputs are text, as "1" for 1; where several are asked for, a list')
    return values


def _called(text: str, inputs: Any) -> tuple[str, list[str]]:
    """A program that defines ``f`` and its inputs, as they are read. Raises ValueError where they cannot be."""
    program = read_program(*_texts([text]), rename=False)
    read = [read_arguments(one, program.parameters) for one in _texts(inputs)]
    if program.program is None or None in read:
        raise ValueError(program.reason or "the input is no literal")
    return program.program, list(map(str, read))


def read_own(row: Mapping[str, Any], index: int) -> list[Problem]:
    """A row in self-play's own form, as in a run's ``seeds.jsonl``."""
    program, inputs = _called(row["program"], row["inputs"])
    if None in map(read_literal, _texts(row["outputs"])):
        raise ValueError("the output is no literal")
    return _problems(str(index), [Task.from_json({**row, "program": program, "inputs": inputs})])


def read_execution(row: Mapping[str, Any], index: int) -> list[Problem]:
    """A row with ``code``, ``input`` (arguments or a call) and ``output``: a deduction and an abduction.

    LiveCodeBench's rows, which name their ``function_name``, ask for the output alone. An input that is no literal but
    an expression is shown as it stands.
    """
    code, given, output = _texts([row["code"], row["input"], row["output"]])
    program, given, output = read_program(code, rename=True), given.strip(), read_literal(output)
    arguments = read_arguments(given, program.parameters, program.entry)
    if program.program is None or output is None or (arguments is None and parse(f"f({given}\n)") is None):
        raise ValueError(program.reason or "input or output is no Python")
    pair = (given if arguments is None else arguments,), (output,)
    types = _PAIR[:1] if "function_name" in row else _PAIR
    return _problems(str(row.get("id", index)), [Task(kind, program.program, *pair) for kind in types])


def read_seed(row: Mapping[str, Any], index: int) -> list[Problem]:
    """A row of AZR's seed files: an input and an output are a deduction and an abduction, several are an induction."""
    text = "\n".join(_texts([*(row.get("imports") or ()), row["snippet"]]))
    program, inputs = _called(text, row["inputs"] if "inputs" in row else [row["input"]])
    outputs, message = ("",) * len(inputs), row.get("message") or ""
    types = (TaskType.INDUCTION,) if "inputs" in row else _PAIR
    tasks = [Task(kind, program, tuple(inputs), outputs, message) for kind in types]
    return _problems(str(index), tasks)


def run_anew(seeds: Sequence[Problem]) -> tuple[list[Problem], list[str]]:
    """Seeds with the outputs that our executor gives, and why others fall; published outputs are sometimes cut off."""
    stand, fallen = [], []
    with Executor() as executor:
        results = iter(executor.run_many([Job(p.task.program, given) for p in seeds for given in p.task.inputs]))
    for problem in seeds:
        own = [next(results) for _ in problem.task.inputs]
        failed = next((result for result in own if not result.ok), None)
        if failed is None:
            outputs = tuple(str(result.output) for result in own)
            stand.append(replace(problem, task=replace(problem.task, outputs=outputs)))
        else:
            fallen.append(f"problem {problem.id}: {failed.verdict}")
    return stand, fallen


def grade_tasks(attempts: Sequence[tuple[Problem, str]], style: PromptStyle, executor: Executor) -> list[Graded]:
    """By self-play's rule: the answer counts where the response has the style's form."""
    read = [style.parse_answer(problem.task.type, response) for problem, response in attempts]
    return _graded(attempts, read, executor)


def grade_execution(attempts: Sequence[tuple[Problem, str]], style: PromptStyle, executor: Executor) -> list[Graded]:
    """A benchmark measures what is known: an answer counts without the style's form, too."""
    read = []
    for problem, response in attempts:
        kind, program = problem.task.type, read_program(problem.task.program, rename=False)
        answer = find_answer(kind, style.final(response), program.parameters)
        read.append(replace(style.parse_answer(kind, response), answer=answer))
    return _graded(attempts, read, executor)


def _graded(attempts: Sequence[tuple[Problem, str]], read: Sequence[ParsedAnswer], executor: Executor) -> list[Graded]:
    pairs = {i: (attempts[i][0].task, one.answer) for i, one in enumerate(read) if one.answer is not None}
    right = dict(zip(pairs, grade_many(executor, list(pairs.values())), strict=True))
    # Of the wrong ones that were run, those that the policy forbids: with an input that is none, nothing else is tried.
    programs = {
        i: answer if task.type is TaskType.INDUCTION else task.program
        for i, (task, answer) in pairs.items()
        if not right[i] and task.type is not TaskType.DEDUCTION
    }
    tried = executor.run_many([Job(program, "no literal", runs=1) for program in programs.values()])
    refused = {i for i, execution in zip(programs, tried, strict=True) if execution.verdict is Verdict.REJECTED}
    return [Graded(right.get(i, False), one.well_formed, one.answer, i in refused) for i, one in enumerate(read)]
