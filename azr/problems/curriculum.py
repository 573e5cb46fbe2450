"""A run's deduction proposals, solved again by one fixed model, the base that all runs started from (RQ2).

    frame = resolve_proposals(base, tokenizer, style, executor, run.proposals, 800, 8, decoding, rng)

One solver for every arm, seed and step, so a trend is the proposals' and not the solver's. Left out: the trends
(``azr.tables``), abduction and induction.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from azr.executor import Executor, Job
from azr.metrics.programs import statement_count
from azr.models.sampling import Decoding
from azr.problems.base import Problem
from azr.problems.loading import ProblemSet
from azr.problems.measuring import evaluate
from azr.prompts.base import PromptStyle
from azr.tasks import Task, TaskType


def spread(steps: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Which of the observations at ``steps`` [N] to take: ``count`` of them, of each step as many as of any other.

    A step that has fewer gives all it has. Returns sorted indices [min(count, N)].

    >>> spread(np.array([1, 1, 1, 1, 2]), 3, np.random.default_rng(0)).tolist()[-1]
    4
    """
    order = pd.Series(rng.permutation(len(steps)))
    turn = order.groupby(np.asarray(steps)).rank(method="first")  # how many of its step come before it
    return np.sort(np.lexsort((order, turn))[:count])


def resolve_proposals(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    style: PromptStyle,
    executor: Executor,
    proposals: pd.DataFrame,
    count: int,
    samples: int,
    decoding: Decoding,
    rng: np.random.Generator,
    **options: Any,
) -> pd.DataFrame:
    """Up to ``count`` valid deduction proposals, spread evenly over the steps, each solved ``samples`` times.

    Args:
        model: the solver, with its tokenizer and prompt style.
        tokenizer: see there.
        style: see there.
        executor: runs the programs for their outputs, and grades.
        proposals: of a run, in order: step, task_type, program (none where it was not valid), input.
        count: most proposals.
        samples: responses to each.
        decoding: how they are drawn.
        rng: chooses proposals.
        options: ``progress`` and ``partial`` of ``evaluate``.

    Returns:
        One row a proposal: problem (its row in ``proposals``), step, program, input, statements, and n, c, p, length
        and ended as of ``evaluate``.
    """
    proposals = proposals.reset_index(drop=True)
    valid = proposals[(proposals.task_type == TaskType.DEDUCTION) & proposals.program.notna()]
    frame = valid.iloc[spread(valid.step.to_numpy(), count, rng)][["step", "program", "input"]]
    frame = frame.assign(statements=frame.program.map(statement_count))
    outputs = executor.run_many([Job(row.program, row.input) for row in frame.itertuples()])
    problems = [
        Problem(str(row.Index), "deduction", task=Task(TaskType.DEDUCTION, row.program, (row.input,), (run.output,)))
        for row, run in zip(frame.itertuples(), outputs, strict=True)
        if run.ok
    ]
    problem_set = ProblemSet("curriculum", tuple(problems), "task")
    counts = evaluate(model, tokenizer, style, executor, problem_set, samples, decoding, greedy=False, **options)
    counts.index = counts.problem.astype(int)
    return frame.join(counts[["n", "c", "p", "length", "ended"]], how="inner").rename_axis("problem").reset_index()
