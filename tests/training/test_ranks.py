"""Two processes: one run, equal buffers, and the update of one process."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from azr.errors import UserError
from azr.models.sampling import Completion
from azr.runs import read_lines
from azr.training import ranks, run
from azr.training.settings import micro_batches

from . import together
from .tiny import tiny_profile, write_seeds

CONFIG = Path(run.__file__).parent / "configs" / "ddp.yaml"
TESTS = Path(__file__).resolve().parents[1]


class Place:
    """A process's place among two."""

    num_processes = 2

    def __init__(self, index: int) -> None:
        self.process_index = index


@pytest.mark.parametrize("count", [1, 2, 5, 6])
def test_each_process_samples_equally_many_and_has_all(count, monkeypatch):
    prompts = ["x" * (1 + number % 3) + str(number) for number in range(count)]
    asked, parts = [], []
    both_are_there = threading.Barrier(2, timeout=30)
    place = threading.local()

    def sample(mine, streams):
        asked.append(mine)
        return [Completion([], [*stream], prompt, True) for prompt, stream in zip(mine, streams, strict=True)]

    def gather(part):
        parts.extend(part)
        both_are_there.wait()
        return parts

    def of_rank(rank):
        place.own = Place(rank)
        return ranks.sampled_together(prompts, [(number,) for number in range(count)], sample)

    monkeypatch.setattr(ranks, "PartialState", lambda: place.own)
    monkeypatch.setattr(ranks, "gather_object", gather)
    with ThreadPoolExecutor(2) as threads:
        results = list(threads.map(of_rank, (0, 1)))
    for found in results:
        assert [(c.text, c.ids) for c in found] == [(prompt, [i]) for i, prompt in enumerate(prompts)]
    assert [len(mine) for mine in asked] == [-(-count // 2)] * 2


def test_processes_that_part_are_stopped(monkeypatch):
    monkeypatch.setattr(ranks, "PartialState", lambda: Place(0))
    monkeypatch.setattr(ranks, "gather_object", lambda part: [*part, (0, [])])
    with pytest.raises(RuntimeError, match="their buffers differ"):
        ranks.sampled_together(["x"], [(0,)], lambda mine, streams: mine)


def test_rows_that_do_not_divide_are_the_users_mistake(monkeypatch):
    monkeypatch.setattr("azr.training.settings.PartialState", lambda: Place(0))
    assert micro_batches(tiny_profile(train__micro_batch=3))["gradient_accumulation_steps"] == 2
    with pytest.raises(UserError, match="micro_batch 4 on 2 processes does not divide the 12 rows"):
        micro_batches(tiny_profile())


@pytest.fixture(scope="module")
def runs(model_folder, tmp_path_factory):
    """A run of one process, and beside it those that two processes made."""
    runs = tmp_path_factory.mktemp("runs")
    for name in ("one", "two"):
        write_seeds(runs / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "load_style", run.load_style)  # train_in replaces it: put back afterwards
        patch.setattr(run, "rmtree", lambda *_, **__: None)  # its checkpoints are wanted
        together.train_in(runs / "one", model_folder)
    shutil.copytree(runs / "one", runs / "continued")  # as if it had been killed after its first step
    (runs / "continued" / "done.json").unlink()
    for name in ("model", "checkpoints/checkpoint-2"):
        shutil.rmtree(runs / "continued" / name)
    launch = ["accelerate.commands.launch", "--config_file", CONFIG, "--num_processes", "2", "--main_process_port", "0"]
    command = [sys.executable, "-m", *launch, "-m", "training.together", model_folder, runs]
    environment = os.environ | {"PYTHONPATH": str(TESTS.parent), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*map(str, command)], cwd=TESTS, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return runs


@pytest.mark.slow
@pytest.mark.parametrize("name", ["two", "continued"])
def test_two_processes_make_the_run_of_one(runs, name):
    folder, other = runs / name, runs / "one"
    for ours, theirs in zip(read_lines(folder / "log.jsonl"), read_lines(other / "log.jsonl"), strict=True):
        assert ours["tasks"] == theirs["tasks"]
        assert ours["tokens"] == theirs["tokens"]
        for group, values in ours["groups"].items():
            assert values == pytest.approx(theirs["groups"][group], abs=1e-4), group
        assert ours["gradient_norm"] == pytest.approx(theirs["gradient_norm"], rel=1e-4)
        assert ours["loss"] == pytest.approx(theirs["loss"], abs=1e-5)
    assert (folder / "proposals.jsonl").read_text() == (other / "proposals.jsonl").read_text()
    before, after = (load_file(path / "model" / "model.safetensors") for path in (other, folder))
    for key, weight in before.items():
        torch.testing.assert_close(after[key], weight, atol=1e-5, rtol=0)
    buffers = {(runs / f"{name}-{rank}-of-2.json").read_text() for rank in (0, 1)}
    assert buffers == {(runs / "one-0-of-1.json").read_text()}
