r"""Final answers: which part of a response they are, in which notations they are read, and what equals what."""

from __future__ import annotations

from contextlib import closing

import pytest

from azr.problems.loading import ProblemSet
from azr.problems.mathematics import COMMON, MathWorker, final_answer, read_mathematics
from azr.prompts.compact import CompactStyle
from azr.prompts.paper import PaperStyle

SIDE_BY_SIDE = [
    (r"The values are \boxed{4}, \boxed{6} and \boxed{9}.", "4, 6, 9"),
    (r"$\boxed{4}$ or $\boxed{6}$", "4, 6"),
    (r"$x = \boxed{4}$ and $x = \boxed{6}$", "4, 6"),
    (r"\boxed{1} \text{ and } \boxed{2}", "1, 2"),
    ("\\boxed{\\frac{1}{2}}\\quad\\boxed{3}", r"\frac{1}{2}, 3"),
    (r"\boxed{4} \boxed{6}", "4, 6"),
    ("\\[\\boxed{4}\\]\n\\[\\boxed{6}\\]", "4, 6"),
    ("\\boxed{5}\n\n\\boxed{5}", "5"),
]
REPLACED = [
    (r"So \boxed{5}. Wait, that is wrong: \boxed{6}.", "6"),
    (r"First \boxed{1}, then after a correction \boxed{2} and \boxed{3}", "2, 3"),
    (r"\boxed{5}. \boxed{6} is the sum", "6"),
    (r"\boxed{\boxed{5}}", "5"),
    (r"With $n = 3$ we have \boxed{12} as before", "12"),
]
EMPTY_OR_BARE = [
    (r"The answer goes into \boxed{}. It is \boxed{7}.", "7"),
    (r"\boxed{7}, as asked for in \boxed{}", "7"),
    (r"so $\boxed 42$.", "42"),
    (r"so $\boxed\frac12$", r"\frac12"),
    (r"\boxed 7, \boxed 8", "7, 8"),
    (r"\framebox{204} minutes", "204"),
    (r"\boxed{\text{a \} brace}}", r"\text{a \} brace}"),
]
UNBOXED = [
    ("42.", "42"),
    ("The answer is 42.", "42"),
    ("We see that $x = 3$ and\nfinally $y = 4$.", "y = 4"),
    (r"In all: \[ 12 \]" + "\nas claimed", "12"),
    ("no answer\nat all", None),
    ("", None),
]
CUT_OFF = [
    (r"\boxed{4} ... no, it is \boxed{12", None),
    (r"It is $x=3$, so \boxed{\frac{1}{2", None),
    (r"\boxed{4}, \boxed{6", None),
]


@pytest.mark.parametrize(("text", "answer"), SIDE_BY_SIDE + REPLACED + EMPTY_OR_BARE + UNBOXED + CUT_OFF)
def test_final_answer(text, answer):
    assert final_answer(text) == answer


