"""One step of the Absolute Zero Reasoner's self-play: draw, propose, validate, solve, estimate, reward.

    play = SelfPlay(profile.rollout, style, executor, seed=0)
    play.seed_buffer(generate)
    play.step(1, generate).rows        # responses of both roles and all three task types, each with its reward

``generate(prompts, stream)`` samples a completion for each prompt with the current policy; the integers ``stream`` name
the random numbers, so that a step repeats from its number alone. Faithful to AZR (arXiv 2505.03335, the branch behind
its numbers), with these repairs: programs are valid by the executor's verdict, not by a substring; determinism is
checked in fresh state under two hash seeds; long outputs are refused, not cut; answers are compared as literals. Left
out: composite functions, the error-prediction task and the intrinsic rewards, all of which AZR's scripts switch off.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from azr.buffer import TaskBuffer
from azr.config import RolloutConfig
from azr.errors import UserError
from azr.executor import Executor, Job
from azr.grading import grade_many
from azr.models.sampling import Completion
from azr.prompts.base import PromptStyle
from azr.rewards import PROPOSER_REWARDS, ProposerReward, proposer_rewards, solver_rewards
from azr.tasks import Role, Task, TaskType

TYPES = (TaskType.ABDUCTION, TaskType.DEDUCTION, TaskType.INDUCTION)
"""In the order in which AZR rolls them out."""
IDENTITY = Task(TaskType.DEDUCTION, "def f(x):\n    return x", ("'abc'",), ("'abc'",))
"""The one task that a human gave: the identity function."""
SEEDING_ROUNDS, FIRST_ROUNDS, BARREN_STEPS = 60, 6, 5
"""Rounds of proposals that seeding may take; those that may pass without a valid one; the same of steps of training."""
PROPOSE, SOLVE = range(2)
"""The random streams of a step."""
Generate = Callable[[Sequence[str], tuple[int, ...]], list[Completion]]
"""(prompts, stream) -> one completion for each prompt; row i draws from the random stream ``(*stream, i)``."""


@dataclass(frozen=True)
class Row:
    """One response, with what it earned."""

    group: str
    """Task type and role, as ``deduction/solver``."""
    completion: Completion
    reward: float
    trained: bool = True
    """False for the samples of a proposer that is not trained."""


@dataclass
class Fate:
    """A proposal and what became of it; one line of ``proposals.jsonl``."""

    step: int
    task_type: TaskType
    response: str
    fate: str
    """valid, malformed, or what the executor found."""
    well_formed: bool
    detail: str = ""
    task: Task | None = None
    solve_rate: float | None = None
    reward: float | None = None
    tokens: int = 0

    def to_json(self) -> dict[str, Any]:
        return vars(self) | {"task_type": str(self.task_type), "task": self.task.to_json() if self.task else None}


@dataclass
class StepResult:
    """What one step yields: rows for the update, the fates of its proposals, and numbers for the log."""

    rows: list[Row]
    fates: list[Fate] = field(default_factory=list)
    metrics: dict[str, Any] = field(default_factory=dict)


class Clock:
    """Seconds spent by phase."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()

    @contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.seconds[phase] += time.perf_counter() - began


def read_proposals(
    requests: Sequence[tuple[TaskType, list[Task]]],
    completions: Sequence[Completion],
    style: PromptStyle,
    executor: Executor,
    step: int,
) -> list[Fate]:
    """Parse and run the proposer's responses to ``requests``, pairs of a task type and the references shown.

    A proposal stands if every one of its inputs gives a literal value, the same one under two hash seeds.
    """
    fates, drafts = [], []
    for (task_type, shown), completion in zip(requests, completions, strict=True):
        read = style.parse_proposal(task_type, completion.text, shown)
        length = len(completion.ids)
        fates.append(Fate(step, task_type, completion.text, "malformed", read.well_formed, read.reason, tokens=length))
        if read.proposal:
            drafts.append((fates[-1], read.proposal))
    executions = iter(executor.run_many([Job(own.program, text, runs=2) for _, own in drafts for text in own.inputs]))
    for fate, own in drafts:
        runs = [next(executions) for _ in own.inputs]
        worst = next((run for run in runs if not run.ok), runs[0])
        fate.fate, fate.detail = str(worst.verdict), worst.detail
        if worst.ok:
            outputs = tuple(str(run.output) for run in runs)
            fate.fate, fate.task = "valid", Task(fate.task_type, own.program, own.inputs, outputs, own.message)
    return fates


