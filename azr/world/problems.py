"""Problem sets of the world: the train split to train on, and held-out programs that the corpus cannot contain.

>>> from azr.tasks import TaskType
>>> [problem.statements for problem in problems("test", TaskType.DEDUCTION, 6)]
[1, 2, 3, 4, 5, 6]

A hash of its text says to which split a program belongs. Held-out programs have 1 to 6 statements in turn, so every
size weighs the same until the few programs of one statement run out; ``train``, which a person would have to curate for
RLVR and SFT, has the corpus's mixture of sizes. Hints are drawn by the corpus's rule everywhere. Answers are right by
construction (the trace of the program), and the executor agrees (tested). ``arithmetic_problems`` is the domain that
self-play never sees. Self-play may propose a test program by chance; ``azr evaluate`` counts these.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

from azr.tasks import Task, TaskType
from azr.world.arithmetic import draw_question
from azr.world.corpus import documents, draw_task, on_the_way
from azr.world.grammar import STATEMENT_WEIGHTS, Split

_TRIES = 100  # draws of a size before it counts as used up


@dataclass(frozen=True)
class WorldProblem:
    """A task of a problem set; its right response in a style is ``respond(task.type, values, task.answer)``."""

    id: str
    task: Task
    statements: int
    """Of the program."""
    values: tuple[str, ...]
    """On the way to the answer, as a solver writes them: backwards for abduction, none for induction."""


@dataclass(frozen=True)
class ArithmeticProblem:
    """A question of the second domain; ``answer`` is the text after ``answer`` in a right response."""

    id: str
    prompt: str
    answer: str
    changes: int


def problems(split: Split, task_type: TaskType, count: int) -> list[WorldProblem]:
    """The first ``count`` problems of a set, always the same ones.

    No program appears twice; in ``train`` it may, on another input.
    """
    rng = random.Random(f"{split} {task_type}")
    train = split == "train"
    sizes = list(STATEMENT_WEIGHTS)
    found: dict[object, WorldProblem] = {}
    while len(found) < count:
        size = None if train else sizes[len(found) % len(sizes)]
        for _ in range(_TRIES):
            task, program, inputs = draw_task(task_type, rng, split, statements=size)
            key = (task.program, task.inputs if train else ())
            if key not in found:
                values = on_the_way(task_type, program.trace(inputs[0])[0])
                name = f"{split}-{task_type}-{len(found):04d}"
                found[key] = WorldProblem(name, task, program.statements, values)
                break
        else:
            sizes.remove(size)
    return list(found.values())


def arithmetic_problems(split: Split, count: int) -> list[ArithmeticProblem]:
    """The first ``count`` arithmetic questions of a set, no two alike."""
    rng = random.Random(f"{split} arithmetic")
    found: dict[str, ArithmeticProblem] = {}
    while len(found) < count:
        drawn = draw_question(rng, split)
        name = f"{split}-arithmetic-{len(found):04d}"
        found.setdefault(drawn.text, ArithmeticProblem(name, drawn.text, str(drawn.answer), len(drawn.changes)))
    return list(found.values())


def overlap_with_corpus(count: int = 200, corpus: int = 20_000) -> int:
    """How many of the first ``count`` test and validation programs of each task type stand anywhere in the first
    ``corpus`` documents of the corpus: 0 by construction."""
    splits: tuple[Split, ...] = ("test", "validation")
    held_out = {p.task.program for split in splits for kind in TaskType for p in problems(split, kind, count)}
    program = re.compile(r"def f\(x\):\n(?: {4}[^\n]*\n?)+")
    texts = (text for document in documents(0, corpus) for text in document)
    return len(held_out & {found.rstrip("\n") for text in texts for found in program.findall(text)})
