"""A run folder: what it holds, that it repeats with its seed, and that a killed run ends as an unbroken one."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from azr.errors import UserError
from azr.figures.training import log_frame
from azr.training import run
from azr.training.run import STATE, keep_steps, last_checkpoint, train

from .tiny import LenientStyle, tiny_profile, write_seeds


@pytest.fixture(autouse=True)
def _lenient(monkeypatch):
    monkeypatch.setattr(run, "load_style", lambda *_: LenientStyle())


def train_in(folder: Path, profile, seed: int = 0) -> Path:
    if not (folder / "seeds.jsonl").exists():
        write_seeds(folder)
    return train("selfplay", profile, seed, folder)


def lines(folder: Path, name: str) -> list[dict]:
    return [json.loads(line) for line in (folder / name).read_text().splitlines()]


def results(folder: Path) -> tuple:
    """All that a run ends with, but for the time it took."""
    log = [{k: v for k, v in row.items() if k != "seconds"} for row in lines(folder, "log.jsonl")]
    return log, (folder / "proposals.jsonl").read_text(), (folder / "adapter/adapter_model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def finished(model_folder, tmp_path_factory):
    """A finished run of four steps; it also has what a run of the command line has."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "load_style", lambda *_: LenientStyle())
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        folder = train_in(tmp_path_factory.mktemp("runs") / "selfplay-seed0", tiny_profile(model_folder))
        torch.set_num_threads(threads)
    return folder


def test_a_run_folder_holds_what_its_module_says(finished):
    config = json.loads((finished / "config.json").read_text())
    assert (config["method"], config["seed"], config["profile"]["train"]["steps"]) == ("selfplay", 0, 4)
    assert {"torch", "trl", "python", "threads"} <= set(json.loads((finished / "versions.json").read_text()))
    assert json.loads((finished / "done.json").read_text())["steps"] == 4
    assert {path.name for path in (finished / "checkpoints").glob("checkpoint-*")} == {"checkpoint-2", "checkpoint-4"}
    assert (finished / "adapter" / "adapter_config.json").exists()


def test_the_log_has_a_line_a_step(finished):
    log = lines(finished, "log.jsonl")
    assert [row["step"] for row in log] == [1, 2, 3, 4]
    for row in log:
        assert set(row) == {"step", "tasks", "groups", "seconds", "tokens", "gradient_norm", "loss"}
        assert len(row["groups"]) == 6
        for group in row["groups"].values():
            wanted = {"reward", "length", "zero_advantage", "tokens", "truncated", "entropy_nll", "entropy_full"}
            assert set(group) == wanted
        for task in row["tasks"].values():
            assert sum(task["solve_rate_histogram"]) + sum(task["rejected"].values()) == 2
            assert 0 <= task["accuracy"] <= task["well_formed"] <= 1
        assert set(row["tokens"]) == {"proposed", "estimated", "solved", "trained"}
        assert row["tokens"]["trained"] == row["tokens"]["proposed"] + row["tokens"]["solved"]
        assert set(row["seconds"]) == {"propose", "execute", "estimate", "solve", "update", "step"}
    assert any(row["gradient_norm"] > 0 for row in log)
    frame = log_frame(log, seed=0)
    assert len(frame) == 24
    assert frame[["reward", "response_length", "entropy_nll", "entropy_full"]].notna().all(axis=None)


def test_every_proposal_is_there_with_its_fate(finished):
    proposals = lines(finished, "proposals.jsonl")
    assert [row["step"] for row in proposals] == [step for step in (1, 2, 3, 4) for _ in range(6)]
    for row in proposals:
        assert (row["fate"] == "valid") == (row["task"] is not None) == (row["solve_rate"] is not None)
        assert row["tokens"] > 0
        assert row["reward"] >= -1
    assert {row["fate"] for row in proposals} >= {"valid", "malformed"}
    log = lines(finished, "log.jsonl")
    for row in log:
        own = [p for p in proposals if p["step"] == row["step"] and p["task_type"] == "deduction"]
        assert row["groups"]["deduction/proposer"]["reward"] == pytest.approx(sum(p["reward"] for p in own) / 2)


def test_buffers_grow_by_the_valid_proposals(finished):
    valid = [row for row in lines(finished, "proposals.jsonl") if row["task"]]
    saved = json.loads((finished / "checkpoints/checkpoint-4" / STATE).read_text())
    assert len(saved) == 18 + len(valid)
    assert [row["program"] for row in saved if row["step"]] == [
        row["task"]["program"]
        for task_type in ("deduction", "abduction", "induction")
        for row in valid
        if row["task_type"] == task_type
    ]


def test_a_finished_run_is_left_alone(finished, model_folder):
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*")}
    train_in(finished, tiny_profile(model_folder))
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("*")} == before


