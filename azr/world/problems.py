"""Problem sets of the world: fresh programs that the corpus cannot contain, because a hash of their text splits them.

>>> from azr.tasks import TaskType
>>> [p.statements for p in problems("test", TaskType.DEDUCTION, 6)]
[1, 2, 3, 4, 5, 6]

Statement counts cycle through 1 to 6, so every size weighs the same until the few programs of one statement run out.
The message of an induction problem names every operation; those in the corpus leave some out. ``arithmetic_problems``
is the domain that self-play never sees. Self-play may propose a test program by chance; ``azr evaluate`` counts these.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from azr.prompts.compact import CompactStyle
from azr.tasks import Task, TaskType
from azr.world.arithmetic import draw_question
from azr.world.grammar import STATEMENT_WEIGHTS, Split, generate

_TRIES = 100  # draws of a size before it counts as used up
_PAIRS = CompactStyle().num_induction_inputs


@dataclass(frozen=True)
class Problem:
    """A task of a problem set, the number of statements of its program, and the values on the way to an answer."""

    id: str
    task: Task
    statements: int
    values: tuple[str, ...]
    """Literals in the order in which a solver writes them: backwards for abduction, none for induction."""


@dataclass(frozen=True)
class ArithmeticProblem:
    """A question of the second domain; ``answer`` is the text after ``answer`` in a right response."""

    id: str
    prompt: str
    answer: str
    changes: int


def problems(split: Split, task_type: TaskType, count: int) -> list[Problem]:
    """The first ``count`` problems of a set, always the same ones; no program appears twice."""
    rng = random.Random(f"{split} {task_type}")
    sizes = list(STATEMENT_WEIGHTS)
    found: list[Problem] = []
    seen: set[str] = set()
    pairs = _PAIRS if task_type is TaskType.INDUCTION else 1
    while len(found) < count:
        statements = sizes[len(found) % len(sizes)]
        for _ in range(_TRIES):
            program, inputs = generate(rng, pairs, split, statements)
            if program.text not in seen:
                break
        else:
            sizes.remove(statements)
            continue
        seen.add(program.text)
        message = ", ".join(program.words) if task_type is TaskType.INDUCTION else ""
        outputs = tuple(repr(program.trace(value)[1]) for value in inputs)
        task = Task(task_type, program.text, tuple(map(repr, inputs)), outputs, message)
        values = tuple(map(repr, program.trace(inputs[0])[0]))
        written = {TaskType.DEDUCTION: values, TaskType.ABDUCTION: values[::-1], TaskType.INDUCTION: ()}[task_type]
        found.append(Problem(f"{split}-{task_type}-{len(found):04d}", task, statements, written))
    return found


def arithmetic_problems(split: Split, count: int) -> list[ArithmeticProblem]:
    """The first ``count`` arithmetic questions of a set."""
    rng = random.Random(f"{split} arithmetic")
    found: dict[str, ArithmeticProblem] = {}
    while len(found) < count:
        question = draw_question(rng, split)
        name = f"{split}-arithmetic-{len(found):04d}"
        found.setdefault(
            question.text, ArithmeticProblem(name, question.text, str(question.answer), len(question.changes))
        )
    return list(found.values())
