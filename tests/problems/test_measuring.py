"""Measuring a model on a set: a row a problem, the same samples whatever is measured beside it, and nothing twice."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from azr.models.loading import load_model
from azr.models.sampling import Decoding, sample
from azr.problems import measuring
from azr.problems.loading import ProblemSet, load_problems
from azr.problems.measuring import evaluate, resolve_proposals
from azr.prompts.compact import CompactStyle
from azr.world.tokenizer import build_tokenizer

STYLE, TOKENIZER = CompactStyle(), build_tokenizer()
DECODING = Decoding(24, chunk=64)


@pytest.fixture(scope="module")
def executor():
    with ProblemSet("world/test", (), "task").open_executor(1) as opened:
        yield opened


@pytest.fixture(scope="module")
def model():
    return load_model("nano")[0]


def measured(model, executor, problem_set, samples=8, **options) -> pd.DataFrame:
    return evaluate(model, TOKENIZER, STYLE, executor, problem_set, samples, DECODING, **options)


def test_a_row_says_what_its_samples_were(model, executor):
    problem_set = load_problems("world/arithmetic", 6)
    frame = measured(model, executor, problem_set, samples=16)
    assert frame.problem.tolist() == [problem.id for problem in problem_set.problems]
    for row, problem in zip(frame.itertuples(), problem_set.problems, strict=True):
        name = f"world/arithmetic/{problem.id}".encode()
        streams = [(0, measuring.zlib.crc32(name), j) for j in range(16)]
        drawn = sample(model, TOKENIZER, [problem.question] * 16, DECODING, streams)
        said = [re.fullmatch(r"(?:think [^\n]*\n)?answer (-?\d+)", one.text) for one in drawn]
        answers = [match and match[1] for match in said]
        assert (row.n, row.c, row.answers) == (16, answers.count(problem.gold["answer"]), len(set(answers)))
        assert row.length == pytest.approx(np.mean([len(one.ids) for one in drawn]))
        assert row.ended == pytest.approx(np.mean([one.ended for one in drawn]))


def test_samples_do_not_depend_on_the_problems_beside_them_nor_on_how_many(model, executor):
    whole, part = load_problems("world/test", 2), load_problems("world/test", 1)
    both = measured(model, executor, whole), measured(model, executor, part)
    rows = both[0][both[0].problem.isin(both[1].problem)].reset_index(drop=True)
    pd.testing.assert_frame_equal(rows.drop(columns="p"), both[1].drop(columns="p"))
    np.testing.assert_allclose(rows.p, both[1].p, rtol=1e-4)
    other = measured(model, executor, part, seed=1)
    assert (other.length != both[1].length).any()


def test_the_scored_probability_is_what_the_share_of_right_samples_estimates(model, executor):
    problem_set = load_problems("world/arithmetic", 4)
    frame = measured(model, executor, problem_set, samples=100)
    share = frame.c / frame.n
    assert (abs(share - frame.p) < 4 * np.sqrt(frame.p * (1 - frame.p) / 100) + 1e-3).all()
    assert ((frame.p > 0.02) & (frame.p < 0.98)).any()  # else this says nothing


def test_a_right_answer_that_would_not_fit_behind_its_trace_has_probability_zero(model, executor):
    problems = [p for p in load_problems("world/arithmetic", 20).problems if p.size == 1 and len(p.gold["answer"]) == 2]
    asked = (model, TOKENIZER, STYLE, executor, ProblemSet("world/arithmetic", tuple(problems), "arithmetic"), 8)
    room, none = (evaluate(*asked, Decoding(tokens), greedy=False) for tokens in (4, 3))  # a word, two digits, the end
    assert (room.p > 0).all()
    assert (none.p == 0).all()


@pytest.mark.parametrize("decoding", [DECODING, replace(DECODING, temperature=0.5)])
def test_only_where_one_text_is_right_it_is_scored(decoding, model, executor):
    problem_set = load_problems("world/test", 1)
    frame = evaluate(model, TOKENIZER, STYLE, executor, problem_set, 4, decoding)
    assert frame.p.notna().tolist() == [decoding.temperature == 1, False, False]
    neither = measured(model, executor, problem_set, samples=1, score=False, greedy=False)
    assert neither[["p", "greedy"]].isna().all(axis=None)


def test_what_is_finished_is_not_measured_again(model, executor, tmp_path, monkeypatch):
    problem_set, partial = load_problems("world/arithmetic", 9), tmp_path / "partial.jsonl"
    monkeypatch.setattr(measuring, "BLOCK", 1)
    small = replace(DECODING, chunk=8)  # two problems a block

    def run(**options) -> pd.DataFrame:
        return evaluate(model, TOKENIZER, STYLE, executor, problem_set, 4, small, partial=partial, **options)

    def killed(done: int, total: int) -> None:
        if done >= 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(progress=killed)
    with partial.open("a") as file:
        file.write('{"set": "world/te')  # what a kill leaves
    seen: list[tuple[int, int]] = []
    resumed = run(progress=lambda done, total: seen.append((done, total)))
    assert seen == [(4, 9), (6, 9), (8, 9), (9, 9)]
    partial.unlink()
    pd.testing.assert_frame_equal(resumed, run(), rtol=1e-4)
    seen.clear()
    run(progress=lambda done, total: seen.append((done, total)), seed=1)  # other settings: begun anew
    assert seen[0] == (0, 9)


def test_where_nothing_is_asked_the_frame_is_empty(model, executor):
    nothing = PROPOSALS[PROPOSALS.task_type == "abduction"]
    frame = resolve_proposals(model, TOKENIZER, STYLE, executor, nothing, 10, 4, DECODING, np.random.default_rng(0))
    assert len(frame) == 0
    assert {"step", "statements", "c"} <= set(frame.columns)


PROPOSALS = pd.DataFrame(
    [
        (1, "deduction", "def f(x):\n    return x + 1", "1"),
        (1, "abduction", "def f(x):\n    return x * 2", "1"),
        (1, "deduction", None, None),
        (2, "deduction", "def f(x):\n    return x + 1", "2"),
        (2, "deduction", "def f(x):\n    y = x - 1\n    return str(y)", "3"),
        (3, "deduction", "def f(x):\n    return 1 / x", "0"),
    ],
    columns=["step", "task_type", "program", "input"],
)


def test_proposals_are_solved_again_by_the_fixed_model(model, executor):
    arguments = (model, TOKENIZER, STYLE, executor, PROPOSALS, 10, 4, DECODING)
    frame = resolve_proposals(*arguments, np.random.default_rng(0))
    assert frame.problem.tolist() == [0, 3, 4]  # of the last, the program fails
    assert frame.step.tolist() == [1, 2, 2]
    assert frame.statements.tolist() == [1, 1, 2]
    assert frame.n.tolist() == [4, 4, 4]
    assert frame[["p", "length", "ended"]].notna().all(axis=None)


def test_as_many_proposals_of_each_step_are_solved_as_of_any_other(model, executor):
    steps = pd.Series(np.repeat([1, 2, 3], [12, 2, 9]))
    proposals = pd.DataFrame({"step": steps, "task_type": "deduction", "program": PROPOSALS.program[0]})
    proposals["input"] = [str(number) for number in range(len(steps))]

    def solved(count: int) -> pd.DataFrame:
        rng = np.random.default_rng(0)
        return resolve_proposals(model, TOKENIZER, STYLE, executor, proposals, count, 1, DECODING, rng, score=False)

    frame = solved(10)
    assert frame.step.value_counts().to_dict() == {1: 4, 2: 2, 3: 4}
    assert frame.problem.is_monotonic_increasing
    assert solved(500).problem.tolist() == list(range(len(steps)))
