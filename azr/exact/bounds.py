"""How probable a right response is: certified bounds for each problem of the world, without sampling.

    with Executor(workers=1) as executor:
        exact_table(model, tokenizer, style, executor, problem_set("test", 24), max_new_tokens=96, expansions=2000)

The probability that one sampled response (temperature 1, no truncation of the distribution) is right lies between

* lower: the right ones among the enumerated responses, and right ones known otherwise, scored where enumeration did
  not reach them: the canonical ones (the program's own trace with the answer, and the answer alone), and those that
  ``samples`` draws find. A draw only says where to look; what counts is its response's exact probability;
* upper: lower and everything unexplored. A response without end token within the limit counts as wrong.

Left out: sharper upper bounds by telling early that a prefix cannot become right; the probability of a right response
to an arithmetic question.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from azr.config import RolloutConfig
from azr.evaluate import graded_samples
from azr.exact.completions import Completions, enumerate_completions, response_ids, response_log_probs
from azr.executor import Executor
from azr.prompts.base import PromptStyle
from azr.sampling import Completion
from azr.selfplay import grade
from azr.tasks import TaskType
from azr.world.problems import Problem

SMALLEST_GRADED = 1e-5
"""An answer whose responses are together less probable than this is not run: its probability stays unexplored."""
COLUMNS = ("task_type", "problem", "statements", "log_lower", "log_upper", "log_direct", "unexplored", "expansions")


@dataclass(frozen=True)
class Bounds:
    """Of the probability p of a right response: log_lower <= log p <= log_upper, in nats."""

    log_lower: float
    log_upper: float
    unexplored: float
    """exp(log_upper) - exp(log_lower), up to rounding."""


def canonical_responses(problem: Problem, style: PromptStyle) -> list[str]:
    """Right responses known without a model: with the program's own trace, and the answer alone, which comes last.

    One response where the trace is empty, as for induction, whose answer is the problem's own program.
    """
    task = problem.task
    answer = {
        TaskType.DEDUCTION: task.output,
        TaskType.ABDUCTION: task.input,
        TaskType.INDUCTION: task.program,
    }[task.type]
    both = (style.respond(task.type, values, answer) for values in (problem.values, ()))
    return list(dict.fromkeys(both))


def success_bounds(
    found: Completions,
    known: dict[str, float],
    problem: Problem,
    tokenizer: PreTrainedTokenizerBase,
    style: PromptStyle,
    executor: Executor,
) -> Bounds:
    """Bounds from enumerated responses and the log-probabilities of right ones known otherwise; each counts once."""
    task = problem.task
    texts = tokenizer.batch_decode(list(found.log_probs), skip_special_tokens=True)
    by_answer: dict[str, list[float]] = defaultdict(list)
    example: dict[str, str] = {}
    for text, log_p in zip(texts, found.log_probs.values(), strict=True):
        parsed = style.parse_answer(task.type, text)
        if parsed.answer is not None:
            by_answer[parsed.answer].append(log_p)
            example[parsed.answer] = text
    masses = {answer: float(np.exp(log_ps).sum()) for answer, log_ps in by_answer.items()}
    settled = {style.parse_answer(task.type, text).answer for text in known}
    asked = [a for a, mass in masses.items() if a not in settled and mass >= SMALLEST_GRADED]
    correct, _ = grade([task] * len(asked), [Completion([], [], example[a]) for a in asked], style, executor)
    right = settled | {answer for answer, ok in zip(asked, correct, strict=True) if ok}

    missed = [log_p for text, log_p in known.items() if response_ids(tokenizer, text) not in found.log_probs]
    terms = [log_p for answer in by_answer if answer in right for log_p in by_answer[answer]] + missed
    log_lower = min(float(np.logaddexp.reduce(terms)), 0.0)
    ungraded = sum(mass for answer, mass in masses.items() if answer not in settled and mass < SMALLEST_GRADED)
    unexplored = max(found.unexplored + ungraded - float(np.exp(missed).sum()), 0.0)
    with np.errstate(divide="ignore"):
        log_upper = min(float(np.logaddexp(log_lower, np.log(unexplored))), 0.0)
    return Bounds(log_lower, log_upper, unexplored)


def exact_table(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    style: PromptStyle,
    executor: Executor,
    problems: Sequence[Problem],
    max_new_tokens: int,
    expansions: int,
    samples: int = 0,
    bound: float = 1e-3,
    progress: Callable[[int], None] | None = None,
) -> pd.DataFrame:
    """One row a problem, columns ``COLUMNS``.

    Args:
        model: a causal language model in evaluation mode.
        tokenizer: its tokenizer.
        style: how tasks become prompts and responses are read.
        executor: grades answers.
        problems: of the built-in world.
        max_new_tokens: longest response, its end token included.
        expansions: prefixes expanded for each problem; with 0 only right responses known otherwise are scored.
        samples: responses drawn of each problem, so that right ones out of enumeration's reach are found.
        bound: a problem is done when at most this much probability is unexplored.
        progress: called with the problems done.

    Returns:
        ``log_lower`` and ``log_upper`` bound the log-probability (nats) of a right response; ``log_direct`` is that of
        one particular right response, the answer without a trace; ``unexplored`` is a probability.
    """
    prompts = [style.solve(problem.task) for problem in problems]
    canonical = [canonical_responses(problem, style) for problem in problems]
    drawn = _right_responses(model, tokenizer, style, executor, problems, max_new_tokens, samples)
    right = [list(dict.fromkeys([*texts, *more])) for texts, more in zip(canonical, drawn, strict=True)]
    pairs = [(prompt, text) for prompt, texts in zip(prompts, right, strict=True) for text in texts]
    scores = iter(response_log_probs(model, tokenizer, pairs, max_new_tokens).tolist())
    rows = []
    for done, (problem, prompt, texts) in enumerate(zip(problems, prompts, right, strict=True), 1):
        scored = {text: next(scores) for text in texts}
        found = enumerate_completions(model, tokenizer, prompt, max_new_tokens, expansions, bound)
        bounds = success_bounds(found, scored, problem, tokenizer, style, executor)
        direct = scored[canonical[done - 1][-1]]
        about = (str(problem.task.type), problem.id, problem.statements)
        rows.append((*about, bounds.log_lower, bounds.log_upper, direct, bounds.unexplored, found.expansions))
        if progress:
            progress(done)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _right_responses(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    style: PromptStyle,
    executor: Executor,
    problems: Sequence[Problem],
    max_new_tokens: int,
    samples: int,
) -> list[list[str]]:
    """The distinct right ones among ``samples`` responses to each problem that ended within the limit."""
    if not samples:
        return [[] for _ in problems]
    rollout = RolloutConfig(max_new_tokens=max_new_tokens, chunk=256)
    tasks = [problem.task for problem in problems]
    drawn, right = graded_samples(model, tokenizer, style, executor, tasks, samples, rollout, seed=1)
    eos = tokenizer.eos_token_id
    return [
        list(dict.fromkeys(c.text for c, ok in zip(own, oks, strict=True) if ok and c.ids[-1] == eos))
        for own, oks in zip(drawn, right, strict=True)
    ]
