"""The task buffers: every valid task so far, one list a task type, from which references and problems are drawn.

Drawing follows AZR (branch ``paper``): references uniformly without replacement; the solver's problems are first those
that the previous step added, the rest uniform over the whole buffer ("max_new"). Unlike the published code a full
buffer drops its oldest tasks, not the newest.

>>> buffer = TaskBuffer()
>>> buffer.add(Task(TaskType.DEDUCTION, "def f(x):\\n    return x", ("1",), ("1",)), step=0)
>>> buffer.sizes()["deduction"]
1
"""

from collections.abc import Iterable
from typing import Any, Self

import numpy as np

from azr.tasks import Task, TaskType

CAPACITY = 16384
"""Tasks kept per type, as in AZR."""


class TaskBuffer:
    """Tasks with the step that added them, a list for each task type."""

    def __init__(self) -> None:
        self._tasks: dict[TaskType, list[tuple[Task, int]]] = {t: [] for t in TaskType}

    def add(self, task: Task, step: int) -> None:
        """Append a task that ``step`` proposed (0: seeding)."""
        tasks = self._tasks[task.type]
        tasks.append((task, step))
        if len(tasks) > CAPACITY:
            del tasks[0]

    def tasks(self, task_type: TaskType) -> list[Task]:
        """All tasks of a type, oldest first."""
        return [task for task, _ in self._tasks[task_type]]

    def sizes(self) -> dict[str, int]:
        """Tasks per type."""
        return {str(t): len(tasks) for t, tasks in self._tasks.items()}

    def distinct_programs(self, task_type: TaskType) -> int:
        return len({task.program for task, _ in self._tasks[task_type]})

    def references(self, task_type: TaskType, k: int, rng: np.random.Generator, seeds_only: bool = False) -> list[Task]:
        """What a proposer is shown: k tasks of the type, or for induction one program of the other two types.

        ``seeds_only`` leaves out what self-play itself has proposed since seeding.
        """

        def pool_of(task_type: TaskType) -> list[Task]:
            return [task for task, step in self._tasks[task_type] if not (seeds_only and step)]

        if task_type is TaskType.INDUCTION:
            pool = pool_of(TaskType.ABDUCTION) + pool_of(TaskType.DEDUCTION)
            return [pool[rng.integers(len(pool))]]
        pool = pool_of(task_type)
        return [pool[i] for i in rng.permutation(len(pool))[:k]]

    def problems(self, task_type: TaskType, count: int, step: int, rng: np.random.Generator) -> list[tuple[Task, int]]:
        """``count`` problems for the solver at ``step`` with their ages in steps: last step's first, then uniform.

        The uniform rest is drawn without replacement (so it may repeat a new one), with replacement only where the
        buffer holds fewer tasks than are wanted.
        """
        tasks = self._tasks[task_type]
        new = [pair for pair in tasks if pair[1] == step - 1]
        chosen = [new[i] for i in rng.permutation(len(new))[:count]]
        rest = count - len(chosen)
        rows = rng.permutation(len(tasks))[:rest] if rest <= len(tasks) else rng.integers(len(tasks), size=rest)
        return [(task, step - added) for task, added in [*chosen, *(tasks[i] for i in rows)]]

    def to_json(self) -> list[dict[str, Any]]:
        return [task.to_json() | {"step": step} for tasks in self._tasks.values() for task, step in tasks]

    @classmethod
    def from_json(cls, rows: Iterable[dict[str, Any]]) -> Self:
        buffer = cls()
        for row in rows:
            buffer.add(Task.from_json(row), row["step"])
        return buffer
