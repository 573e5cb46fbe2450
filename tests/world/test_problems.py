"""Problem sets: always the same, right by plain Python, each program in one split, hints as in the corpus."""

import ast
import itertools
from collections import Counter

import pytest

from azr.prompts.compact import CompactStyle
from azr.prompts.paper import PaperStyle
from azr.tasks import TaskType
from azr.world.corpus import HINT_RATE
from azr.world.grammar import split_of
from azr.world.problems import arithmetic_problems, problems, show

SPLITS = ("train", "validation", "tuning", "test")


@pytest.fixture(scope="module")
def sets():
    return {(split, kind): problems(split, kind, 12) for split in SPLITS for kind in TaskType}


def function(text: str):
    """The program under plain Python: its text is ours."""
    namespace = {}
    exec(text, namespace)
    return namespace["f"]


def test_gold_outputs_are_what_the_programs_give(sets):
    for problem in itertools.chain(*sets.values()):
        pairs = zip(problem.task.inputs, problem.task.outputs, strict=True)
        assert all(repr(function(problem.task.program)(ast.literal_eval(text))) == output for text, output in pairs)
        assert len(problem.task.inputs) == (6 if problem.task.type is TaskType.INDUCTION else 1)


def test_a_program_stands_in_one_split_and_problems_are_distinct(sets):
    programs = {split: set() for split in SPLITS}
    for (split, _), found in sets.items():
        own = [problem.task.program for problem in found]
        programs[split] |= set(own)
        assert {split_of(program) for program in own} == {split}
        assert len({problem.task for problem in found}) == 12
        assert split == "train" or len(set(own)) == 12
    assert not any(a & b for a, b in itertools.combinations(programs.values(), 2))


def test_held_out_sizes_take_turns_and_a_smaller_set_is_the_beginning_of_a_larger_one(sets):
    for kind in TaskType:
        counts = Counter(problem.statements for problem in sets["test", kind])
        assert set(counts) == {1, 2, 3, 4, 5, 6}
        assert max(counts.values()) - min(counts.values()) <= 4
        assert all(problems(split, kind, 7) == sets[split, kind][:7] for split in SPLITS)


def test_sets_name_the_operations_as_often_as_the_corpus():
    for split in ("train", "test"):
        found = problems(split, TaskType.INDUCTION, 80)
        named = sum(len(p.task.message.split(", ")) if p.task.message else 0 for p in found)
        # A word for each statement, and two for the pair of a loop or an if with its body.
        assert named / sum(p.statements for p in found) == pytest.approx(HINT_RATE, abs=0.08)


@pytest.mark.parametrize("style", [CompactStyle(), PaperStyle()])
def test_the_right_response_to_a_problem_is_read_back_and_shows_the_way(style, sets):
    for problem in itertools.chain(*sets.values()):
        response = style.respond(problem.task.type, problem.values, problem.task.answer)
        assert style.parse_answer(problem.task.type, response).answer == problem.task.answer
        assert all(value in response for value in problem.values)


def test_arithmetic_problems_are_distinct_and_held_out():
    questions = arithmetic_problems("test", 50)
    assert len({q.text for q in questions}) == 50
    assert {split_of(q.text) for q in questions} == {"test"}
    assert arithmetic_problems("test", 5) == questions[:5]


def test_what_a_base_writes_is_shown_with_its_verdict():
    shown = show(lambda prompts: ["output 1"] * 3 + ["def f(x):\n    return x + 1\ninput 3"] * 3, count=1)
    assert shown.count(">>>") == 6
    assert [line for line in shown.splitlines() if line.startswith("(")] == ["(wrong)"] * 3 + ["(ok)"] * 2 + [
        "(no proposal)"
    ]