def grade(
    tasks: Sequence[Task], completions: Sequence[Completion], style: PromptStyle, executor: Executor
) -> tuple[np.ndarray, np.ndarray]:
    """Whether each response is correct, and whether it is well formed; boolean arrays of shape (n,)."""
    parsed = [style.parse_answer(task.type, c.text) for task, c in zip(tasks, completions, strict=True)]
    given = [i for i, answer in enumerate(parsed) if answer.answer is not None]
    correct = np.zeros(len(parsed), dtype=bool)
    correct[given] = grade_many(executor, [(tasks[i], str(parsed[i].answer)) for i in given])
    return correct, np.array([answer.well_formed for answer in parsed], dtype=bool)


class SelfPlay:
    """The state of self-play between steps: the buffer. A step's draws depend on the seed and its number alone.

    ``proposer`` and ``proposer_reward`` are as in ``azr.config.TrainConfig``; the latter may be a function, too.
    """

    def __init__(
        self,
        config: RolloutConfig,
        style: PromptStyle,
        executor: Executor,
        seed: int,
        proposer: str = "trained",
        proposer_reward: str | ProposerReward = "learnability",
        buffer: TaskBuffer | None = None,
    ) -> None:
        self.config, self.style, self.executor, self.seed = config, style, executor, seed
        self.proposer, self.buffer, self.barren = proposer, buffer or TaskBuffer(), 0
        self.reward = PROPOSER_REWARDS[proposer_reward] if isinstance(proposer_reward, str) else proposer_reward

    def step(self, step: int, generate: Generate, generate_from_base: Generate | None = None) -> StepResult:
        """Roll out step number ``step`` (from 1) with the current policy.

        ``generate_from_base`` samples the untrained model, which proposes where ``proposer`` is ``base``. Raises
        UserError where no proposal has been valid for ``BARREN_STEPS`` steps.
        """
        config, style, executor, clock = self.config, self.style, self.executor, Clock()

        # 1. Draw, before anything is generated: the solver's problems are those that the previous step proposed.
        rng = np.random.default_rng([self.seed, 1, step])
        requests: list[tuple[TaskType, list[Task]]] = []
        problems: list[tuple[Task, int]] = []
        for task_type in TYPES:
            for _ in range(config.batch):
                shown = self.buffer.references(task_type, config.references, rng, config.references_from == "seeds")
                requests.append((task_type, shown))
            problems += self.buffer.problems(task_type, config.solved, step, rng)

        # 2. Propose: one new task for each request.
        with clock("propose"):
            propose = generate_from_base if generate_from_base and self.proposer == "base" else generate
            proposed = propose([style.propose(*request) for request in requests], (step, PROPOSE))

        # 3. Validate: a proposal stands if it runs, is deterministic and returns a literal.
        with clock("execute"):
            fates = read_proposals(requests, proposed, style, executor, step)
        standing = [(fate, fate.task) for fate in fates if fate.task]

        # 4. Solve: several attempts at each new task, which are not trained on, and one at each problem drawn.
        tasks = [task for _, task in standing for _ in range(config.rollouts)] + [task for task, _ in problems]
        with clock("solve"):
            attempts = generate([style.solve(task) for task in tasks], (step, SOLVE))
        with clock("execute"):
            correct, formed = grade(tasks, attempts, style, executor)
        new, solved = np.split(np.arange(len(tasks)), [len(standing) * config.rollouts])

        # 5. Estimate the solve rate of each new task.
        rates = correct[new].reshape(-1, config.rollouts).mean(axis=1)

        # 6. Reward both roles, and keep the new tasks.
        for (fate, task), rate in zip(standing, rates, strict=True):
            fate.solve_rate = float(rate)
            self.buffer.add(task, step)
        holds = np.array([fate.task is not None and fate.well_formed for fate in fates])
        all_rates = np.array([np.nan if fate.solve_rate is None else fate.solve_rate for fate in fates])
        for fate, reward in zip(fates, proposer_rewards(all_rates, holds, self.reward), strict=True):
            fate.reward = float(reward)
        rows = [
            Row(f"{fate.task_type}/{Role.PROPOSER}", completion, float(fate.reward or 0), self.proposer == "trained")
            for fate, completion in zip(fates, proposed, strict=True)
        ]
        for i, reward in zip(solved, solver_rewards(correct, formed)[solved], strict=True):
            rows.append(Row(f"{tasks[i].type}/{Role.SOLVER}", attempts[i], float(reward)))

        self.barren = 0 if standing else self.barren + 1
        if self.barren == BARREN_STEPS:
            raise UserError(f"No proposal was valid in {BARREN_STEPS} steps {_refusals(fates)}")
        drawn = {"proposed": proposed, "estimated": attempts[: len(new)], "solved": attempts[len(new) :]}
        metrics = {
            "tasks": {str(t): self._of_type(t, fates, problems, correct[solved], formed[solved]) for t in TYPES},
            "seconds": dict(clock.seconds),
            "tokens": {name: sum(len(c.ids) for c in completions) for name, completions in drawn.items()},
        }
        return StepResult(rows, fates, metrics)

    def _of_type(
        self, task_type: TaskType, fates: list[Fate], problems: list[tuple[Task, int]], correct: Any, formed: Any
    ) -> dict[str, Any]:
        """What the log has of a task type; ``correct`` and ``formed`` are of the solver's answers to ``problems``."""
        own, most = [fate for fate in fates if fate.task_type is task_type], self.config.rollouts
        solved = np.array([fate.solve_rate for fate in own if fate.solve_rate is not None]) * most
        mine = np.array([task.type is task_type for task, _ in problems])
        return {
            "valid": len(solved) / len(own),
            "rejected": dict(Counter(fate.fate for fate in own if fate.task is None)),
            "solve_rate_histogram": np.bincount(np.rint(solved).astype(int), minlength=most + 1).tolist(),
            "accuracy": float(correct[mine].mean()),
            "well_formed": float(formed[mine].mean()),
            "problem_age": float(np.array([age for _, age in problems])[mine].mean()),
            "buffer": self.buffer.sizes()[task_type],
            "distinct_programs": self.buffer.distinct_programs(task_type),
        }

    def seed_buffer(self, generate: Generate) -> None:
        """Fill the buffer from the identity function by proposals of the untrained model; nothing is trained.

        Deduction and abduction start from the same entries, proposed in turns; induction from their programs.
        Raises UserError if the model proposes too little that is valid.
        """
        pairs = (TaskType.ABDUCTION, TaskType.DEDUCTION)
        entries = self._seeds(pairs, [IDENTITY], generate)
        for task in entries:
            for task_type in pairs:
                self.buffer.add(Task(task_type, task.program, task.inputs, task.outputs), step=0)
        for task in self._seeds((TaskType.INDUCTION,), entries, generate):
            self.buffer.add(task, step=0)

    def _seeds(self, types: Sequence[TaskType], first: list[Task], generate: Generate) -> list[Task]:
        """As many different tasks as seeding wants, proposed in rounds; pairs grow from ``first``, which is theirs."""
        config, target, induction = self.config, self.config.seed_factor * self.config.batch, len(types) == 1
        found = {} if induction else {(task.program, task.inputs): task for task in first}
        fates: list[Fate] = []
        rounds = 0
        while len(found) < target and rounds < (SEEDING_ROUNDS if any(f.task for f in fates) else FIRST_ROUNDS):
            task_type = types[rounds % len(types)]
            rng = np.random.default_rng([self.seed, 0, TYPES.index(task_type), rounds])
            pool = first if induction else list(found.values())
            shown = 1 if induction else config.references
            requests = [(task_type, [pool[i] for i in rng.permutation(len(pool))[:shown]]) for _ in range(config.batch)]
            prompts = [self.style.propose(*request) for request in requests]
            completions = generate(prompts, (0, TYPES.index(task_type), rounds))
            fates += read_proposals(requests, completions, self.style, self.executor, step=0)
            for i, task in enumerate(fate.task for fate in fates[-config.batch :] if fate.task):
                found.setdefault((rounds, i) if induction else (task.program, task.inputs), task)
            rounds += 1
        if len(found) < min(target, config.batch):
            text = f"Seeding found only {len(found)} valid {types[-1]} tasks in {rounds} rounds of {config.batch}"
            raise UserError(f"{text} {_refusals(fates)}")
        return list(found.values())[:target]


def _refusals(fates: Sequence[Fate]) -> str:
    """Why proposals fell and how the first of them reads, and what to do, for the end of a sentence."""
    why = Counter(f"{fate.fate}: {fate.detail}".rstrip(": ") for fate in fates).most_common(4)
    shares = ", ".join(f"{count / len(fates):.0%} {reason}" for reason, count in why)
    responses = "; ".join(repr(fate.response[:300]) for fate in fates[:3])
    return (
        f"({shares}; the first responses: {responses}): the model does not propose in this prompt style. Take a larger "
        "model, start from a seed file (--seed-file), ask a chat model for less form (model.prompt_style=plain), or "
        "raise rollout.max_new_tokens where responses are cut off."
    )
