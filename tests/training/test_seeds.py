"""Seed files in AZR's published format: what a run starts from, and what falls is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from azr.buffer import TaskBuffer
from azr.errors import UserError
from azr.runs import read_lines
from azr.tasks import TaskType
from azr.training.seeds import check_seed_files, read_seeds, shared_seeds

from .tiny import tiny_profile

PROGRAM = "def f(words: list, k):\n    return {word: len(word) * k for word in words}"


@pytest.fixture
def files(tmp_path) -> list[Path]:
    """Two files: pairs, the outputs of which are computed anew and one of which does not run, and induction."""
    rows = [
        {"snippet": PROGRAM, "input": "['ab'], 2", "output": "published wrong"},
        {"snippet": "def f(x):\n    return 1 / x", "input": "0", "output": "0"},
        {"snippet": PROGRAM, "input": "['c'], 1", "output": "{'c': 1}"},
    ]
    problem = {"snippet": "def f(x):\n    return x", "inputs": ["1", "2"], "outputs": ["1", "2"], "message": "same"}
    pairs, problems = tmp_path / "pairs.jsonl", tmp_path / "problems.jsonl"
    pairs.write_text("\n".join(map(json.dumps, rows)))
    problems.write_text(json.dumps(problem))
    return [pairs, problems]


def test_what_stands_is_the_buffer_before_the_first_step(files, capsys):
    buffer = read_seeds(files)
    assert buffer.sizes() == {"deduction": 2, "abduction": 2, "induction": 1}
    assert [task.output for task in buffer.tasks(TaskType.ABDUCTION)] == ["{'ab': 4}", "{'c': 1}"]
    assert all(row["step"] == 0 for row in buffer.to_json())
    out = capsys.readouterr().out
    assert "2 deduction, 2 abduction, 0 induction" in out
    assert "exception" in out


def test_a_task_type_without_seeds_is_refused(files):
    with pytest.raises(UserError, match="no induction task"):
        read_seeds(files[:1])


def test_a_file_without_tasks_is_refused(tmp_path):
    (tmp_path / "questions.jsonl").write_text('{"question": "What is 2 + 3?", "answer": "5"}')
    with pytest.raises(UserError, match="snippet"):
        read_seeds([tmp_path / "questions.jsonl"], whole=False)


def test_the_command_writes_what_stands(files, tmp_path):
    out = tmp_path / "made" / "seeds.jsonl"
    check_seed_files(files, out)
    assert TaskBuffer.from_json(read_lines(out)).sizes() == {"deduction": 2, "abduction": 2, "induction": 1}


def test_runs_share_seeds_by_what_seeding_reads():
    base = shared_seeds(Path("runs/a"), tiny_profile(), 0)
    same = [tiny_profile(train__proposer="frozen"), tiny_profile(train__steps=2, rollout__chunk=7)]
    other = [tiny_profile(rollout__batch=4), tiny_profile(rollout__temperature=0.5)]
    assert {shared_seeds(Path("runs/b"), profile, 0) for profile in same} == {base}
    assert base not in {shared_seeds(Path("runs/b"), profile, 0) for profile in other}
    assert base != shared_seeds(Path("runs/a"), tiny_profile(), 1)
