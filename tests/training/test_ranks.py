"""Two processes: one run, equal buffers, and the update of one process."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from azr.errors import UserError
from azr.training import run
from azr.training.ranks import dealt, sampled_together
from azr.training.trainer import grpo_config

from . import together
from .tiny import tiny_profile, write_seeds

CONFIG = Path(run.__file__).parent / "configs" / "ddp.yaml"
TESTS = Path(__file__).resolve().parents[1]


class Place:
    """A process's place among others."""

    def __init__(self, index: int, of: int) -> None:
        self.process_index, self.num_processes = index, of


def lines(file: Path) -> list[dict]:
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.fixture(scope="module")
def runs(model_folder, tmp_path_factory):
    """A run of one process, and beside it those that two processes made."""
    runs = tmp_path_factory.mktemp("runs")
    for name in ("one", "two", "sampled"):
        write_seeds(runs / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "load_style", run.load_style)  # train_in replaces it: put back afterwards
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        together.train_in(runs / "one", model_folder, ruled=True, **together.FULL)
        torch.set_num_threads(threads)
    shutil.copytree(runs / "one", runs / "continued")  # as if it had been killed after its first step
    for path in ("done.json", "model", "checkpoints/checkpoint-2"):
        path = runs / "continued" / path
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    launch = ["accelerate.commands.launch", "--config_file", CONFIG, "--num_processes", "2", "--main_process_port", "0"]
    command = [sys.executable, "-m", *launch, "-m", "training.together", model_folder, runs]
    done = subprocess.run(
        [*map(str, command)],
        cwd=TESTS,
        env=os.environ | {"PYTHONPATH": str(TESTS.parent), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return runs


def assert_same_run(folder: Path, other: Path) -> None:
    for ours, theirs in zip(lines(folder / "log.jsonl"), lines(other / "log.jsonl"), strict=True):
        assert ours["tasks"] == theirs["tasks"]
        assert ours["tokens"] == theirs["tokens"]
        for group, values in ours["groups"].items():
            assert values == pytest.approx(theirs["groups"][group], abs=1e-4), group
        assert ours["gradient_norm"] == pytest.approx(theirs["gradient_norm"], rel=1e-4)
        assert ours["loss"] == pytest.approx(theirs["loss"], abs=1e-5)
    assert (folder / "proposals.jsonl").read_text() == (other / "proposals.jsonl").read_text()


def test_the_first_update_is_that_of_one_process(runs, model_folder):
    start = load_file(model_folder / "model.safetensors")
    one, two = (load_file(runs / name / "checkpoints/checkpoint-1/model.safetensors") for name in ("one", "two"))
    assert one.keys() == two.keys() == start.keys()
    for name, weight in one.items():
        torch.testing.assert_close(two[name], weight, atol=1e-5, rtol=0)
    assert max((one[name] - start[name]).abs().max() for name in one) > 1e-2


def test_the_log_the_proposals_and_the_result_are_those_of_one_process(runs):
    assert_same_run(runs / "two", runs / "one")
    one, two = (load_file(runs / name / "model/model.safetensors") for name in ("one", "two"))
    for name, weight in one.items():
        torch.testing.assert_close(two[name], weight, atol=1e-4, rtol=0)
    assert sorted(p.name for p in (runs / "two").iterdir()) == sorted(p.name for p in (runs / "one").iterdir())


@pytest.mark.parametrize("name", ["two", "continued", "sampled"])
def test_buffers_agree_between_processes(runs, name):
    first, second = (json.loads((runs / f"{name}-{rank}-of-2.json").read_text()) for rank in (0, 1))
    assert first == second
    assert json.loads((runs / name / "checkpoints/checkpoint-2" / run.STATE).read_text()) == first
    assert any(row["step"] for row in first)


def test_two_processes_continue_what_one_began(runs):
    assert_same_run(runs / "continued", runs / "one")
    assert (runs / "continued" / "done.json").exists()


def test_two_processes_sample_different_responses(runs):
    """Equal seeds would give equal draws: the proposals of a task type differ only in their references."""
    proposals = lines(runs / "sampled" / "proposals.jsonl")
    assert len({row["response"] for row in proposals}) > len(proposals) // 2


def test_rows_are_dealt_out_by_micro_batches():
    assert [dealt(8, 2, Place(rank, 2)).tolist() for rank in (0, 1)] == [[0, 1, 4, 5], [2, 3, 6, 7]]
    assert dealt(8, 2, Place(0, 1)).tolist() == list(range(8))


@pytest.mark.parametrize("count", [1, 2, 5, 6])
def test_each_process_samples_equally_many(count, monkeypatch):
    prompts = [[number] * (1 + number % 3) for number in range(count)]
    asked: list[list[list[int]]] = []
    parts: list = []
    both_are_there = threading.Barrier(2, timeout=30)

    def sample(mine: list[list[int]]) -> list[list[int]]:
        asked.append(mine)
        return [[ids[0] + 100] for ids in mine]

    def gather(part: list) -> list:
        parts.extend(part)
        both_are_there.wait()
        return parts

    monkeypatch.setattr("azr.training.ranks.gather_object", gather)
    with ThreadPoolExecutor(2) as threads:
        results = list(threads.map(lambda rank: sampled_together(prompts, sample, Place(rank, 2)), (0, 1)))
    assert results == [[[number + 100] for number in range(count)]] * 2
    assert len(asked[0]) == len(asked[1]) == -(-count // 2)


def test_processes_that_part_are_stopped(monkeypatch):
    monkeypatch.setattr("azr.training.ranks.gather_object", lambda part: [*part, (0, [])])
    with pytest.raises(RuntimeError, match="their buffers differ"):
        sampled_together([[1]], lambda mine: mine, Place(0, 2))


def test_rows_that_do_not_divide_are_the_users_mistake(monkeypatch, tmp_path):
    monkeypatch.setenv("WORLD_SIZE", "5")
    with pytest.raises(UserError, match="micro_batch 4 on 5 processes does not divide the 12 rows"):
        grpo_config(tiny_profile("none"), 12, 0, tmp_path)


def test_summing_in_one_process_changes_nothing():
    from azr.training.ranks import summed

    assert summed(np.array([[1.0, 2.0]])).tolist() == [[1.0, 2.0]]
