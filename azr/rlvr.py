"""Reinforcement learning with verifiable rewards: the solver's half of self-play, on a fixed set of problems.

``FixedProblems`` is a source of rows for ``azr.training.trainer.SelfPlayTrainer`` in place of self-play's: no proposer,
no buffer, no solve rates; grading, rewards and advantages are those of self-play. A step has as many responses as one
of self-play, all of them the solver's. Left out: choosing the problems (``azr.world.worked``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from azr.config import RolloutConfig
from azr.executor import Executor
from azr.prompts.base import PromptStyle
from azr.rewards import solver_rewards
from azr.selfplay import Clock, Generate, Row, StepResult, grade
from azr.tasks import Role, Task, TaskType


def epochs(count: int, size: int, step: int, seed: int, stream: int) -> np.ndarray:
    """Which ``count`` of ``size`` items step number ``step`` (from 1) works on: epoch after epoch, each shuffled anew.

    >>> sorted(np.concatenate([epochs(2, 4, 1, 0, 0), epochs(2, 4, 2, 0, 0)]).tolist())
    [0, 1, 2, 3]
    """
    at = np.arange((step - 1) * count, step * count)
    order = {
        e: np.random.default_rng([seed, 2, stream, e]).permutation(size)
        for e in range(at[0] // size, at[-1] // size + 1)
    }
    return np.array([order[i // size][i % size] for i in at])


class FixedProblems:
    """Verified problems of the three task types, solved step after step; the draws depend on the seed and the step."""

    def __init__(
        self, problems: Sequence[Task], config: RolloutConfig, style: PromptStyle, executor: Executor, seed: int
    ) -> None:
        self.config, self.style, self.executor, self.seed = config, style, executor, seed
        self.problems = {task_type: [task for task in problems if task.type is task_type] for task_type in TaskType}

    @property
    def rows_per_step(self) -> int:
        """Responses trained on in one step: as many as in self-play."""
        return self.config.rows

    def state(self) -> list[dict[str, Any]]:
        """Nothing: a step can be repeated from its number."""
        return []

    def step(self, step: int, generate: Generate, generate_from_base: Generate | None = None) -> StepResult:
        """Solve the problems of step number ``step`` (from 1) with the current policy."""
        clock, tasks = Clock(), []
        for stream, (_, own) in enumerate(self.problems.items()):
            tasks += [own[i] for i in epochs(self.config.rows // 3, len(own), step, self.seed, stream)]
        with clock("solve"):
            solved = generate([self.style.solve(task) for task in tasks])
        with clock("execute"):
            correct, formed = grade(tasks, solved, self.style, self.executor)
        answers = zip(tasks, solved, solver_rewards(correct, formed), strict=True)
        rows = [Row(task.type, Role.SOLVER, completion, float(reward)) for task, completion, reward in answers]
        types = np.array([str(task.type) for task in tasks])
        by_type = {
            str(t): {"accuracy": float(correct[types == t].mean()), "well_formed": float(formed[types == t].mean())}
            for t in TaskType
        }
        tokens = {"solved": sum(len(completion.ids) for completion in solved)}
        return StepResult(rows, [], {"tasks": by_type, "seconds": dict(clock.seconds), "tokens": tokens})
