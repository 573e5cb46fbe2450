"""The world's problems: always the same, right by plain Python, each program in one split, hints as in the corpus."""

import ast
import itertools
from collections import Counter

import pytest

from azr.problems.tasks import world_problems
from azr.prompts.compact import CompactStyle
from azr.prompts.paper import PaperStyle
from azr.tasks import TaskType
from azr.world.corpus import HINT_RATE
from azr.world.grammar import split_of

SPLITS = ("train", "validation", "tuning", "test")


@pytest.fixture(scope="module")
def sets():
    return {split: world_problems(split, 12) for split in SPLITS}


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
    programs = {split: {problem.task.program for problem in found} for split, found in sets.items()}
    for split, found in sets.items():
        assert {split_of(program) for program in programs[split]} == {split}
        assert len({problem.task for problem in found}) == len({problem.id for problem in found}) == 36
        for kind in TaskType:
            own = {problem.task.program for problem in found if problem.group == kind}
            assert split == "train" or len(own) == 12
    assert not any(a & b for a, b in itertools.combinations(programs.values(), 2))


def test_held_out_sizes_take_turns_and_a_smaller_set_is_the_beginning_of_a_larger_one(sets):
    for split, found in sets.items():
        smaller = world_problems(split, 7)
        for kind in TaskType:
            own = [problem for problem in found if problem.group == kind]
            assert [problem for problem in smaller if problem.group == kind] == own[:7]
            if split == "test":
                counts = Counter(problem.size for problem in own)
                assert set(counts) == {1, 2, 3, 4, 5, 6}
                assert max(counts.values()) - min(counts.values()) <= 4


def test_sets_name_the_operations_as_often_as_the_corpus():
    for split in ("train", "test"):
        found = [problem for problem in world_problems(split, 80) if problem.group == TaskType.INDUCTION]
        named = sum(len(p.task.message.split(", ")) if p.task.message else 0 for p in found)
        # A word for each statement, and two for the pair of a loop or an if with its body.
        assert named / sum(p.size for p in found) == pytest.approx(HINT_RATE, abs=0.08)


@pytest.mark.parametrize("style", [CompactStyle(), PaperStyle()])
def test_the_right_response_to_a_problem_is_read_back_and_shows_the_way(style, sets):
    for problem in itertools.chain(*sets.values()):
        response = style.respond(problem.task.type, problem.values, problem.task.answer)
        assert style.parse_answer(problem.task.type, response).answer == problem.task.answer
        assert all(value in response for value in problem.values)


def test_arithmetic_problems_are_distinct_and_held_out():
    questions = world_problems("arithmetic", 50)
    assert len({q.question for q in questions}) == 50
    assert {split_of(q.question) for q in questions} == {"test"}
    assert world_problems("arithmetic", 5) == questions[:5]
