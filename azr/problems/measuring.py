"""Measure a model on a problem set: how many of n responses to each problem are right, and how probable a right one is.

    frame = evaluate(model, tokenizer, style, executor, problem_set, samples=64, decoding=Decoding(96))

Sample j of a problem has a random stream of its own, the same for every model (common random numbers), so differences
between models are paired. Left out: pass@k (``azr.metrics.pass_at_k``), intervals (``azr.tables``).
"""

from __future__ import annotations

import json
import math
import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from azr.executor import Executor
from azr.metrics.entropy import answer_entropy
from azr.problems.base import Graded, Problem
from azr.problems.loading import ProblemSet
from azr.prompts.base import PromptStyle
from azr.runs import append_lines, read_lines, write_lines
from azr.tasks import TaskType

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from azr.models.sampling import Completion, Decoding

    Response = tuple[Completion, Graded]

COLUMNS = (
    "set", "group", "problem", "size", "n", "c", "p", "greedy", "answers", "answer_entropy", "length", "ended",
    "refused",
)  # fmt: skip
"""One row a problem: n samples, c right; p, the mean probability of the one right answer after the samples' own traces
(NaN where there is no one right text); greedy, whether the response at temperature 0 is right (NaN where none was
drawn); the number of distinct answers (none counts as one) and their entropy in nats; mean length in tokens with the
end token; the share that ended by itself; how many programs the policy refused."""
BLOCK = 8
"""Chunks of rows between two notes of what is finished: the sampler fills the places of rows that have ended."""


