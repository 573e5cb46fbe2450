"""The compact style: prompts of a few tokens, and responses of which every part must have its form."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azr.errors import UserError
from azr.prompts import load_style
from azr.prompts.compact import CompactStyle
from azr.tasks import Proposal, Task, TaskType
from azr.world.corpus import draw_task

STYLE = CompactStyle()
PROGRAM = "def f(x):\n    x = x + 3\n    return x * 2"
PAIR = Task(TaskType.DEDUCTION, PROGRAM, ("5",), ("16",))
PAIRS = Task(TaskType.INDUCTION, PROGRAM, tuple("123456"), ("8", "10", "12", "14", "16", "18"), "add, multiply")
INPUTS = "".join(f"input {n}\n" for n in range(6))


def test_solver_prompts_show_what_is_given_and_nothing_of_what_is_asked():
    assert STYLE.solve(PAIR) == f"predict the output\n{PROGRAM}\ninput 5\n"
    abduction = Task(TaskType.ABDUCTION, PROGRAM, ("5",), ("16",))
    assert STYLE.solve(abduction) == f"find an input\n{PROGRAM}\noutput 16\n"
    assert STYLE.solve(PAIRS) == (
        "write the program\ninput 1\noutput 8\ninput 2\noutput 10\ninput 3\noutput 12\nhint add, multiply\n"
    )


def test_proposer_prompts_show_the_references():
    shown = f"{PROGRAM}\ninput 5\noutput 16\n"
    assert STYLE.propose(TaskType.DEDUCTION, [PAIR, PAIR]) == f"propose a deduction\n{shown}{shown}new\n"
    assert STYLE.propose(TaskType.INDUCTION, [PAIR]) == f"propose an induction\n{PROGRAM}\nnew\n"


@pytest.mark.parametrize(
    ("task_type", "response", "answer"),
    [
        (TaskType.DEDUCTION, "output 16", "16"),
        (TaskType.DEDUCTION, "think 8\noutput 16", "16"),
        (TaskType.DEDUCTION, "think \noutput [1, 'a b']", "[1, 'a b']"),
        (TaskType.DEDUCTION, "", None),
        (TaskType.DEDUCTION, "16", None),
        (TaskType.DEDUCTION, "output 16\n", None),
        (TaskType.DEDUCTION, "input 16", None),
        (TaskType.DEDUCTION, "think 8\nthink 9\noutput 16", None),
        (TaskType.DEDUCTION, "output 16\noutput 17", None),
        (TaskType.ABDUCTION, "think 8\ninput 5, 6", "5, 6"),
        (TaskType.ABDUCTION, "output 5", None),
        (TaskType.INDUCTION, PROGRAM, PROGRAM),
        (TaskType.INDUCTION, "def g(x):\n    return x", None),
        (TaskType.INDUCTION, f"think 8\n{PROGRAM}", None),
    ],
)
def test_answers(task_type, response, answer):
    parsed = STYLE.parse_answer(task_type, response)
    assert (parsed.answer, parsed.well_formed) == (answer, answer is not None)
    assert answer is None or STYLE.final(response) == answer


def test_a_question_is_its_own_prompt_and_its_answer_stands_behind_the_word():
    assert STYLE.ask("how many\n") == "how many\n"
    assert STYLE.final("think 12, 24\nanswer 20") == "20"
    assert STYLE.final("20") == STYLE.final("think 12") == STYLE.final("answer 20\nanswer 21") == ""


@pytest.mark.parametrize(
    ("response", "proposal"),
    [
        (f"{PROGRAM}\ninput 5", Proposal(PROGRAM, ("5",))),
        ("def f(a, b): return a\ninput [1], 'x'", Proposal("def f(a, b): return a", ("[1], 'x'",))),
        (PROGRAM, None),
        (f"{PROGRAM}\ninput 5\n", None),
        (f"x = 1\n{PROGRAM}\ninput 5", None),
    ],
)
def test_proposals_of_a_pair(response, proposal):
    parsed = STYLE.parse_proposal(TaskType.ABDUCTION, response, [PAIR])
    assert (parsed.proposal, parsed.well_formed, parsed.reason == "") == (proposal, bool(proposal), bool(proposal))


@pytest.mark.parametrize(
    ("response", "message"),
    [
        (f"{INPUTS}hint add", "add"),
        (f"{INPUTS}hint ", ""),
        (f"input 9\n{INPUTS}hint add", None),
        (INPUTS, None),
        (f"{PROGRAM}\n{INPUTS}hint add", None),
    ],
)
def test_proposals_of_an_induction_are_about_the_program_shown(response, message):
    parsed = STYLE.parse_proposal(TaskType.INDUCTION, response, [PAIR])
    assert parsed.proposal == (None if message is None else Proposal(PROGRAM, tuple("012345"), message))


@given(st.integers(), st.sampled_from(TaskType))
def test_a_right_response_is_read_back(seed, task_type):
    task, _, _ = draw_task(task_type, random.Random(seed))
    values = () if task_type is TaskType.INDUCTION else ("1", "'a'", "[2]")
    parsed = STYLE.parse_answer(task_type, STYLE.respond(task_type, values, task.answer))
    assert (parsed.answer, parsed.well_formed) == (task.answer, True)


def test_styles_are_loaded_by_name():
    assert load_style("compact", None) == STYLE
    assert load_style("paper", None).name == "paper"
    with pytest.raises(UserError, match="compact, paper, paper-chat, plain"):
        load_style("papr", None)
