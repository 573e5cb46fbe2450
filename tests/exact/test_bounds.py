"""Bounds on the probability of a right response: equal to brute force, around sampled frequencies, ever tighter."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from azr.exact.bounds import COLUMNS, canonical_responses, exact_table
from azr.exact.completions import response_log_probs
from azr.executor import Executor
from azr.models import load_model
from azr.prompts.compact import CompactStyle
from azr.sampling import Completion, sample
from azr.selfplay import grade
from azr.tasks import Task, TaskType
from azr.world.problems import Problem, problems

from .small import all_completions, small_model, small_tokenizer

STYLE, SMALL = CompactStyle(), small_tokenizer()
LONGEST = 4
ECHO = Problem("echo", Task(TaskType.DEDUCTION, "def f(x):\n    return x", ("12",), ("12",)), 1, ())
ANY = Problem("any", Task(TaskType.ABDUCTION, "def f(x):\n    return x // 20", ("2",), ("0",)), 1, ())
"""Solved by every input from 0 to 19."""


@pytest.fixture(scope="module")
def executor():
    with Executor(workers=1) as executor:
        yield executor


@pytest.fixture(scope="module")
def nano():
    return load_model("nano")


def log_right(problem: Problem, model, tokenizer, executor) -> float:
    """Log-probability of a right response, all completions graded one by one."""
    p, _ = all_completions(model, tokenizer, STYLE.solve(problem.task), LONGEST)
    texts = tokenizer.batch_decode(list(p), skip_special_tokens=True)
    correct, _ = grade([problem.task] * len(p), [Completion([], [], t) for t in texts], STYLE, executor)
    return float(np.log(np.array(list(p.values()))[correct].sum()))


@pytest.mark.parametrize(("problem", "word"), [(ECHO, "output "), (ANY, "input ")])
def test_bounds_meet_at_the_brute_force_value_when_everything_is_explored(problem, word, executor):
    model, tokenizer = small_model(0), small_tokenizer(word)
    row = exact_table(model, tokenizer, STYLE, executor, [problem], LONGEST, expansions=10_000, bound=0).iloc[0]
    expected = log_right(problem, model, tokenizer, executor)
    assert row.log_lower <= row.log_upper
    assert np.exp([row.log_lower, row.log_upper]) == pytest.approx(np.exp(expected), abs=2e-4)
    assert row.log_direct <= row.log_lower + 1e-4


@pytest.mark.parametrize("seed", range(3))
def test_more_expansions_only_tighten_bounds_around_the_brute_force_value(seed, executor):
    model = small_model(seed)
    expected = log_right(ECHO, model, SMALL, executor)
    rows = [
        exact_table(model, SMALL, STYLE, executor, [ECHO], LONGEST, budget, bound=0).iloc[0]
        for budget in (0, 1, 7, 40, 250)
    ]
    for row in rows:
        assert row.log_lower - 1e-4 <= expected <= row.log_upper + 1e-4
        assert np.exp(row.log_upper) - np.exp(row.log_lower) == pytest.approx(row.unexplored, abs=1e-9)
    for less, more in pairwise(rows):
        assert more.log_lower >= less.log_lower - 1e-4
        assert more.log_upper <= less.log_upper + 1e-4


def test_without_expansions_the_canonical_responses_are_the_lower_bound(executor, nano):
    model, tokenizer = nano
    some = [problem for task_type in TaskType for problem in problems("test", task_type, 3)]
    table = exact_table(model, tokenizer, STYLE, executor, some, 96, expansions=0)
    assert tuple(table) == COLUMNS
    assert table.expansions.eq(0).all()
    for problem, row in zip(some, table.itertuples(), strict=True):
        texts = canonical_responses(problem, STYLE)
        scores = response_log_probs(model, tokenizer, [(STYLE.solve(problem.task), t) for t in texts], 96)
        assert row.log_lower == pytest.approx(np.logaddexp.reduce(scores), abs=1e-3)
        assert row.log_direct == pytest.approx(scores[-1], abs=1e-3)


def test_canonical_responses_are_right(executor):
    for task_type in TaskType:
        for problem in problems("test", task_type, 6):
            texts = canonical_responses(problem, STYLE)
            correct, formed = grade(
                [problem.task] * len(texts), [Completion([], [], t) for t in texts], STYLE, executor
            )
            assert correct.all()
            assert formed.all()
            assert len(texts) == 1 + bool(problem.values)


def test_the_trace_of_a_problem_is_what_its_program_passes_through(executor):
    problem = next(p for p in problems("test", TaskType.DEDUCTION, 6) if len(p.values) == 2)
    backwards = next(p for p in problems("test", TaskType.ABDUCTION, 6) if len(p.values) == 2)
    assert canonical_responses(problem, STYLE)[0] == f"think {', '.join(problem.values)}\noutput {problem.task.output}"
    assert canonical_responses(backwards, STYLE)[0].endswith(f"\ninput {backwards.task.input}")
    lines = backwards.task.program.splitlines()
    first = "\n".join([*lines[:2], f"    return {lines[1].split()[0]}"])
    assert executor.grade_many(
        [(Task(TaskType.DEDUCTION, first, ("0",), (backwards.values[-1],)), backwards.values[-1])]
    )


def test_sampled_frequencies_lie_within_the_bounds(executor, nano):
    model, tokenizer = nano
    some = [problems("test", TaskType.DEDUCTION, 4)[3], problems("test", TaskType.ABDUCTION, 3)[2]]
    table = exact_table(model, tokenizer, STYLE, executor, some, 96, expansions=1000)
    n = 256
    for problem, row in zip(some, table.itertuples(), strict=True):
        drawn = sample(model, tokenizer, [STYLE.solve(problem.task)] * n, 96, seed=0)
        correct, _ = grade([problem.task] * n, drawn, STYLE, executor)
        low, high = np.exp(row.log_lower), np.exp(row.log_upper)
        assert high - low < 0.1
        error = 3.5 * np.sqrt(0.25 / n)
        assert low - error <= correct.mean() <= high + error


def test_right_responses_that_were_drawn_raise_the_lower_bound_by_their_exact_probability(executor):
    model, tokenizer = small_model(0), small_tokenizer("input ")
    expected = log_right(ANY, model, tokenizer, executor)
    known, drawn, more = (
        exact_table(model, tokenizer, STYLE, executor, [ANY], LONGEST, expansions=0, samples=samples).iloc[0]
        for samples in (0, 300, 3000)
    )
    assert known.log_lower < drawn.log_lower <= more.log_lower <= expected + 1e-6
    assert more.log_lower == pytest.approx(expected, abs=0.2)
    assert known.log_upper >= expected


def test_every_input_that_the_program_takes_to_the_output_counts(executor):
    model, tokenizer = small_model(1), small_tokenizer("input ")
    row = exact_table(model, tokenizer, STYLE, executor, [ANY], LONGEST, expansions=10_000, bound=0).iloc[0]
    p, _ = all_completions(model, tokenizer, STYLE.solve(ANY.task), LONGEST)
    _, _, _, _, word, one, two = range(7)
    assert np.exp(row.log_lower) >= p[word, one] + p[word, two] + p[word, one, one] + p[word, one, two] - 1e-4
    assert np.exp(row.log_direct) == pytest.approx(p[word, two], abs=1e-6)


def test_a_response_that_the_tokenizer_cannot_write_does_not_count(executor):
    row = exact_table(small_model(1), SMALL, STYLE, executor, [ANY], LONGEST, expansions=10_000, bound=0).iloc[0]
    assert row.log_direct == row.log_lower == -np.inf
    assert row.unexplored < 1e-3
