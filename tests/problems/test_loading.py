"""Problem sets by name, from files told by their columns, and from the hub; what a set of tasks grades."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from azr.errors import UserError
from azr.problems.loading import HUB, ProblemSet, load_problems
from azr.problems.tasks import read_execution
from azr.prompts.compact import CompactStyle
from azr.prompts.paper import PaperStyle
from azr.tasks import Task, TaskType

STYLES = [CompactStyle(), PaperStyle()]
CODE = {"code": "def g(a, b):\n    return a + b", "input": "g(1, b=2)", "output": "3", "id": "sample_0"}
MATHS = {"question": "What is 2 + 3?", "answer": "5"}
TASK = Task(TaskType.INDUCTION, "def f(x):\n    return x + 1", ("1", "2"), ("2", "3"), "adds")
OWN = {"type": "deduction", "program": "def f(x):\n    return x", "inputs": ["4"], "outputs": ["4"]}
SEED = {"snippet": "def f(x):\n    return x + 1", "input": "1", "output": "2", "imports": []}
CHECKED = {"task_id": 1, "prompt": "?", "code": "x", "test": "inputs = [[1]]\nassertion(g(*inp), exp, 0)"}
SEVERAL = {"snippet": "def f(x):\n    return x * 2", "inputs": ["1", "'a'"], "outputs": ["2", "aa"], "message": "twice"}


def write(path: Path, *rows: object) -> Path:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("name", ["world/train", "world/tuning", "world/arithmetic"])
def test_the_world_is_the_same_each_time_and_limited_by_group(name):
    problem_set = load_problems(name, 3)
    assert problem_set == load_problems(name, 3)
    assert problem_set.problems[:2] == load_problems(name, 2).problems[:2]
    groups = ["arithmetic"] if name == "world/arithmetic" else [str(task_type) for task_type in TaskType]
    assert [problem.group for problem in problem_set.problems] == [group for group in groups for _ in range(3)]
    assert len({problem.id for problem in problem_set.problems}) == len(problem_set.problems)


@pytest.mark.parametrize("style", STYLES, ids=lambda style: style.name)
def test_worked_answers_of_the_world_are_right_and_well_formed(style):
    problem_set = load_problems("world/train", 4)
    attempts = [(problem, problem_set.worked(problem, style)) for problem in problem_set.problems]
    with problem_set.open_executor(1) as executor:
        graded = problem_set.grade(attempts, style, executor)
        empty = problem_set.grade([(problem, "") for problem in problem_set.problems], style, executor)
    assert all(one.correct and one.well_formed and not one.refused for one in graded)
    assert not any(one.correct or one.well_formed for one in empty)


@pytest.mark.parametrize(
    ("rows", "grader", "groups"),
    [
        ([MATHS, {"question": "?", "answer": 1, "solution": "one"}], "mathematics", ["own", "own"]),
        ([CODE], "execution", ["deduction", "abduction"]),
        ([CODE | {"function_name": "g"}], "execution", ["deduction"]),
        ([TASK.to_json()], "task", ["induction"]),
        ([SEED, SEVERAL], "seeds", ["deduction", "abduction", "induction"]),
        ([CHECKED], "evalplus", ["own"]),
    ],
)
def test_a_files_rows_are_told_by_their_columns(rows, grader, groups, tmp_path):
    problem_set = load_problems(str(write(tmp_path / "own.jsonl", *rows)))
    assert (problem_set.name, problem_set.grader) == ("own", grader)
    assert [problem.group for problem in problem_set.problems] == groups


def test_limit_counts_each_group_and_ids_stay_unique(tmp_path):
    path = write(tmp_path / "own.jsonl", *[CODE] * 3)
    assert [p.id for p in load_problems("cruxeval", 2, path).problems] == [
        "sample_0-deduction", "sample_0-deduction#2", "sample_0-abduction", "sample_0-abduction#2"
    ]  # fmt: skip


def test_rows_that_cannot_be_used_are_left_out_and_named(tmp_path):
    path = write(tmp_path / "own.jsonl", MATHS, "{", "", {"question": "?"}, 7, MATHS)
    with pytest.warns(UserWarning, match=r"3 left out: line 2.*line 4.*line 5"):
        assert len(load_problems(str(path)).problems) == 2


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (OWN | {"inputs": [4]}, "text"),
        (OWN | {"inputs": "4"}, "text"),
        (OWN | {"outputs": "12", "inputs": ["1", "2"]}, "text"),
        (OWN | {"program": 4}, "text"),
        (OWN | {"program": "def f(x) return"}, "parse"),
        (OWN | {"outputs": ["four"]}, "literal"),
        (OWN | {"inputs": ["y"]}, "literal"),
        (OWN | {"type": "induction"}, "two pairs"),
        (OWN | {"type": "reduction"}, "reduction"),
        ({name: value for name, value in OWN.items() if name != "outputs"}, "no outputs"),
        (SEED | {"inputs": "12"}, "text"),
        (SEVERAL | {"inputs": ["1"]}, "two pairs"),
        (CODE | {"input": 4}, "text"),
        (CODE | {"output": None}, "no output"),
        ({"task_id": 1, "prompt": "?", "code": "x"}, "no test or base_input"),
        ({"question": "?"}, "no answer"),
    ],
)
def test_a_row_that_cannot_be_asked_or_graded_is_refused_with_its_fault(row, said, tmp_path):
    with pytest.raises(UserError, match=f"line 1: .*{said}"):
        load_problems(str(write(tmp_path / "own.jsonl", row)))


def test_a_task_needs_no_message(tmp_path):
    (problem,) = load_problems(str(write(tmp_path / "own.jsonl", OWN | {"program": "  def f(x): return x\n"}))).problems
    assert problem.task == Task(TaskType.DEDUCTION, "def f(x): return x", ("4",), ("4",))


def test_a_file_of_ones_own_may_have_the_name_of_a_benchmark(tmp_path):
    assert load_problems(str(write(tmp_path / "gsm8k.jsonl", OWN))).grader == "task"
    assert load_problems("gsm8k", path=write(tmp_path / "own.jsonl", MATHS)).name == "gsm8k"
    with pytest.raises(UserError, match="in place of its name"):
        load_problems("sums/test", path=tmp_path / "own.jsonl")


@pytest.mark.parametrize(
    ("name", "path"), [("nothing", None), ("seeds", None), ("world/test", "rows"), ("aime24", "rows"), ("rows", None)]
)
def test_what_cannot_be_loaded_is_said(name, path, tmp_path):
    rows = write(tmp_path / "rows.jsonl", CODE | {"input": None})
    with pytest.raises(UserError):
        load_problems(str(rows) if name == "rows" else name, path=rows if path else None)


def test_the_hub_is_read_by_datasets_and_said_where_it_is_out_of_reach(monkeypatch):
    import datasets

    monkeypatch.setattr(datasets, "load_dataset", lambda path, name=None, *, split: [MATHS | {"problem": path}])
    for name in ("math500", "gsm8k", "olympiadbench"):
        (problem,) = load_problems(name).problems
        assert (problem.group, problem.question.split("\n")[0]) == (name, HUB[name]["hub"]["path"])

    def unreachable(*args, **options):
        raise ConnectionError

    monkeypatch.setattr(datasets, "load_dataset", unreachable)
    with pytest.raises(UserError, match="JSONL"):
        load_problems("math500")


def test_outputs_of_seeds_are_computed_anew(tmp_path):
    broken = {"snippet": "def f(x):\n    return 1 / x", "input": "0", "output": "?"}
    with pytest.warns(UserWarning, match="exception"):
        problems = load_problems(
            "seeds", path=write(tmp_path / "s.jsonl", SEED | {"output": ""}, SEVERAL, broken)
        ).problems
    assert [problem.task.outputs for problem in problems] == [("2",), ("2",), ("2", "'aa'")]


@pytest.mark.parametrize(
    ("row", "inputs"),
    [
        (CODE, "1, 2"),
        (CODE | {"code": "def f():\n    return 3", "input": ""}, ""),
        (CODE | {"code": "def f(x):\n    return len(x)", "input": "[1] * 3"}, "[1] * 3"),
        (
            CODE | {"code": "def f(x):\n    return len(x)", "input": "''.join(['a', 'b', 'c'])"},
            "''.join(['a', 'b', 'c'])",
        ),
    ],
)
def test_inputs_of_cruxeval_may_be_expressions_or_nothing(row, inputs):
    assert [problem.task.inputs for problem in read_execution(row, 0)] == [(inputs,)] * 2


@pytest.mark.parametrize("row", [CODE | {"code": "def g("}, CODE | {"input": "1 +"}, CODE | {"output": "g(1)"}])
def test_rows_of_cruxeval_that_are_no_python_are_refused(row):
    with pytest.raises(ValueError, match=r"no |parse"):
        read_execution(row, 0)


@pytest.fixture(scope="module")
def executor():
    with ProblemSet("cruxeval", (), "execution").open_executor(1) as opened:
        yield opened


@pytest.mark.parametrize(
    ("index", "response", "correct", "well_formed"),
    [
        (0, "so</think> <answer>\n```output\n3\n```\n</answer>", True, True),
        (0, "so</think>\n```output\n3\n```", True, False),
        (0, "so</think> <answer>\n```output\n'3'\n```\n</answer>", False, True),
        (0, "so</think> <answer>\n```output\n3\n", False, False),
        (1, "so</think> <answer>\n```input\nf(b=1, a=2)\n```\n</answer>", True, True),
        (1, "so</think> <answer>\n```input\n-1, 4\n```\n</answer>", True, True),
        (1, "so</think> <answer>\n```input\n1, 1\n```\n</answer>", False, True),
    ],
)
def test_any_input_that_leads_to_the_output_counts_and_the_form_does_not(
    index, response, correct, well_formed, executor
):
    problem_set = ProblemSet("cruxeval", tuple(read_execution(CODE, 0)), "execution")
    graded = problem_set.grade([(problem_set.problems[index], response)], PaperStyle(), executor)[0]
    assert (graded.correct, graded.well_formed) == (correct, well_formed)


@pytest.mark.slow
def test_an_endless_answer_takes_the_benchmarks_own_limit(executor):
    row = {"code": "def f(n):\n    while n != 0:\n        n -= 2\n    return 'done'", "input": "4", "output": "'done'"}
    problem_set = ProblemSet("cruxeval", tuple(read_execution(row, 0)), "execution")
    start = time.monotonic()
    response = "so</think> <answer>\n```input\n3\n```\n</answer>"
    assert not problem_set.grade([(problem_set.problems[1], response)], PaperStyle(), executor)[0].correct
    assert time.monotonic() - start < 15  # three seconds of CPU on a busy machine


def test_programs_that_the_policy_refuses_are_counted(executor):
    forbidden = CODE | {"code": "import os\ndef f(a, b):\n    return a + b"}
    problems = (*read_execution(forbidden, 0), *read_execution(CODE, 1))
    attempts = [(problem, "so</think> <answer>\n```input\n1, 1\n```\n</answer>") for problem in problems[1::2]]
    graded = ProblemSet("cruxeval", problems, "execution").grade(attempts, PaperStyle(), executor)
    assert [(one.correct, one.refused) for one in graded] == [(False, True), (False, False)]


@pytest.mark.parametrize(
    ("style", "response", "correct", "well_formed"),
    [
        (STYLES[0], "answer 41", True, True),
        (STYLES[0], "think 39\nanswer 41", True, True),
        (STYLES[0], "answer 41 cards", False, False),
        (STYLES[0], "output 41", False, False),
        (STYLES[1], r"so</think> <answer>\boxed{41}</answer>", True, True),
        (STYLES[1], "so</think> <answer>41</answer>", True, True),
        (STYLES[1], "so</think> 42", False, False),
    ],
)
def test_arithmetic_is_graded_by_its_form(style, response, correct, well_formed):
    problem = load_problems("world/arithmetic", 1).problems[0]
    problem = type(problem)(problem.id, problem.group, problem.question, gold={"answer": "41"})
    graded = ProblemSet("world/arithmetic", (problem,), "arithmetic").grade([(problem, response)], style, None)[0]
    assert (graded.correct, graded.well_formed) == (correct, well_formed)
