"""Measure a model on the world's problems by sampling: how many of n responses are right, problem by problem.

``solve_counts(model, tokenizer, problems, ...)`` gives the tidy table from which pass@k is computed
(``azr.metrics.pass_at_k``); ``validate`` the mean success on validation problems during training; ``measure`` the
test problems of every domain. Real benchmarks are in ``azr.benchmarks``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import pandas as pd
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from azr.config import EvaluationConfig, RolloutConfig
from azr.executor import Executor
from azr.metrics.entropy import answer_entropy
from azr.prompts.base import PromptStyle
from azr.sampling import Completion, sample, sample_each
from azr.selfplay import grade
from azr.tasks import Task, TaskType
from azr.world.grammar import Split
from azr.world.problems import ArithmeticProblem, Problem, arithmetic_problems, problems

ARITHMETIC = "arithmetic"
COLUMNS = ("task_type", "problem", "statements", "n", "c", "length", "answer_entropy")
"""Of a table of counts: n samples of a problem, c right, mean response length in tokens (end token included), and the
entropy in nats over the distinct answers of its samples, as text (a response without one counts as one of them)."""
TUNING_FROM = 200
"""The first of the validation problems that are for tuning."""
_ANSWER = re.compile(r"(?:think [^\n]*\n)?answer (-?\d+)")


def problem_set(split: Split | Literal["tuning"], count: int) -> list[Problem]:
    """``count`` problems of each task type.

    ``tuning`` is the part of the validation problems by which hyperparameters are chosen; no figure shows it.
    """
    if split == "tuning":
        return [p for t in TaskType for p in problems("validation", t, TUNING_FROM + count)[TUNING_FROM:]]
    return [problem for task_type in TaskType for problem in problems(split, task_type, count)]


def _samples(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    samples: int,
    rollout: RolloutConfig,
    seed: int,
    temperature: float,
    progress: Callable[[int], None] | None = None,
) -> list[list[Completion]]:
    """``samples`` completions of each prompt."""
    drawn: dict[int, list[Completion]] = {}
    longest, chunk = rollout.max_new_tokens, rollout.chunk
    for i, completions in sample_each(model, tokenizer, prompts, samples, longest, seed, chunk, temperature):
        drawn[i] = completions
        if progress:
            progress(len(drawn))
    return [drawn[i] for i in range(len(prompts))]


def graded_samples(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    style: PromptStyle,
    executor: Executor,
    tasks: Sequence[Task],
    samples: int,
    rollout: RolloutConfig,
    seed: int,
    temperature: float = 1.0,
    progress: Callable[[int], None] | None = None,
) -> tuple[list[list[Completion]], np.ndarray]:
    """``samples`` responses to each task, in the order of ``tasks``, and whether each is right [tasks, samples].

    ``progress`` is called with the tasks done.
    """
    prompts = [style.solve(task) for task in tasks]
    drawn = _samples(model, tokenizer, prompts, samples, rollout, seed, temperature, progress)
    everything = [completion for own in drawn for completion in own]
    right, _ = grade([task for task in tasks for _ in range(samples)], everything, style, executor)
    return drawn, right.reshape(len(tasks), samples)


def _counted(
    completions: Sequence[Completion], right: int, answers: Sequence[str | None]
) -> tuple[int, int, float, float]:
    """The last four of ``COLUMNS``."""
    length = float(np.mean([len(completion.ids) for completion in completions]))
    return len(completions), right, length, answer_entropy(answers)


def solve_counts(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    style: PromptStyle,
    executor: Executor,
    tasks: Sequence[Problem],
    samples: int,
    rollout: RolloutConfig,
    seed: int = 0,
    temperature: float = 1.0,
    progress: Callable[[int], None] | None = None,
) -> pd.DataFrame:
    """One row a problem, with ``COLUMNS``, in the order of ``tasks``; ``progress`` is called with the problems done."""
    own_tasks = [problem.task for problem in tasks]
    drawn, right = graded_samples(
        model, tokenizer, style, executor, own_tasks, samples, rollout, seed, temperature, progress
    )
    rows = []
    for problem, own, c in zip(tasks, drawn, right.sum(axis=1).tolist(), strict=True):
        answers = [style.parse_answer(problem.task.type, completion.text).answer for completion in own]
        rows.append((str(problem.task.type), problem.id, problem.statements, *_counted(own, c, answers)))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def arithmetic_counts(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    questions: Sequence[ArithmeticProblem],
    samples: int,
    rollout: RolloutConfig,
    seed: int = 0,
    temperature: float = 1.0,
) -> pd.DataFrame:
    """The same table for the arithmetic domain; ``statements`` counts the question's changes."""
    prompts = [question.prompt for question in questions]
    rows = []
    for question, own in zip(
        questions, _samples(model, tokenizer, prompts, samples, rollout, seed, temperature), strict=True
    ):
        answers = [match[1] if (match := _ANSWER.fullmatch(completion.text)) else None for completion in own]
        counted = _counted(own, answers.count(question.answer), answers)
        rows.append((ARITHMETIC, question.id, question.changes, *counted))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def validate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    style: PromptStyle,
    executor: Executor,
    config: EvaluationConfig,
    rollout: RolloutConfig,
    seed: int = 0,
) -> dict[str, float]:
    """Sampled accuracy on the validation problems, by task type: the curve of a run."""
    tasks = [p.task for p in problem_set("validation", config.validation_problems)] * config.validation_samples
    prompts = [style.solve(task) for task in tasks]
    responses = sample(model, tokenizer, prompts, rollout.max_new_tokens, seed, rollout.chunk)
    correct, _ = grade(tasks, responses, style, executor)
    types = np.array([str(task.type) for task in tasks])
    return {str(t): float(correct[types == t].mean()) for t in TaskType}


def measure(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    style: PromptStyle,
    executor: Executor,
    config: EvaluationConfig,
    rollout: RolloutConfig,
    progress: Callable[[int], None] | None = None,
) -> pd.DataFrame:
    """The test problems of every task type and of the arithmetic domain."""
    tasks = problem_set("test", config.problems)
    solved = solve_counts(model, tokenizer, style, executor, tasks, config.samples, rollout, progress=progress)
    questions = arithmetic_problems("test", config.problems)
    return pd.concat(
        [solved, arithmetic_counts(model, tokenizer, questions, config.samples, rollout)], ignore_index=True
    )