def evaluate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    style: PromptStyle,
    executor: Executor,
    problem_set: ProblemSet,
    samples: int,
    decoding: Decoding,
    seed: int = 0,
    greedy: bool = True,
    score: bool = True,
    progress: Callable[[int, int], None] | None = None,
    partial: Path | None = None,
) -> pd.DataFrame:
    """One row a problem, with ``COLUMNS``, in the order of the set.

    Args:
        model: in evaluation mode.
        tokenizer: pads on the left.
        style: words the prompts and reads the responses.
        executor: ``problem_set.open_executor()``.
        problem_set: what is asked.
        samples: responses to each problem.
        decoding: how they are drawn.
        seed: of sampling; streams are named by (seed, problem, sample).
        greedy: also draw one response at temperature 0.
        score: also score the right answer, where exactly one text is right (deduction, arithmetic).
        progress: called with (problems done, all problems).
        partial: a JSONL file in which finished problems are noted as they come, so that a killed call goes on from
            there. With other settings, prompts or weights it is begun anew. It is the caller's to remove.
    """
    from azr.models.sampling import sample  # with torch, which reading a problem set need not wait for

    prompts = {problem.id: problem_set.prompt(problem, style) for problem in problem_set.problems}

    def answered(problems: Sequence[Problem], count: int, how: Decoding) -> list[list[Response]]:
        rows = [(problem, j) for problem in problems for j in range(count)]
        streams = [(seed, zlib.crc32(f"{problem_set.name}/{problem.id}".encode()), j) for problem, j in rows]
        drawn = sample(model, tokenizer, [prompts[problem.id] for problem, _ in rows], how, streams)
        graded = problem_set.grade(
            [(problem, c.text) for (problem, _), c in zip(rows, drawn, strict=True)], style, executor
        )
        responses = list(zip(drawn, graded, strict=True))
        return [responses[i * count : (i + 1) * count] for i in range(len(problems))]

    asked = {"set": problem_set.name, "seed": seed, "samples": samples, "greedy": greedy, "score": score}
    asked |= {"decoding": asdict(replace(decoding, chunk=0)), "weights": _weights(model)}
    asked |= {"prompts": zlib.crc32(json.dumps(prompts).encode())}
    done = _resumed(partial, asked)
    left = [problem for problem in problem_set.problems if problem.id not in done]
    left.sort(key=lambda problem: (len(prompts[problem.id]), problem.id))
    across = max(1, BLOCK * decoding.chunk // samples)
    for start in range(0, len(left), across):
        if progress:
            progress(len(done), len(prompts))
        block = left[start : start + across]
        drawn = answered(block, samples, decoding)
        best = answered(block, 1, replace(decoding, temperature=0.0)) if greedy else [None] * len(block)
        scored = (
            _probabilities(model, tokenizer, style, block, drawn, decoding.chunk) if score else [math.nan] * len(block)
        )
        rows = [_row(problem_set.name, *parts) for parts in zip(block, drawn, best, scored, strict=True)]
        done |= {row["problem"]: row for row in rows}
        if partial:
            append_lines(partial, rows)
    if progress:
        progress(len(done), len(prompts))
    return pd.DataFrame([done[problem.id] for problem in problem_set.problems], columns=list(COLUMNS))


def _row(
    name: str, problem: Problem, drawn: Sequence[Response], best: Sequence[Response] | None, p: float
) -> dict[str, Any]:
    answers = [graded.answer for _, graded in drawn]
    values = (
        name,
        problem.group,
        problem.id,
        problem.size,
        len(drawn),
        sum(graded.correct for _, graded in drawn),
        p,
        float(best[0][1].correct) if best else math.nan,
        len(set(answers)),
        answer_entropy(answers),
        float(np.mean([len(completion.ids) for completion, _ in drawn])),
        float(np.mean([completion.ended for completion, _ in drawn])),
        sum(graded.refused for _, graded in drawn),
    )
    return dict(zip(COLUMNS, values, strict=True))


def _right_text(problem: Problem, style: PromptStyle) -> tuple[str, str] | None:
    """The label and the answer of the one text that is right; None where there are several (or it is not known)."""
    if style.name != "compact":
        return None
    if problem.task is None:
        return style.respond(None, (), ""), problem.gold["answer"]
    return (
        (style.respond(problem.task.type, (), ""), problem.task.output)
        if problem.task.type is TaskType.DEDUCTION
        else None
    )


def _probabilities(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    style: PromptStyle,
    problems: Sequence[Problem],
    drawn: Sequence[Sequence[Response]],
    chunk: int,
) -> list[float]:
    """The mean over a problem's samples of the probability of the right answer after their traces [problems].

    A sample's mean is that of whether it is right, given what stands before its answer, so the mean over samples has
    the same expectation as the share of right ones and less noise (Rao-Blackwell). A response without a place for an
    answer counts 0.
    """
    from azr.models.scoring import answer_probabilities

    piece = lru_cache(lambda token: tokenizer.decode([token]))
    end = [tokenizer.eos_token_id]
    places = []
    for problem, responses in zip(problems, drawn, strict=True):
        right = _right_text(problem, style)
        for completion, graded in responses if right else ():
            label, answer = right
            reached = re.match(rf"(?:think [^\n]*\n)?{re.escape(label)}", completion.text)
            offsets = [0, *accumulate(len(piece(token)) for token in completion.ids)]
            if reached is None:
                places.append(0.0)
            elif reached.end() not in offsets:  # a token across the border: what was sampled is all there is
                places.append(float(graded.correct))
            else:
                trace = completion.ids[: offsets.index(reached.end())]
                ids = tokenizer(answer, add_special_tokens=False)["input_ids"] + end
                places.append(((*completion.prompt_ids, *trace), tuple(ids)))
    rows = list(dict.fromkeys(place for place in places if isinstance(place, tuple)))
    known = dict(zip(rows, answer_probabilities(model, rows, chunk), strict=True))
    values = iter([known.get(place, place) for place in places])
    return [
        float(np.mean([next(values) for _ in own])) if _right_text(problem, style) else math.nan
        for problem, own in zip(problems, drawn, strict=True)
    ]


def _resumed(partial: Path | None, asked: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Finished rows by problem, of a file that begins with exactly what is asked; else the file is begun anew."""
    if partial is None:
        return {}
    rows = read_lines(partial) if partial.exists() else []
    if rows[:1] != [asked]:
        partial.parent.mkdir(parents=True, exist_ok=True)
        rows = [asked]
    write_lines(partial, rows)  # without a last line that a kill cut off
    return {row["problem"]: row for row in rows[1:]}


def _weights(model: PreTrainedModel) -> int:
    """What tells these weights from others: a checksum over the first of each tensor."""
    first = [parameter.detach().flatten()[:64].float().cpu().numpy().tobytes() for parameter in model.parameters()]
    return zlib.crc32(b"".join(first))
