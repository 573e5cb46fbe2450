"""The plain style: what it asks for, and what it reads of the ways in which small chat models answer."""

from __future__ import annotations

import pytest
from transformers import PreTrainedTokenizerFast

from azr.errors import UserError
from azr.problems import load_problems
from azr.prompts import load_style
from azr.tasks import Task, TaskType
from tests.models.tiny import tiny_tokenizer

D, A, I = TaskType.DEDUCTION, TaskType.ABDUCTION, TaskType.INDUCTION  # noqa: E741
CHAT = "{% for m in messages %}[{{ m.role }}]{{ m.content }}[end]{% endfor %}[assistant]"
STYLE = load_style("plain", tiny_tokenizer(template=CHAT))
PAIR = Task(D, "def f(x, y):\n    return x * y + 67", ("31, 5",), ("222",))
PAIRS = Task(I, "def f(x):\n    return x * 1000", ("1", "2", "3", "4"), ("1000", "2000", "3000", "4000"), "Zeros.")
PROPOSED = "```python\ndef f(x):\n    return x + 1\n```\n```input\n4\n```"


def test_it_needs_a_chat_template():
    tokenizer: PreTrainedTokenizerFast = tiny_tokenizer()
    with pytest.raises(UserError, match="no chat template"):
        load_style("plain", tokenizer)


def test_a_prompt_is_one_turn_of_the_users_without_ceremony():
    assert STYLE.ask("What is 2 + 3?") == "[user]What is 2 + 3?[end][assistant]"
    assert not any("<answer>" in prompt for prompt in (STYLE.solve(PAIR), STYLE.propose(D, [PAIR])))


def test_a_solver_sees_what_is_given_and_not_what_is_asked():
    deduction = STYLE.solve(PAIR)
    abduction = STYLE.solve(Task(A, PAIR.program, PAIR.inputs, PAIR.outputs))
    induction = STYLE.solve(PAIRS)
    assert (PAIR.program in deduction, "31, 5" in deduction, "222" in deduction) == (True, True, False)
    assert (PAIR.program in abduction, "31, 5" in abduction, "222" in abduction) == (True, False, True)
    assert ("x * 1000" in induction, "Zeros." in induction) == (False, True)
    assert [str(n * 1000) in induction for n in range(1, 5)] == [True, True, False, False]


@pytest.mark.parametrize(
    ("task_type", "response", "answer"),
    [
        (D, "222", "222"),
        (D, "```\n222\n```", "222"),
        (D, "```python\ndef f(x):\n    return x + 3\n```\n\nThe output of `f(12)` is `15`.", "15"),
        (D, "The output of `f('a')` will be `'aa'`.", "'aa'"),
        (D, "The output of `f('a')` is `aa`.", None),
        (D, "It is 15.", None),
        (D, "```\n22", None),
        (A, "31, 5", "31, 5"),
        (A, "f(31, 5)", "31, 5"),
        (A, "With `31, 5`.", "31, 5"),
        (A, "The function f returns 27 when the input is 32.", None),
        (I, "```python\ndef f(x):\n    return x\n```", "def f(x):\n    return x"),
        (I, "def f(x):\n    return x", "def f(x):\n    return x"),
        (I, "```python\ndef f(x):\n    return", None),
        (I, "Use `f(x)`.", None),
    ],
)
def test_answers_to_tasks(task_type, response, answer):
    read = STYLE.parse_answer(task_type, response)
    assert (read.answer, read.well_formed) == (answer, answer is not None)


@pytest.mark.parametrize(
    ("response", "right"),
    [
        ("7", True),
        ("7 apples", True),
        ("Tom has 3 + 4 = 7 apples.", True),
        ("3 + 4 = 7\nThe total is 7.", True),
        (r"Altogether \boxed{7} apples", True),
        ("Tom has 7 apples. He buys 4 more.", False),
        ("Seven.", False),
        ("", False),
    ],
)
def test_a_final_result_is_the_last_number_of_prose(response, right):
    problem_set = load_problems("sums/train")
    first = problem_set.problems[0]
    assert first.gold["answer"] == "7"
    assert problem_set.prompt(first, STYLE).endswith("Reply with the final answer alone.[end][assistant]")
    graded = problem_set.grade([(first, response)], STYLE, None)[0]
    assert (graded.correct, graded.well_formed) == (right, bool(response))


@pytest.mark.parametrize("text", ["6 - 5i", "x^2 + 1", "p - q", r"The angle is $\frac{\pi}{2}$.", "(1, 2)"])
def test_what_is_no_prose_or_is_latex_stays_as_it_stands(text):
    assert STYLE.result(text) == text


def test_large_numbers_lose_their_commas():
    assert STYLE.result("It costs 1,250.50 dollars") == "1250.50"


def test_proposals_are_blocks():
    read = STYLE.parse_proposal(D, "Here it is:\n" + PROPOSED, [])
    assert (read.proposal.program, read.proposal.inputs) == ("def f(x):\n    return x + 1", ("4",))
    assert STYLE.parse_proposal(A, PROPOSED.removesuffix("```input\n4\n```"), []).reason == "too few inputs"
    assert STYLE.parse_proposal(D, PROPOSED[:-3], []).reason == "empty or cut off"
    assert STYLE.parse_proposal(D, "A function that adds.", []).reason == "program does not parse"
    inputs = "\n".join(f"```input\n{n}\n```" for n in range(4))
    read = STYLE.parse_proposal(I, inputs + "\n```message\nMore.\n```", [PAIRS])
    assert (read.proposal.inputs, read.proposal.message) == (("0", "1", "2", "3"), "More.")


@pytest.mark.parametrize("task", [PAIR, Task(A, PAIR.program, PAIR.inputs, PAIR.outputs), PAIRS])
def test_worked_answers_are_bare_and_are_read(task):
    assert STYLE.parse_answer(task.type, STYLE.respond(task.type, ("217",), task.answer)).answer == task.answer


def test_a_worked_question_is_its_final_answer():
    problem_set = load_problems("sums/train", limit=1)
    assert problem_set.worked(problem_set.problems[0], STYLE) == "7"
