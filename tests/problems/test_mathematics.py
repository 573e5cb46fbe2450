r"""Final answers: which part of a response they are, in which notations they are read, and what equals what."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
import yaml

from azr.problems.loading import ProblemSet
from azr.problems.mathematics import COMMON, MathWorker, final_answer, read_mathematics
from azr.prompts.compact import CompactStyle
from azr.prompts.paper import PaperStyle

CASES = yaml.safe_load(Path(__file__).with_name("answers.yaml").read_text(encoding="utf-8"))
RIGHT, WRONG = CASES["right"], [*CASES["wrong"], ["5", "5" + " " * 600]]


@pytest.mark.parametrize(("text", "answer"), CASES["final"])
def test_final_answer(text, answer):
    assert final_answer(text) == answer


@pytest.mark.parametrize("kind", RIGHT)
def test_notations_of_a_right_answer(kind):
    assert [pair for pair in RIGHT[kind] if not COMMON.same(*pair)] == []


def test_wrong_answers_stay_wrong():
    assert [pair for pair in WRONG if COMMON.same(*pair)] == []


@pytest.mark.slow
def test_a_comparison_that_hangs_costs_itself_alone():
    with closing(MathWorker(seconds=1.0)) as hasty:
        assert hasty.same("5", "5")
        assert not hasty.same("5", r"\left(" * 60 + "9^{9^{9^9}}!" + r"\right)" * 60)
        assert hasty.same("6", "6")


@pytest.mark.parametrize(
    ("row", "gold", "worked"),
    [
        ({"question": "?", "answer": 5}, "5", ""),
        ({"problem": "?", "answer": "$5$", "solution": "2+3"}, "5", "2+3"),
        ({"question": "?", "final_answer": ["1", "2"]}, "1, 2", ""),
        ({"question": "?", "answer": "She has <<2+3=5>>5 left.\n#### 5"}, "5", "She has 5 left."),
        ({"problem": "?", "solution": r"So $2+3=\boxed{5}$."}, "5", r"So $2+3=\boxed{5}$."),
    ],
)
def test_rows_of_the_published_sets(row, gold, worked):
    problem = read_mathematics(row, 0)[0]
    assert (problem.gold["answer"], problem.worked) == (gold, worked)


@pytest.mark.parametrize("row", [{"question": " ", "answer": "5"}, {"question": "?"}, {"question": "?", "answer": ""}])
def test_a_row_without_question_or_answer_is_refused(row):
    with pytest.raises(ValueError, match="empty"):
        read_mathematics(row, 0)


@pytest.mark.parametrize("style", [PaperStyle(), CompactStyle()], ids=lambda style: style.name)
def test_worked_solutions_are_right_and_well_formed(style):
    problem = read_mathematics({"question": "?", "answer": "2 + 3 = 5\n#### 5"}, 0)[0]
    problem_set = ProblemSet("gsm8k", (problem,), "mathematics")
    graded = problem_set.grade([(problem, problem_set.worked(problem, style))], style, None)[0]
    assert (graded.correct, graded.well_formed, graded.answer) == (True, True, "5")


@pytest.mark.parametrize(
    ("response", "correct", "well_formed"),
    [
        (r"so</think> <answer>\boxed{5}</answer>", True, True),
        (r"so</think> It is \boxed{5}.", True, False),
        (r"so</think> <answer>\boxed{4}, no: \boxed{5", False, False),
        (r"so</think> <answer>The answer is 5 and so", False, False),
        (r"<answer>5</answer> hm, so</think> <answer>\boxed{6}</answer>", False, True),
    ],
)
def test_only_the_final_part_of_a_response_counts(response, correct, well_formed):
    problem = read_mathematics({"question": "?", "answer": "5"}, 0)[0]
    graded = ProblemSet("own", (problem,), "mathematics").grade([(problem, response)], PaperStyle(), None)[0]
    assert (graded.correct, graded.well_formed) == (correct, well_formed)