RIGHT = {
    "exponents": [
        ("6.2e8", r"6.2 \times 10^{8}"),
        ("4.1e-7", r"4.1 \cdot 10^{-7}"),
        ("2.5e4", "25000"),
        ("2.75e+11", "2.75E11"),
        ("1.6e-19", "1.6 × 10^{-19}"),
        ("9.1e-31", "9.1 x 10^{-31}"),
        ("1e33", "10^{33}"),
        (".0000672", r"6.72 \times 10^{-5}"),
    ],
    "dots and fonts": [
        ("117", "117."),
        ("064", r"\textbf{(064)}"),
        ("104", r"\textbf{(104) }"),
        ("127", r"\mathbf{127} "),
        ("10", r"\underline{10}"),
        ("3", r"\text{3}"),
        ("42", r"\textbf{(B)}\ 42"),
        (r"\text{(B)}", r"\textbf{(B)}\ 42"),
    ],
    "ordinals": [
        ("12", r"12^{\text{th}}"),
        ("12", "12^{th}"),
        ("2", r"2\text{nd}"),
        ("3", r"3^\text{rd}"),
        ("1", "1st"),
    ],
    "mixed numbers": [
        (r"1\frac{4}{5}", r"\frac95"),
        (r"137 \frac{1}{2}", "137.5"),
        ("3.5", "3 1/2"),
        (r"\frac72", r"3\,\frac{1}{2}"),
        (r"-\frac95", r"-1\frac45"),
    ],
    "repeating numbers": [
        (r"\frac13", r"0.\overline{3}"),
        (r"\frac16", r"0.1\overline{6}"),
        (r"\frac17", r"0.\overline{142857}"),
        (r"\frac13", "0.333..."),
        (r"\frac23", r"0.\bar{6}"),
        (r"\frac13", "0.(3)"),
    ],
    "named values": [
        ("x=5", "5"),
        ("5", "x = 5"),
        (r"\text{Evelyn}", "Evelyn"),
        (r"\text{even}", r"\text{Even}"),
        (r"\text{(C)}", "C"),
    ],
    "thousands and units": [
        (r"10,\!080", "10080"),
        ("10080", "10{,}080"),
        ("10080", r"10\,080"),
        (r"\$32,\!348", "32348"),
        (r"90^\circ", "90"),
        (r"864 \mbox{ inches}^2", "864"),
        (r"15\mbox{ cm}^2", r"15\ \mathrm{cm}^2"),
        ("4.2", r"4.2 \mathrm{~km}"),
        (r"50\%", "50"),
        (r"50\%", "0.5"),
    ],
    "intervals and inequalities": [
        (r"(2,\infty)", "x>2"),
        ("x>2", r"(2,\infty)"),
        (r"x \in [-2,7]", r"-2 \le x \le 7"),
        (r"-2 \le x \le 7", "[-2,7]"),
        (r"(-\infty,-1)\cup(1,\infty)", r"x<-1 \text{ or } x>1"),
        (r"x<-1 \text{ or } x>1", r"(-\infty,-1)\cup(1,\infty)"),
    ],
    "exact and decimal": [
        (r"\frac{1}{2^{97}}", "2^{-97}"),
        (r"\frac{1}{1998!}", r"\frac{1}{1998!}"),
        ("0.333333333", r"\frac13"),
        ("3.14159265", r"\pi"),
        (r"11\sqrt2", r"\sqrt{242}"),
        ("0", r"\sin(\pi)"),
    ],
    "vectors": [
        (r"\begin{pmatrix} -1/3 \\ 2/3 \end{pmatrix}", r"\begin{pmatrix} -\frac13 \\ \frac23 \end{pmatrix}"),
        (r"\left( 3, \frac{\pi}{2} \right)", r"(3, \pi/2)"),
    ],
    "several values": [("4,6,9", "9, 6, 4"), (r"\{1\pm\sqrt{5},-2\}", r"-2, 1+\sqrt5, 1-\sqrt5"), ("(3,4)", "(3, 4)")],
    "expressions": [("p - q", "-q+p"), ("y = 2x + 3", "y=3+2x"), ("5x - y = 0", "10x-2y=0"), ("2k+2", "2(k+1)")],
}
WRONG = [
    (r"\frac{1}{2}", r"\sqrt{12}"),
    (r"\sin x", r"\cos x"),
    ("xy", "x-y"),
    (r"\text{no roots}", r"\text{two roots}"),
    (r"\frac{10^{100}}{3}", r"\frac{10^{100}+1}{3}"),
    (r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}", r"\begin{pmatrix} 1 & 2 \end{pmatrix}"),
    (r"\frac{1}{1998!}", r"\frac{1}{2000!}"),
    (r"\frac{1}{2^{97}}", r"\frac{1}{2^{96}}"),
    (r"1.6\times10^{-19}", r"1.8\times 10^{-19}"),
    (r"(\frac{1}{1998!}, 1, 2)", r"(\frac{1}{2000!}, 1, 2)"),
    (r"10^{-20}, 1", r"10^{-21}, 1"),
    ("0", "10^{-30}"),
    ("10^{100}", "10^{100}+1"),
    ("0.3", r"\frac13"),
    (r"\frac13", r"0.\overline{4}"),
    (r"1\frac45", r"\frac45"),
    ("6.2e8", "6.3e8"),
    ("(3,4)", "[3,4]"),
    ("(3,4)", "(4,3)"),
    ("x>2", r"x \ge 2"),
    (r"(2,\infty)", "x<2"),
    ("4,6,9", "4,6"),
    ("5", "x=6"),
    ("x=1", "y=1"),
    ("12", "13th"),
    (r"\text{even}", "odd"),
    (r"\text{(C)}", "B"),
    ("5", ""),
    ("5", "5" + " " * 600),
]


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
