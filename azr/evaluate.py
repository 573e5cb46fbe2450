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
from azr.sampling import Completion, sample, sample_batch
from azr.selfplay import grade
from azr.tasks import TaskType
from azr.world.grammar import Split
from azr.world.problems import ArithmeticProblem, Problem, arithmetic_problems, problems

ARITHMETIC = "arithmetic"
COLUMNS = ("task_type", "problem", "statements", "n", "c", "length", "answer_entropy")
"""Of a table of counts: n samples of a problem, c right, mean response length in tokens, and the entropy in nats over
the distinct answers of its samples, as text (a response without an answer counts as one of them)."""
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


def _table(rows: list[tuple[str, str, int, int, int, float, float]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _responses(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompt: str,
    samples: int,
    rollout: RolloutConfig,
    seed: int,
    temperature: float,
) -> tuple[list[str], float]:
    """Samples for one prompt, and their mean length in tokens."""
    longest, chunk = rollout.max_new_tokens, rollout.chunk
    (texts,) = sample(model, tokenizer, [prompt], samples, longest, seed, temperature, chunk)
    return texts, float(np.mean([len(ids) for ids in tokenizer(texts)["input_ids"]]))


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
    """One row a problem, with ``COLUMNS``."""
    rows = []
    for done, problem in enumerate(tasks, 1):
        texts, length = _responses(model, tokenizer, style.solve(problem.task), samples, rollout, seed, temperature)
        correct, _ = grade([problem.task] * samples, [Completion([], [], t) for t in texts], style, executor)
        answers = answer_entropy(style.parse_answer(problem.task.type, text).answer for text in texts)
        solved = (samples, int(correct.sum()), length, answers)
        rows.append((str(problem.task.type), problem.id, problem.statements, *solved))
        if progress:
            progress(done)
    return _table(rows)


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
    rows = []
    for question in questions:
        texts, length = _responses(model, tokenizer, question.prompt, samples, rollout, seed, temperature)
        answers = [match[1] if (match := _ANSWER.fullmatch(text)) else None for text in texts]
        solved = (samples, answers.count(question.answer), length, answer_entropy(answers))
        rows.append((ARITHMETIC, question.id, question.changes, *solved))
    return _table(rows)


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
    responses = sample_batch(model, tokenizer, prompts, rollout.max_new_tokens, seed, rollout.chunk)
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
