"""Problem sets of the world: the train split to train on, and held-out programs that the corpus cannot contain.

>>> from azr.tasks import TaskType
>>> [problem.statements for problem in problems("test", TaskType.DEDUCTION, 6)]
[1, 2, 3, 4, 5, 6]

A hash of its text says to which split a program belongs. Held-out programs have 1 to 6 statements in turn, so every
size weighs the same until the few programs of one statement run out; ``train``, which a person would have to curate for
RLVR and SFT, has the corpus's mixture of sizes. Hints are drawn by the corpus's rule everywhere. Answers are right by
construction (the trace of the program), and plain Python agrees (tested). ``arithmetic_problems`` is the domain that
self-play never sees. Left out: whether self-play itself proposes a test program, as it may by chance.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

from azr.executor import Executor, Job
from azr.grading import grade_many
from azr.prompts.compact import CompactStyle
from azr.tasks import Task, TaskType
from azr.world.arithmetic import Question, draw_question
from azr.world.corpus import draw_task, on_the_way
from azr.world.grammar import STATEMENT_WEIGHTS, Split

_TRIES = 100  # draws of a size before it counts as used up


class WorldProblem(NamedTuple):
    """A task of a problem set; its right response in a style is ``respond(task.type, values, task.answer)``."""

    task: Task
    values: tuple[str, ...]
    """On the way to the answer, as a solver writes them: backwards for abduction, none for induction."""
    statements: int
    """Of the program."""


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
                found[key] = WorldProblem(task, values, program.statements)
                break
        else:
            sizes.remove(size)
    return list(found.values())


def arithmetic_problems(split: Split, count: int) -> list[Question]:
    """The first ``count`` arithmetic questions of a set, no two alike."""
    rng = random.Random(f"{split} arithmetic")
    found: dict[str, Question] = {}
    while len(found) < count:
        question = draw_question(rng, split)
        found.setdefault(question.text, question)
    return list(found.values())


def show(generate: Callable[[Sequence[str]], Sequence[str]], count: int = 2) -> str:
    """What a base model writes: prompts of both roles and all task types, ``count`` each, with its responses and what
    the executor makes of them. ``generate`` gives a response to each prompt."""
    style = CompactStyle()
    tasks = [problem.task for kind in TaskType for problem in problems("validation", kind, count)]
    prompts = [style.solve(task) for task in tasks] + [style.propose(task.type, [task]) for task in tasks]
    responses = generate(prompts)
    read = [style.parse_answer(task.type, text).answer for task, text in zip(tasks, responses, strict=False)]
    proposed = zip(tasks, responses[len(tasks) :], strict=True)
    proposals = [style.parse_proposal(task.type, text, [task]).proposal for task, text in proposed]
    with Executor(workers=1) as executor:
        right = grade_many(executor, [(task, answer or "") for task, answer in zip(tasks, read, strict=True)])
        runs = [executor.run_many([Job(p.program, text) for text in p.inputs]) if p else [] for p in proposals]
    verdicts = ["right" if correct else "wrong" for correct in right]
    verdicts += [", ".join(dict.fromkeys(str(run.verdict) for run in own)) or "no proposal" for own in runs]
    parts = zip(prompts, responses, verdicts, strict=True)
    return "\n\n".join(f"{prompt}>>> {text}\n({verdict})" for prompt, text, verdict in parts)
