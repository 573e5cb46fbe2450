"""Seed files in AZR's published format: what stands, what falls, and that a broken line costs only itself."""

import json

import pytest

from azr import cli
from azr.buffer import TaskBuffer
from azr.errors import UserError
from azr.executor import Executor
from azr.seeds import read_seeds
from azr.tasks import Task, TaskType

COUNT = "def f(words: list, k):\n    return {word: len(word) * k for word in words}"


@pytest.fixture(scope="module")
def executor():
    with Executor(workers=1, cpu_seconds=0.5) as pool:
        yield pool


def pair(snippet: str, given: str, output: str, **more) -> str:
    row = {"snippet": snippet, "input": given, "output": output, "imports": [], "original_snippet": snippet}
    return json.dumps(row | {"composite_functions": [], "_input_type": "str"} | more)


def induction(snippet: str, inputs: list, outputs: list, **more) -> str:
    row = {"snippet": snippet, "inputs": inputs, "outputs": outputs, "message": "What grows?", "imports": []}
    return json.dumps(row | more)


def read(tmp_path, executor, *lines):
    path = tmp_path / "seeds.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    return read_seeds(path, executor)


def test_a_pair_is_a_seed_of_deduction_and_of_abduction(tmp_path, executor):
    seeds = read(tmp_path, executor, pair(COUNT, "['ab'], 2", "{'ab': 4}"))
    expected = {kind: Task(kind, COUNT, ("['ab'], 2",), ("{'ab': 4}",)) for kind in TaskType}
    assert seeds.tasks(TaskType.DEDUCTION) == [expected[TaskType.DEDUCTION]]
    assert seeds.tasks(TaskType.ABDUCTION) == [expected[TaskType.ABDUCTION]]
    assert seeds.tasks(TaskType.INDUCTION) == []
    assert (seeds.recomputed, seeds.fallen) == ((), ())


def test_an_induction_seed_keeps_inputs_outputs_and_message(tmp_path, executor):
    inputs = [str(n) for n in range(10)]
    outputs = [str(n * n) for n in range(10)]
    seeds = read(tmp_path, executor, induction("def f(x):\n    return x * x", inputs, outputs))
    (task,) = seeds.tasks(TaskType.INDUCTION)
    assert (task.inputs, task.outputs, task.message) == (tuple(inputs), tuple(outputs), "What grows?")
    assert seeds.tasks(TaskType.DEDUCTION) == []


@pytest.mark.parametrize("published", ["", "{'ab': 5}", "{'abcdefgh': ... 'ijk'}", "Counter({'ab': 4})"])
def test_an_output_that_is_not_what_the_program_returns_is_computed_anew(tmp_path, executor, published):
    seeds = read(tmp_path, executor, pair(COUNT, "['ab'], 2", published))
    assert [task.output for task in seeds.entries] == ["{'ab': 4}"]
    assert seeds.recomputed == (1,)


def test_the_notation_of_an_output_does_not_matter(tmp_path, executor):
    seeds = read(tmp_path, executor, pair(COUNT, "['ab', 'c'], 2", '{"c": 2, "ab": 4}'))
    assert seeds.recomputed == ()


@pytest.mark.parametrize(
    ("written", "read_as"),
    [("k=2, words=['ab']", "['ab'], 2"), ("words = ['ab']\nk = 2", "['ab'], 2"), ("['ab'], 2  # two", "['ab'], 2")],
)
def test_inputs_are_read_as_models_wrote_them(tmp_path, executor, written, read_as):
    seeds = read(tmp_path, executor, pair(COUNT, written, "{'ab': 4}"))
    assert [task.input for task in seeds.entries] == [read_as]


def test_imports_that_the_snippet_lacks_are_put_before_it(tmp_path, executor):
    seeds = read(tmp_path, executor, pair("def f(x):\n    return math.gcd(x, 6)", "4", "2", imports=["import math"]))
    assert [task.program for task in seeds.entries] == ["import math\ndef f(x):\n    return math.gcd(x, 6)"]


