"""Measure a model on a problem set: how many of n responses to each problem are right, and how probable a right one is.

    frame = evaluate(model, tokenizer, style, executor, problem_set, samples=64, decoding=Decoding(96))
    frame = resolve_proposals(base, tokenizer, style, executor, run.proposals, 800, 8, Decoding(96), rng)   # RQ2

Sample j of a problem has a random stream of its own, the same for every model (common random numbers), so differences
between models are paired. Left out: pass@k (``azr.metrics.pass_at_k``), intervals and trends (``azr.tables``).
"""

import math
import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from azr.executor import Executor, Job
from azr.metrics.entropy import answer_entropy
from azr.metrics.programs import statement_count
from azr.models.sampling import Completion, Decoding, check_room, encode_prompt, sample
from azr.models.scoring import answer_probabilities
from azr.problems.loading import ProblemSet
from azr.problems.tasks import Graded, Problem
from azr.prompts.base import PromptStyle
from azr.runs import MEASURING, append_lines, read_lines, stamp, write_lines
from azr.tasks import Task, TaskType

Response = tuple[Completion, Graded]
COLUMNS = (
    "set", "group", "problem", "size", "n", "c", "p", "greedy", "answers", "answer_entropy", "length", "ended",
    "refused",
)  # fmt: skip
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
    """Draw and grade responses to every problem of a set.

    Args:
        model: in evaluation mode.
        tokenizer: pads on the left.
        style: words the prompts and reads the responses.
        executor: ``problem_set.open_executor()``.
        seed: of sampling; streams are named by (seed, problem, sample).
        greedy: also draw one response at temperature 0.
        score: also score the right answer, where exactly one text is right: deduction and arithmetic in the compact
            style, at temperature 1 without truncation.
        progress: called with (problems done, all problems).
        partial: a JSONL file in which finished problems are noted as they come, so that a killed call goes on from
            there. With other settings, problems, answers or weights it is begun anew. It is the caller's to remove.

    Returns:
        One row a problem, in the order of the set: set, group, problem, size; n samples, c of them right; p, the mean
        probability of the right answer after the samples' own traces (NaN where it is not scored); greedy, whether the
        response at temperature 0 is right (NaN where none was drawn); answers, the number of distinct ones (none is
        one), and answer_entropy, in nats; length, the mean in tokens with the end token; ended, the share that ended by
        itself; refused, how many samples' programs the executor's policy forbids.
    """
    prompts = {problem.id: problem_set.prompt(problem, style) for problem in problem_set.problems}
    check_room(model, [encode_prompt(tokenizer, prompt) for prompt in prompts.values()], decoding.max_new_tokens)
    settings = {"set": problem_set.name, "seed": seed, "samples": samples, "greedy": greedy, "score": score}
    settings |= {"decoding": asdict(replace(decoding, chunk=0)), "weights": _weights(model)}
    whole = [asdict(problem) for problem in problem_set.problems]  # with what the grader compares with
    done = _resumed(partial, settings | {"problems": stamp(MEASURING, problem_set.grader, prompts, whole)})

    def answered(problems: Sequence[Problem], count: int, how: Decoding) -> list[list[Response]]:
        """``count`` responses to each."""
        asked = [(problem, j) for problem in problems for j in range(count)]
        streams = [(seed, zlib.crc32(f"{problem_set.name}/{problem.id}".encode()), j) for problem, j in asked]
        drawn = sample(model, tokenizer, [prompts[problem.id] for problem, _ in asked], how, streams)
        attempts = [(problem, one.text) for (problem, _), one in zip(asked, drawn, strict=True)]
        responses = list(zip(drawn, problem_set.grade(attempts, style, executor), strict=True))
        return [responses[i : i + count] for i in range(0, len(responses), count)]

    left = [problem for problem in problem_set.problems if problem.id not in done]
    left.sort(key=lambda problem: (len(prompts[problem.id]), problem.id))
    across = max(1, BLOCK * decoding.chunk // samples)
    told = progress or (lambda finished, total: None)
    for start in range(0, len(left), across):
        told(len(done), len(prompts))
        block = left[start : start + across]
        drawn = answered(block, samples, decoding)
        best = answered(block, 1, replace(decoding, temperature=0.0)) if greedy else [[]] * len(block)
        scored = score and decoding.temperature == decoding.top_p == 1
        rights = [_right(problem, style) if scored else None for problem in block]
        p = _probabilities(model, tokenizer, rights, drawn, decoding)
        rows = [_row(problem_set.name, *parts) for parts in zip(block, drawn, best, p, strict=True)]
        done |= {row["problem"]: row for row in rows}
        if partial:
            append_lines(partial, rows)
    told(len(done), len(prompts))
    return pd.DataFrame([done[problem.id] for problem in problem_set.problems], columns=list(COLUMNS))


def _row(name: str, problem: Problem, drawn: Sequence[Response], best: Sequence[Response], p: float) -> dict[str, Any]:
    answers = [graded.answer for _, graded in drawn]
    right, refused = (sum(getattr(graded, kind) for _, graded in drawn) for kind in ("correct", "refused"))
    greedy = float(best[0][1].correct) if best else math.nan
    length = float(np.mean([len(completion.ids) for completion, _ in drawn]))
    ended = float(np.mean([completion.ended for completion, _ in drawn]))
    counts = (len(drawn), right, p, greedy, len(set(answers)), answer_entropy(answers), length, ended, refused)
    return dict(zip(COLUMNS, (name, problem.group, problem.id, problem.size, *counts), strict=True))


def _right(problem: Problem, style: PromptStyle) -> tuple[str, str] | None:
    """The label of the answer and the one text that is right; None where several are, or layout is free."""
    if style.name != "compact" or (problem.task and problem.task.type is not TaskType.DEDUCTION):
        return None
    kind, answer = (problem.task.type, problem.task.output) if problem.task else (None, problem.gold["answer"])
    return style.respond(kind, (), ""), answer


def _probabilities(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rights: Sequence[tuple[str, str] | None],
    drawn: Sequence[Sequence[Response]],
    decoding: Decoding,
) -> list[float]:
    """For each problem the mean probability of the right answer after its samples' traces.

    A response that never comes to an answer counts 0, and one with a token across the border of its answer as what was
    sampled: the mean then has the expectation of the share of right responses, with less noise (Rao-Blackwell).
    """
    piece = lru_cache(lambda token: tokenizer.decode([token]))
    places: list[list[float | tuple[tuple[int, ...], ...]]] = []
    for right, responses in zip(rights, drawn, strict=True):
        places.append([])
        for completion, graded in responses if right else ():
            reached = re.match(rf"(?:think [^\n]*\n)?{re.escape(right[0])}", completion.text)
            ends = [0, *accumulate(len(piece(token)) for token in completion.ids)]
            place: float | tuple = 0.0 if reached is None else float(graded.correct)
            if reached and reached.end() in ends:
                trace = completion.ids[: ends.index(reached.end())]
                answer = [*tokenizer(right[1], add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
                fits = len(trace) + len(answer) <= decoding.max_new_tokens
                place = (tuple(completion.prompt_ids), tuple(trace), tuple(answer)) if fits else 0.0
            places[-1].append(place)
    rows = list(dict.fromkeys(place for own in places for place in own if isinstance(place, tuple)))
    known = dict(zip(rows, answer_probabilities(model, rows, decoding.chunk).tolist(), strict=True))
    return [float(np.mean([known.get(place, place) for place in own])) if own else math.nan for own in places]


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
    """Up to ``count`` valid deduction proposals of a run, spread evenly over its steps, each solved ``samples`` times.

    One solver for every arm, seed and step, the base that all runs started from: a trend is the proposals' and not the
    solver's. ``proposals`` are in order, with step, task_type, program (none where it was not valid) and input; ``rng``
    chooses among them; the executor runs them for their outputs, too. All else is as of ``evaluate``.

    Returns one row a proposal: problem (its row in ``proposals``), step, program, input, statements, and n, c, p,
    length and ended as of ``evaluate``.
    """
    proposals = proposals.reset_index(drop=True)
    valid = proposals[(proposals.task_type == TaskType.DEDUCTION) & proposals.program.notna()]
    order = pd.Series(rng.permutation(len(valid)), valid.index)
    turn = order.groupby(valid.step).rank()  # a step's n-th comes after all steps' before it
    chosen = pd.DataFrame({"turn": turn, "order": order}).sort_values(["turn", "order"]).index[:count].sort_values()
    frame = valid.loc[chosen, ["step", "program", "input"]]
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
