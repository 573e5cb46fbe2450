"""HumanEval+ and MBPP+: programs as models write them, tests as both published forms have them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from azr.problems.evalplus import extract_program, read_evalplus, restored
from azr.problems.loading import ProblemSet
from azr.problems.tasks import Graded
from azr.prompts.paper import PaperStyle

STYLE = PaperStyle()
CASES = yaml.safe_load(Path(__file__).with_name("programs.yaml").read_text(encoding="utf-8"))
ROWS, RIGHT, WRONG = CASES["rows"], CASES["right"], CASES["wrong"]
TRIPLE = ROWS["triple"]


@pytest.fixture(scope="module")
def executor():
    with ProblemSet("mbpp_plus", (), "evalplus").open_executor(1) as opened:
        yield opened


def graded(row: dict[str, Any], program: str, executor) -> Graded:
    problem = read_evalplus(row, 0)[0]
    response = f"so</think>\n<answer>\n```python\n{program}\n```\n</answer>"
    return ProblemSet("code", (problem,), "evalplus").grade([(problem, response)], STYLE, executor)[0]


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_program_is_right_whatever_else_it_does(name, executor):
    assert graded(TRIPLE, RIGHT[name], executor).correct


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_program_stays_wrong(name, executor):
    assert not graded(TRIPLE, WRONG[name], executor).correct


def test_what_the_policy_refuses_is_counted(executor):
    refused = graded(TRIPLE, "import os\ndef triple(n):\n    return 3 * n", executor)
    assert (refused.correct, refused.refused) == (False, True)
    assert not graded(TRIPLE, WRONG["another value"], executor).refused


@pytest.mark.parametrize("row", [ROWS["zero_hub"], ROWS["zero_own"]], ids=["hub", "release"])
def test_a_zero_is_checked_by_what_it_is(row, executor):
    assert graded(row, "def find_zero(xs):\n    return -xs[0] / xs[1]", executor).correct
    assert not graded(row, "def find_zero(xs):\n    return 3.0", executor).correct


RENAMED = TRIPLE | {"code": TRIPLE["canonical_solution"], "canonical_solution": None}


@pytest.mark.parametrize("row", [TRIPLE, ROWS["add"], ROWS["zero_hub"], ROWS["zero_own"], RENAMED])
def test_the_reference_solution_passes(row, executor):
    assert graded(row, read_evalplus(row, 0)[0].gold["reference"], executor).correct


def test_the_hubs_form_of_mbpp_names_its_function_in_the_test(executor):
    row = ROWS["mbpp_hub"]
    assert "assert triple(2) == 6" in read_evalplus(row, 0)[0].question
    assert graded(row, "def triple(n):\n    return n * 3", executor).correct
    assert not graded(row, "def triple(n):\n    return n * 2", executor).correct


def test_a_test_of_asserts_alone_is_run_as_it_stands(executor):
    check = "def check(candidate):\n    assert all(candidate(i) == 3 * i for i in range(4))\n"
    prompt = 'def triple(n):\n    """Three times n."""\n'
    row = ROWS["add"] | {"entry_point": "triple", "prompt": prompt, "canonical_solution": "    return n * 3"}
    assert graded(row | {"test": check}, "def triple(n):\n    return n * 3", executor).correct
    for wrong in ("return n * 2", "global all\n    all = bool\n    return 0"):
        assert not graded(row | {"test": check}, f"def triple(n):\n    {wrong}", executor).correct
    with pytest.raises(ValueError, match="check"):
        read_evalplus(row | {"test": "assert triple(1) == 3"}, 0)


@pytest.mark.parametrize(("away", "right"), [(5e-4, True), (5e-3, False)])
def test_the_tolerance_of_the_hubs_form_counts(away, right, executor):
    row = ROWS["mbpp_hub"]
    row = row | {"test": row["test"].replace("exp, 0)", "exp, 0.001)")}
    assert graded(row, f"def triple(n):\n    return n * 3 + {away}", executor).correct == right


@pytest.mark.parametrize(
    ("entry", "expected", "answer", "right"),
    [
        ("anything", "0.1 + 0.2", "0.3", True),
        ("anything", "[0.1 + 0.2]", "[0.3]", True),
        ("anything", "3", "4", False),
        ("anything", "[1, 2]", "(1, 2)", False),
        ("Diff", "[1, 2]", "[2, 1, 1]", True),
        ("Diff", "[1, 2]", "[2]", False),
        ("sum_div", "7", "0", True),
        ("sum_div", "7", "8", False),
        ("check_str", "'match'", "True", True),
        ("check_str", "None", "False", True),
        ("check_str", "None", "'match'", False),
    ],
)
def test_results_are_compared_as_evalplus_compares_them(entry, expected, answer, right, executor):
    row = TRIPLE | {"entry_point": entry, "base_input": [[1]], "plus_input": []}
    row |= {"canonical_solution": f"def {entry}(n):\n    return {expected}", "prompt": "?"}
    assert graded(row, f"def {entry}(n):\n    return {answer}", executor).correct == right


@pytest.mark.parametrize(
    ("shown", "given", "wanted"),
    [
        ("(1, 2), 3", [[4, 5], 6], [(4, 5), 6]),
        ("[(1, 'a')]", [[[2, "b"], [3, "c"]]], [[(2, "b"), (3, "c")]]),
        ("(1, (2, (3, 4)))", [[5, [6, [7, [8, [9]]]]]], [(5, (6, (7, (8, (9,)))))]),
        ("[{1, 2}]", [[[3], [4, 5]]], [[{3}, {4, 5}]]),
        ("{'a': (1, 2)}", [{"b": [3, 4]}], [{"b": (3, 4)}]),
        ("0, 1j", ["-2", "(1+2j)"], [-2 + 0j, 1 + 2j]),
        ("[1, 2]", [[3, [4]]], [[3, [4]]]),
        ("'12'", ["34"], ["34"]),
    ],
)
def test_inputs_get_back_the_types_that_json_took(shown, given, wanted):
    assert restored([given], f"assert g({shown}) == 0", "g") == [wanted]


PREFIX = 'def add(a, b):\n    """ The sum. """\n'


@pytest.mark.parametrize(
    "text",
    [
        "```python\ndef add(a, b):\n    return a + b\n```",
        "First\n```python\ndef helper():\n    pass\n```\nthen\n```python\ndef add(a, b):\n    return a + b\n```\nDone.",
        "```\ndef add(a, b):\n    return a + b\n```",
        "Here it is:\n\ndef add(a, b):\n    return a + b\n\nIt adds.",
        "return a + b",
        "    total = a\n    return total + b",
        "total = a\n    return total + b",
        "```python\n    total = a\n    return total + b\n```",
        "```python\ntotal = a\nreturn total + b\n```",
    ],
)
def test_programs_and_completions_are_found_in_a_response(text):
    program = extract_program(text, "add", PREFIX)
    names: dict[str, Any] = {}
    exec(program, names)  # ours
    assert names["add"](2, 3) == 5


@pytest.mark.parametrize(
    "text", ["", "I do not know.", "```python\ndef add(a, b):\n    return (a +\n```", "```python\nx = 1"]
)
def test_no_program_is_none(text):
    assert extract_program(text, "add") is None


def test_names_of_the_program_do_not_reach_the_test(executor):
    program = "def all(x):\n    return True\n\ndef assertion(*args):\n    pass\n\ndef triple(n):\n    return 0"
    assert not graded(TRIPLE, program, executor).correct
