"""The fixed set of problems of RLVR and SFT, each with its correct trace: what a person would have to curate.

>>> worked = worked_problems(1)[0]
>>> worked.task.type, worked.answer == worked.task.output
(<TaskType.DEDUCTION: 'deduction'>, True)

Programs come from the train split, so they are disjoint from validation and test problems, in the corpus's mixture of
sizes; the message of an induction problem names every operation, as in those sets. Answers are right by construction
(the trace of the program) and the executor agrees (tested). Left out: flawed traces, which only the corpus has.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from azr.prompts.base import PromptStyle
from azr.tasks import Task, TaskType
from azr.world.corpus import draw_task


@dataclass(frozen=True)
class Worked:
    """A problem, the values that lead to its answer in the order in which a solver writes them, and the answer."""

    task: Task
    values: tuple[str, ...]
    answer: str

    def response(self, style: PromptStyle) -> str:
        """The right response in a prompt style."""
        return style.respond(self.task.type, self.values, self.answer)


def worked_problems(count: int) -> list[Worked]:
    """``count`` problems of each task type, always the same ones; no statement of a problem appears twice."""
    found: list[Worked] = []
    for task_type in TaskType:
        rng, seen = random.Random(f"worked {task_type}"), set()
        while len(seen) < count:
            task, program, inputs = draw_task(task_type, rng)
            if (task.program, task.inputs) in seen:
                continue
            seen.add((task.program, task.inputs))
            values = tuple(map(repr, program.trace(inputs[0])[0]))
            if task_type is TaskType.INDUCTION:
                task = replace(task, message=", ".join(program.words))
                found.append(Worked(task, (), task.program))
            elif task_type is TaskType.ABDUCTION:
                found.append(Worked(task, values[::-1], task.input))
            else:
                found.append(Worked(task, values, task.output))
    return found