FALLING = {
    "not JSON": '{"snippet": "def f(x)',
    "not a JSON object": "[1, 2]",
    "no snippet": json.dumps({"input": "1", "output": "1"}),
    "input and output must be text": pair(COUNT, 3, "3"),
    "program does not parse": pair("def f(x)\n  return", "1", "1"),
    "no function named f": pair("def g(x):\n    return x", "1", "1"),
    "input is not literal": pair(COUNT, "['ab'] * 2, 2", ""),
    "exception (ZeroDivisionError)": pair("def f(x):\n    return 1 / x", "0", ""),
    "rejected (import secrets)": pair("import secrets\ndef f(x):\n    return secrets.token_hex(x)", "8", ""),
    "non-deterministic": pair("def f(x):\n    return list({'a', 'b', 'c', 'd', 'e', 'f'})", "1", ""),
    "timeout (cpu)": pair("def f(x):\n    while True:\n        x += 1", "1", ""),
    "2 inputs for 1 outputs": induction("def f(x):\n    return x", ["1", "2"], ["1"]),
    "induction needs two inputs and a message": induction("def f(x):\n    return x", ["1"], ["1"]),
}


def test_broken_lines_are_named_by_number_and_reason_and_lose_nothing_else(tmp_path, executor):
    good = pair(COUNT, "['ab'], 2", "{'ab': 4}")
    lines = [good, "", *FALLING.values(), good]
    seeds = read(tmp_path, executor, *lines)
    assert len(seeds.entries) == 2
    assert seeds.fallen == tuple(enumerate(FALLING, 3))


def test_the_summary_counts_and_names(tmp_path, executor):
    seeds = read(tmp_path, executor, "oops", pair(COUNT, "['ab'], 2", ""), "oops")
    assert seeds.summary().splitlines() == [
        f"{tmp_path / 'seeds.jsonl'}: 1 of 3 seeds stand, 1 of them recomputed",
        "  2 fall: not JSON (line 1, 3)",
    ]


def test_files_without_seeds_are_refused_in_one_sentence(tmp_path, executor):
    with pytest.raises(UserError, match=r"cannot be read \(No such file"):
        read_seeds(tmp_path / "missing.jsonl", executor)
    with pytest.raises(UserError, match="holds no seed"):
        read(tmp_path, executor, "nothing", "here")


def test_the_command_prints_what_stands_and_writes_it_as_a_runs_seeds(tmp_path, capsys):
    pairs, problems = tmp_path / "pairs.jsonl", tmp_path / "problems.jsonl"
    pairs.write_text("\n".join([pair(COUNT, "['ab'], 2", ""), "oops", pair(COUNT, "['c'], 1", "{'c': 1}")]))
    problems.write_text(induction("def f(x):\n    return x", ["1", "2"], ["1", "2"]))
    out = tmp_path / "made" / "seeds.jsonl"
    assert cli.main(["seeds", str(pairs), str(problems), "--out", str(out)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{pairs}: 2 of 3 seeds stand, 1 of them recomputed",
        "  1 fall: not JSON (line 2)",
        f"{problems}: 1 of 1 seeds stand, 0 of them recomputed",
        "2 deduction, 2 abduction, 1 induction tasks in all",
        f"written: {out}",
    ]
    buffer = TaskBuffer.from_json(map(json.loads, out.read_text().splitlines()))
    assert [task.output for task in buffer.tasks(TaskType.ABDUCTION)] == ["{'ab': 4}", "{'c': 1}"]
    assert [task.message for task in buffer.tasks(TaskType.INDUCTION)] == ["What grows?"]


def test_the_command_names_what_it_cannot_read_or_write(tmp_path, capsys):
    assert cli.main(["seeds", str(tmp_path / "none.jsonl"), "--out", str(tmp_path / "out.jsonl")]) == 2
    assert "none.jsonl cannot be read (No such file" in capsys.readouterr().err
    (tmp_path / "bad.jsonl").write_text(pair("def f(x):\n    return 1 / x", "0", ""))
    assert cli.main(["seeds", str(tmp_path / "bad.jsonl"), "--out", str(tmp_path / "out.jsonl")]) == 2
    assert "no seed stands: " in capsys.readouterr().err
    assert not (tmp_path / "out.jsonl").exists()
