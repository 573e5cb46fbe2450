"""The second domain: questions whose answer follows from their words."""

import random
import re

from hypothesis import given
from hypothesis import strategies as st

from azr.world.arithmetic import Question, draw_question
from azr.world.grammar import MAX_INT, split_of

SIGNS = {"gets": 1, "finds": 1, "loses": -1, "gives": -1}
TIMES = {"doubles": 2, "triples": 3}


def answer_from_the_text(text: str) -> int:
    """Read the question as a person would, word by word."""
    total = int(re.search(r"has (\d+)", text)[1])
    for word, amount in re.findall(r"then (\w+) ?(\d*)", text):
        total = total + SIGNS[word] * int(amount) if word in SIGNS else total * TIMES[word]
    return total


def test_a_question_by_hand():
    question = Question("Ann", "coins", 5, ((" gets ", 7), (" doubles ", None), (" loses ", 4)))
    assert question.text == "question Ann has 5 coins then gets 7 then doubles  then loses 4\nhow many\n"
    assert question.trace() == [12, 24, 20]
    assert question.trace(lambda step, v: v + 1 if step == 0 else v) == [13, 26, 22]
    assert question.answer == 20


@given(st.integers())
def test_the_answer_is_what_the_words_say_and_totals_stay_in_bounds(seed):
    question = draw_question(random.Random(seed))
    assert question.answer == answer_from_the_text(question.text)
    assert all(0 <= total <= MAX_INT for total in question.trace())
    assert split_of(question.text) == "train"