def test_a_run_repeats_with_its_seed_and_only_with_it(finished, model_folder, tmp_path):
    again = train_in(tmp_path / "again", tiny_profile(model_folder))
    assert results(again) == results(finished)
    other = train_in(tmp_path / "other", tiny_profile(model_folder), seed=1)
    assert all(a != b for a, b in zip(results(other), results(finished), strict=True))


KILLED = """
import os, signal, sys
from pathlib import Path
import torch
from azr.training import run
from training.tiny import LenientStyle, tiny_profile

torch.set_num_threads(1)
run.load_style = lambda *_: LenientStyle()
write_json = run.write_json

def killed(path, value):
    if path.parent.name == "checkpoint-4":  # the weights of this checkpoint are there, its buffer is not
        os.kill(os.getpid(), signal.SIGKILL)
    write_json(path, value)

run.write_json = killed
run.train("selfplay", tiny_profile(sys.argv[1], train__steps=6), 0, Path(sys.argv[2]))
"""


def test_a_run_killed_while_it_saves_ends_as_an_unbroken_one(model_folder, tmp_path):
    folder = tmp_path / "killed"
    write_seeds(folder)
    tests = Path(__file__).resolve().parents[1]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(model_folder), str(folder)], cwd=tests, capture_output=True, text=True
    )
    assert done.returncode == -9, done.stderr
    assert [row["step"] for row in lines(folder, "log.jsonl")] == [1, 2, 3, 4]
    assert last_checkpoint(folder / "checkpoints").name == "checkpoint-2"
    (folder / "log.jsonl").open("a").write('{"step": 5, "ta')  # a line that was cut off
    profile = tiny_profile(model_folder, train__steps=6)
    train_in(folder, profile)
    assert not list(tmp_path.glob("killed.old-*"))
    assert results(folder) == results(train_in(tmp_path / "unbroken", profile))


