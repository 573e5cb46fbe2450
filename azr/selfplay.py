"""One step of the Absolute Zero Reasoner's self-play: propose, validate, estimate the solve rate, solve.

``SelfPlay(...).step(step, generate)`` samples both roles of all three task types with the current policy and returns
the rows to train on, each with its reward; ``generate`` maps prompts to completions (the trainer's own generation).
Faithful to AZR (arXiv 2505.03335, the branch behind its numbers), with these repairs: programs are valid by the
executor's verdict, not by a substring; determinism is checked in fresh state under two hash seeds; long outputs are
refused, not cut; answers are compared as literals. What it leaves out: composite functions, the error-prediction task
and the intrinsic diversity rewards, all of which AZR's scripts switch off.

The order is AZR's: all prompts of a step are drawn before anything is generated, so the solver's problems are those
that the previous step proposed, and the buffer.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from azr.buffer import TaskBuffer
from azr.config import RolloutConfig, TrainConfig
from azr.errors import UserError
from azr.executor import Execution, Executor, Job, Verdict
from azr.metrics.curriculum import ast_distance
from azr.prompts.base import PromptStyle
from azr.rewards import proposer_rewards, solver_rewards
from azr.sampling import Completion
from azr.tasks import Proposal, Role, Task, TaskType

GROUPS = tuple(
    (task_type, role) for task_type in (TaskType.ABDUCTION, TaskType.DEDUCTION, TaskType.INDUCTION) for role in Role
)
"""The six groups task type x role, in the order in which AZR rolls them out."""
IDENTITY = Task(TaskType.DEDUCTION, "def f(x):\n    return x", ("'abc'",), ("'abc'",))
"""The one task that a human gave: the identity function."""
MAX_SEEDING_ROUNDS = 60


Generate = Callable[[Sequence[str]], list[Completion]]


@dataclass(frozen=True)
class Row:
    """One response to train on."""

    task_type: TaskType
    role: Role
    completion: Completion
    reward: float

    @property
    def group(self) -> int:
        """Index into GROUPS."""
        return GROUPS.index((self.task_type, self.role))

    @property
    def length(self) -> int:
        """Tokens of prompt and response."""
        return len(self.completion.prompt_ids) + len(self.completion.ids)


@dataclass
class Fate:
    """A proposal and what became of it; one line of ``proposals.jsonl``."""

    step: int
    task_type: TaskType
    response: str
    fate: str
    """valid, malformed, or what the executor found."""
    detail: str = ""
    task: Task | None = None
    solve_rate: float | None = None
    reward: float | None = None
    tokens: int = 0

    def to_json(self) -> dict[str, Any]:
        """Plain values for a JSON line."""
        plain = {k: v for k, v in vars(self).items() if k != "task"} | {"task_type": str(self.task_type)}
        return plain | {"task": self.task.to_json() if self.task else None}


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


def validate(
    proposals: Sequence[tuple[TaskType, Proposal | None]], executor: Executor
) -> list[tuple[Task | None, str, str]]:
    """Run proposals; for each the task it makes or None, its fate and a detail.

    A proposal stands if every one of its inputs gives a literal value, the same one under two hash seeds.
    """
    jobs = [Job(p.program, text, runs=2) for _, p in proposals if p for text in p.inputs]
    executions = iter(executor.run_many(jobs))
    results: list[tuple[Task | None, str, str]] = []
    for task_type, proposal in proposals:
        if proposal is None:
            results.append((None, "malformed", ""))
            continue
        runs: list[Execution] = [next(executions) for _ in proposal.inputs]
        bad = next((run for run in runs if run.verdict is not Verdict.OK), None)
        if bad is not None:
            results.append((None, str(bad.verdict), bad.detail))
            continue
        outputs = tuple(str(run.output) for run in runs)
        results.append((Task(task_type, proposal.program, proposal.inputs, outputs, proposal.message), "valid", ""))
    return results


def propose(
    requests: Sequence[tuple[TaskType, list[Task]]],
    completions: Sequence[Completion],
    style: PromptStyle,
    executor: Executor,
    step: int,
) -> tuple[list[Fate], list[bool]]:
    """Read and validate the proposer's responses: their fates, and which were well formed."""
    parsed = [
        style.parse_proposal(task_type, completion.text, references)
        for (task_type, references), completion in zip(requests, completions, strict=True)
    ]
    validated = validate([(r[0], p.proposal) for r, p in zip(requests, parsed, strict=True)], executor)
    fates = []
    for (task_type, _), completion, read, (task, fate, detail) in zip(
        requests, completions, parsed, validated, strict=True
    ):
        reason = detail if read.proposal else read.reason
        fates.append(Fate(step, task_type, completion.text, fate, reason, task, tokens=len(completion.ids)))
    return fates, [p.well_formed for p in parsed]