def test_a_run_with_other_settings_is_kept_beside_the_new_one(finished, model_folder, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(finished, folder)
    train_in(folder, tiny_profile(model_folder, train__steps=1))
    (old,) = tmp_path.glob("run.old-*")
    assert results(old) == results(finished)
    assert len(lines(folder, "log.jsonl")) == 1


def test_full_fine_tuning_writes_a_model(model_folder, tmp_path):
    folder = train_in(tmp_path / "full", tiny_profile(model_folder, model__full=True, train__steps=2))
    assert not (folder / "adapter").exists()
    before, after = (load_file(path / "model.safetensors") for path in (model_folder, folder / "model"))
    assert before.keys() == after.keys()
    assert any(not torch.equal(before[name], after[name]) for name in before)
    assert (folder / "model" / "tokenizer.json").exists()


def test_validation_is_measured_when_it_is_due_and_disturbs_nothing(finished, model_folder, tmp_path):
    changes = {"train__validate_every": 3, "evaluation__validation_problems": 2, "evaluation__validation_samples": 1}
    folder = train_in(tmp_path / "validated", tiny_profile(model_folder, **changes))
    log = lines(folder, "log.jsonl")
    assert [row["step"] for row in log if "validation" in row] == [3, 4]
    for row in log:
        for accuracy in row.get("validation", {}).values():
            assert accuracy in (0, 0.5, 1)
    weights = "adapter/adapter_model.safetensors"
    assert (folder / weights).read_bytes() == (finished / weights).read_bytes()


def test_keep_steps_drops_what_comes_after_and_what_is_torn(tmp_path):
    file = tmp_path / "log.jsonl"
    keep_steps(file, 3)
    assert not file.exists()
    file.write_text('{"step": 1}\n{"step": 2}\n{"step": 2}\n{"step": 3}\n{"st')
    keep_steps(file, 2)
    assert file.read_text() == '{"step": 1}\n{"step": 2}\n{"step": 2}\n'


@pytest.mark.parametrize("text", ['{"step": 1}\n{"st\n{"step": 3}\n', '{"step": 1}\n{"reward": 2}\n', "[1]\n"])
def test_a_log_that_is_damaged_before_its_end_is_left_alone(tmp_path, text):
    file = tmp_path / "log.jsonl"
    file.write_text(text)
    with pytest.raises(UserError, match=r"log.jsonl is damaged: restore it, or move the run's folder away"):
        keep_steps(file, 2)
    assert file.read_text() == text


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


@pytest.mark.parametrize(
    "name", ["adapter_model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json", STATE]
)
def test_a_damaged_checkpoint_is_named_and_without_it_the_run_goes_on(finished, model_folder, tmp_path, name):
    folder = tmp_path / "run"
    shutil.copytree(finished, folder)
    (folder / "done.json").unlink()
    newest = folder / "checkpoints" / "checkpoint-4"
    cut(newest / name)
    before = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    with pytest.raises(UserError) as raised:
        train_in(folder, tiny_profile(model_folder))
    advice = f"remove the folder {newest} and run the same command again, which goes on from the one before"
    assert str(raised.value) == f"{newest / name} is damaged: {advice}."
    after = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    assert {file for file in after if after[file] != before.get(file)} <= {
        folder / "config.json",
        folder / "versions.json",
    }
    if name == "optimizer.pt":
        shutil.rmtree(newest)
        assert results(train_in(folder, tiny_profile(model_folder))) == results(finished)


@pytest.mark.parametrize("text", ["[{}]", "[3]", "3"])
def test_a_checkpoint_whose_buffer_is_none_is_named(finished, model_folder, tmp_path, text):
    folder = tmp_path / "run"
    shutil.copytree(finished, folder)
    (folder / "done.json").unlink()
    (folder / "checkpoints" / "checkpoint-4" / STATE).write_text(text)
    with pytest.raises(UserError, match=r"source.json is damaged: remove the folder .*checkpoint-4 and run the same"):
        train_in(folder, tiny_profile(model_folder))


@pytest.mark.parametrize("text", ['{"type": "dedu', "{}\n", "3\n"])
def test_damaged_seeds_of_a_run_are_named(model_folder, tmp_path, text):
    folder = tmp_path / "run"
    write_seeds(folder)
    (folder / "seeds.jsonl").write_text(text)
    with pytest.raises(UserError, match=r"seeds.jsonl is damaged: remove it and run the same command again\.$"):
        train_in(folder, tiny_profile(model_folder))
    assert (folder / "seeds.jsonl").read_text() == text


def test_an_incomplete_checkpoint_is_none(tmp_path):
    assert last_checkpoint(tmp_path) is None
    for step, complete in ((2, True), (10, True), (12, False)):
        (tmp_path / f"checkpoint-{step}").mkdir()
        if complete:
            (tmp_path / f"checkpoint-{step}" / STATE).write_text("[]")
    assert last_checkpoint(tmp_path).name == "checkpoint-10"


def test_a_run_killed_between_its_last_step_and_its_end_is_completed(finished, model_folder, tmp_path):
    folder = tmp_path / "nearly"
    shutil.copytree(finished, folder)
    (folder / "done.json").unlink()
    shutil.rmtree(folder / "adapter")
    train_in(folder, tiny_profile(model_folder))
    assert results(folder) == results(finished)


def seed_files(folder: Path, output: str = "2") -> list[Path]:
    """Two files in AZR's format; one line does not stand."""
    pairs, problems = folder / "pairs.jsonl", folder / "problems.jsonl"
    program = "def f(x):\n    return x + 1"
    rows = [{"snippet": program, "input": "1", "output": output}, {"snippet": "def f(x): return y", "input": "1"}]
    pairs.write_text("".join(json.dumps(row) + "\n" for row in rows))
    problem = {"snippet": program, "inputs": ["1", "2"], "outputs": ["2", "3"], "message": "one more"}
    problems.write_text(json.dumps(problem))
    return [pairs, problems]


def test_a_run_starts_from_seed_files(model_folder, tmp_path, capsys):
    folder, files = tmp_path / "run", seed_files(tmp_path)
    profile = tiny_profile(model_folder, train__steps=1)
    train("selfplay", profile, 0, folder, files)
    assert "1 of 2 seeds stand" in capsys.readouterr().out
    seeds = lines(folder, "seeds.jsonl")
    assert [(row["type"], row["inputs"], row["outputs"], row["step"]) for row in seeds] == [
        ("deduction", ["1"], ["2"], 0),
        ("abduction", ["1"], ["2"], 0),
        ("induction", ["1", "2"], ["2", "3"], 0),
    ]
    assert json.loads((folder / "config.json").read_text())["seed_files"] == ["pairs.jsonl", "problems.jsonl"]
    assert (folder / "done.json").exists()
    finished = results(folder)
    train("selfplay", profile, 0, folder, files)
    assert not list(tmp_path.glob("run.old-*"))
    train("selfplay", profile, 0, folder, seed_files(tmp_path, output="elsewhere"))
    (old,) = tmp_path.glob("run.old-*")
    assert results(old) == finished


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_is_refused_leaves_a_finished_run_where_and_as_it_is(finished, model_folder, tmp_path, monkeypatch):
    folder, pairs = tmp_path / "run", seed_files(tmp_path)[:1]
    shutil.copytree(finished, folder)
    before = contents(tmp_path)
    with pytest.raises(UserError, match="no induction task that stands"):
        train("selfplay", tiny_profile(model_folder), 0, folder, pairs)
    assert contents(tmp_path) == before
    monkeypatch.setenv("WORLD_SIZE", "5")
    with pytest.raises(UserError, match="micro_batch 4 on 5 processes does not divide the 12 rows"):
        train("selfplay", tiny_profile(model_folder, train__steps=1), 0, folder)
    assert contents(tmp_path) == before


def test_seed_files_without_a_task_type_are_refused(model_folder, tmp_path):
    with pytest.raises(UserError, match=r"no induction task that stands: add one with inputs, outputs and message"):
        train("selfplay", tiny_profile(model_folder), 0, tmp_path / "run", seed_files(tmp_path)[:1])
    assert not (tmp_path / "run").exists()