def grade(
    tasks: Sequence[Task], completions: Sequence[Completion], style: PromptStyle, executor: Executor
) -> tuple[np.ndarray, np.ndarray]:
    """Whether each response is correct, and whether it is well formed; boolean arrays of shape (n,)."""
    parsed = [style.parse_answer(t.type, c.text) for t, c in zip(tasks, completions, strict=True)]
    given = [i for i, p in enumerate(parsed) if p.answer is not None]
    correct = np.zeros(len(parsed), dtype=bool)
    correct[given] = executor.grade_many([(tasks[i], str(parsed[i].answer)) for i in given])
    return correct, np.array([p.well_formed for p in parsed], dtype=bool)


def solve_rates(
    tasks: Sequence[Task], rollouts: int, generate: Generate, style: PromptStyle, executor: Executor
) -> tuple[np.ndarray, int]:
    """Mean success of ``rollouts`` attempts at each task, shape (tasks,), and the tokens that this took."""
    repeated = [task for task in tasks for _ in range(rollouts)]
    completions = generate([style.solve(task) for task in repeated])
    correct, _ = grade(repeated, completions, style, executor)
    return correct.reshape(len(tasks), rollouts).mean(axis=1), sum(len(c.ids) for c in completions)


class SelfPlay:
    """The state of self-play between steps: the buffer. A step's draws depend on the seed and its number alone."""

    def __init__(
        self,
        config: RolloutConfig,
        style: PromptStyle,
        executor: Executor,
        seed: int,
        train: TrainConfig | None = None,
        buffer: TaskBuffer | None = None,
    ) -> None:
        self.config, self.style, self.executor, self.seed = config, style, executor, seed
        self.train = train or TrainConfig()
        self.buffer = buffer or TaskBuffer()

    def state(self) -> list[dict[str, Any]]:
        """The buffer as JSON rows, for a checkpoint."""
        return self.buffer.to_json()

    @property
    def rows_per_step(self) -> int:
        """Responses trained on in one step."""
        return self.config.rows

    def _rng(self, *stream: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, *stream])

    def seed_buffer(self, generate: Generate) -> None:
        """Fill the buffer from the identity function by proposals of the untrained model; nothing is trained.

        Deduction and abduction start from the same entries, proposed in turns; induction from their programs.
        Raises UserError if the model proposes too little that is valid.
        """
        target = self.config.seed_factor * self.config.batch
        entries = {(IDENTITY.program, IDENTITY.inputs): IDENTITY}
        pairs = (TaskType.ABDUCTION, TaskType.DEDUCTION)
        for turn in range(MAX_SEEDING_ROUNDS):
            if len(entries) >= target:
                break
            for task in self._seed_round(pairs[turn % 2], list(entries.values()), generate, turn):
                entries.setdefault((task.program, task.inputs), task)
        self._demand(len(entries), target, "deduction")
        for task in list(entries.values())[:target]:
            for task_type in pairs:
                self.buffer.add(Task(task_type, task.program, task.inputs, task.outputs), step=0)
        induction: list[Task] = []
        for turn in range(MAX_SEEDING_ROUNDS):
            if len(induction) >= target:
                break
            induction += self._seed_round(TaskType.INDUCTION, list(entries.values()), generate, turn)
        self._demand(len(induction), target, "induction")
        for task in induction[:target]:
            self.buffer.add(task, step=0)

    def _seed_round(self, task_type: TaskType, pool: list[Task], generate: Generate, turn: int) -> list[Task]:
        rng = self._rng(0, list(TaskType).index(task_type), turn)
        k = 1 if task_type is TaskType.INDUCTION else self.config.references
        requests = [(task_type, [pool[i] for i in rng.permutation(len(pool))[:k]]) for _ in range(self.config.batch)]
        completions = generate([self.style.propose(*request) for request in requests])
        fates, _ = propose(requests, completions, self.style, self.executor, step=0)
        return [fate.task for fate in fates if fate.task]

    def _demand(self, found: int, target: int, what: str) -> None:
        if found < min(target, self.config.batch):
            raise UserError(
                f"Seeding found only {found} valid {what} tasks in {MAX_SEEDING_ROUNDS} rounds: the model does not "
                "propose in this prompt style; take another model or style, or start from a seed file."
            )

    def step(self, step: int, generate: Generate, generate_from_base: Generate | None = None) -> StepResult:
        """Roll out step number ``step`` (from 1) with the current policy; ``generate_from_base`` samples the untrained
        model, which proposes where the setting ``train.proposer`` is ``base``.
        """
        rng, clock, config = self._rng(1, step), Clock(), self.config
        requests: list[tuple[TaskType, list[Task]]] = []
        problems: list[tuple[Task, int]] = []
        for task_type in (TaskType.ABDUCTION, TaskType.DEDUCTION, TaskType.INDUCTION):
            for _ in range(config.batch):
                shown = self.buffer.references(task_type, config.references, rng, config.references_from == "seeds")
                requests.append((task_type, shown))
            problems += self.buffer.problems(task_type, config.solved, step, rng)
        tasks = [task for task, _ in problems]
        with clock("propose"):
            propose_by = generate_from_base if generate_from_base and self.train.proposer == "base" else generate
            proposed = propose_by([self.style.propose(*request) for request in requests])
        with clock("execute"):
            fates, well_formed = propose(requests, proposed, self.style, self.executor, step)
        standing = [fate for fate in fates if fate.task]
        with clock("estimate"):
            rates, estimate_tokens = self._estimate([fate.task for fate in standing if fate.task], generate)
        with clock("solve"):
            solved = generate([self.style.solve(task) for task in tasks])
        with clock("execute"):
            correct, formed = grade(tasks, solved, self.style, self.executor)
        for fate, rate in zip(standing, rates, strict=True):
            fate.solve_rate = float(rate)
        valid = np.array([fate.task is not None for fate in fates]) & np.array(well_formed)
        rate_of_all = np.array([np.nan if fate.solve_rate is None else fate.solve_rate for fate in fates])
        bonus = self._novelty([references for _, references in requests], fates)
        rewards = proposer_rewards(rate_of_all, valid, self.train.proposer_reward, bonus)
        for fate, reward in zip(fates, rewards, strict=True):
            fate.reward = float(reward)
        for fate in standing:
            self.buffer.add(fate.task, step)  # type: ignore[arg-type]
        rows = [Row(f.task_type, Role.PROPOSER, c, f.reward) for f, c in zip(fates, proposed, strict=True)]  # type: ignore[arg-type]
        answers = zip(tasks, solved, solver_rewards(correct, formed), strict=True)
        rows += [Row(task.type, Role.SOLVER, c, float(reward)) for task, c, reward in answers]
        rows.sort(key=lambda row: row.group)
        metrics = self._metrics(fates, problems, correct, formed)
        metrics["seconds"] = dict(clock.seconds)
        metrics["tokens"] = {
            "proposed": sum(len(c.ids) for c in proposed),
            "estimated": estimate_tokens,
            "solved": sum(len(c.ids) for c in solved),
        }
        return StepResult(rows, fates, metrics)

    def _estimate(self, tasks: list[Task], generate: Generate) -> tuple[np.ndarray, int]:
        if not tasks:
            return np.zeros(0), 0
        return solve_rates(tasks, self.config.rollouts, generate, self.style, self.executor)

    def _novelty(self, references: Sequence[list[Task]], fates: Sequence[Fate]) -> np.ndarray:
        """Weighted mean distance of each valid proposal's program to those it was shown, shape (proposals,)."""
        bonus = np.zeros(len(fates))
        for i, (shown, fate) in enumerate(zip(references, fates, strict=True)):
            if self.train.novelty_weight and fate.task:
                distances = [ast_distance(fate.task.program, task.program) for task in shown]
                bonus[i] = self.train.novelty_weight * float(np.mean(distances))
        return bonus

    def _metrics(
        self, fates: list[Fate], problems: list[tuple[Task, int]], correct: np.ndarray, formed: np.ndarray
    ) -> dict[str, Any]:
        by_type: dict[str, Any] = {}
        ages = np.array([age for _, age in problems])
        for task_type in TaskType:
            own = [fate for fate in fates if fate.task_type is task_type]
            rates = [fate.solve_rate for fate in own if fate.solve_rate is not None]
            mine = np.array([task.type is task_type for task, _ in problems])
            by_type[str(task_type)] = {
                "valid": len(rates) / len(own),
                "rejected": dict(Counter(fate.fate for fate in own if fate.task is None)),
                "solve_rate_histogram": np.bincount(
                    np.rint(np.array(rates) * self.config.rollouts).astype(int), minlength=self.config.rollouts + 1
                ).tolist(),
                "accuracy": float(correct[mine].mean()),
                "well_formed": float(formed[mine].mean()),
                "problem_age": float(ages[mine].mean()),
                "buffer": self.buffer.sizes()[task_type],
                "distinct_programs": self.buffer.distinct_programs(task_type),
            }
        return {"tasks": by_type}
