"""A run folder: what it holds, that it repeats with its seed, and that a killed run ends as an unbroken one."""

from __future__ import annotations

import errno
import json
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import Trainer, TrainerCallback, TrainerState, TrainingArguments

from azr.arms import arm_profile
from azr.errors import UserError
from azr.runs import Run, alone, read_lines, write_json
from azr.training import run
from azr.training.run import last_checkpoint, train

from .tiny import LenientStyle, tiny_profile, write_seeds


@pytest.fixture(autouse=True)
def _lenient(monkeypatch):
    monkeypatch.setattr(run, "load_style", lambda *_: LenientStyle())


def train_in(folder: Path, profile, seed: int = 0, arm: str = "selfplay", **options) -> Path:
    if not (folder / "seeds.jsonl").exists():
        write_seeds(folder)
    return train(arm, arm_profile(arm, profile), seed, folder, **options).folder


def results(folder: Path) -> tuple:
    """All that a run ends with, but for the time it took."""
    log = [{k: v for k, v in row.items() if k != "seconds"} for row in read_lines(folder / "log.jsonl")]
    proposals = folder / "proposals.jsonl"
    weights = (folder / "adapter/adapter_model.safetensors").read_bytes()
    return log, proposals.read_text() if proposals.exists() else "", weights


def finished_run(arm: str, model: Path, place: Path) -> Path:
    """A run with the checkpoints that it had before it was done."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "load_style", lambda *_: LenientStyle())
        patch.setattr(run, "rmtree", lambda *_, **__: None)
        return train_in(place / f"{arm}-seed0", tiny_profile(model, evaluation__every=3), arm=arm)


@pytest.fixture(scope="module")
def finished(model_folder, tmp_path_factory):
    """A finished self-play run of four steps."""
    return finished_run("selfplay", model_folder, tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module", params=["sft", "rlvr", "rlvr-trr"])
def baseline(request, model_folder, tmp_path_factory):
    """A finished run of each other method."""
    return request.param, finished_run(request.param, model_folder, tmp_path_factory.mktemp("runs"))


def test_who_watches_is_called_after_each_step_with_all_that_the_step_wrote(model_folder, tmp_path):
    seen = []

    def watch(run: Run) -> None:
        seen.append((int(run.log["step"].max()), int(run.proposals["step"].max())))

    train_in(tmp_path / "selfplay-seed0", tiny_profile(model_folder, train__steps=3), watch=watch)
    assert seen == [(1, 1), (2, 2), (3, 3)]


@pytest.mark.parametrize("arm", ["sft", "rlvr", "selfplay"])
def test_a_process_that_sees_two_gpus_trains_on_one(arm, model_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(TrainingArguments, "n_gpu", property(lambda self: 2))
    folder = train_in(tmp_path / "run", tiny_profile(model_folder, train__steps=1), arm=arm)
    assert len(read_lines(folder / "log.jsonl")) == 1
    assert Run(folder).done


@pytest.mark.parametrize("arm", ["sft", "rlvr", "selfplay"])
def test_a_run_whose_numbers_are_lost_stops_in_a_sentence_and_saves_nothing(arm, model_folder, tmp_path, monkeypatch):
    class Lost(TrainerCallback):
        """In the place of an update that overflows."""

        def on_step_begin(self, args, state, control, model, **_) -> None:
            if state.global_step == 1:
                next(weight for weight in model.parameters() if weight.requires_grad).data.fill_(torch.nan)

    trainer, profile = run._trainer, tiny_profile(model_folder, train__save_every=1, evaluation__every=1)
    monkeypatch.setattr(run, "_trainer", lambda *args: with_callback(trainer(*args), Lost()))
    with pytest.raises(UserError, match="Step 2 has a loss of"):
        train_in(tmp_path / "run", profile, arm=arm)
    assert {path.name for path in (tmp_path / "run").rglob("*-[0-9]")} == {"step-1", "checkpoint-1"}
    assert [row["step"] for row in read_lines(tmp_path / "run" / "log.jsonl")] == [1]
    assert not Run(tmp_path / "run").done


def with_callback(trainer: Trainer, callback: TrainerCallback) -> Trainer:
    trainer.add_callback(callback)
    return trainer


def test_a_run_folder_holds_what_its_module_says(finished, model_folder):
    record = Run(finished).record
    assert (record["arm"], record["method"], record["seed"]) == ("selfplay", "selfplay", 0)
    assert record["settings"] == tiny_profile(model_folder, evaluation__every=3).model_dump(mode="json")
    assert {"torch", "trl", "python"} <= set(record["versions"])
    assert Run(finished).done
    assert {path.name for path in (finished / "checkpoints").iterdir()} == {"checkpoint-2", "checkpoint-4"}
    assert {path.name for path in (finished / "adapters").iterdir()} == {"step-3"}
    kept, last = (Run(finished).weights_at(step) / "adapter_model.safetensors" for step in (3, 4))
    assert last == finished / "adapter" / "adapter_model.safetensors"
    assert any(not torch.equal(load_file(kept)[name], weight) for name, weight in load_file(last).items())


def test_the_log_has_a_line_a_step(finished):
    log = read_lines(finished / "log.jsonl")
    assert [row["step"] for row in log] == [1, 2, 3, 4]
    whole = {"step", "tasks", "groups", "seconds", "tokens", "gradient_norm", "loss", "learning_rate"}
    wanted = {"reward", "length", "zero_advantage", "tokens", "truncated", "entropy_nll", "entropy_full"}
    for row in log:
        assert set(row) == whole
        assert len(row["groups"]) == 6
        assert all(set(group) == wanted for group in row["groups"].values())
        for task in row["tasks"].values():
            assert sum(task["solve_rate_histogram"]) + sum(task["rejected"].values()) == 2
            assert 0 <= task["accuracy"] <= task["well_formed"] <= 1
        assert set(row["tokens"]) == {"proposed", "estimated", "solved", "trained"}
        assert row["tokens"]["trained"] == row["tokens"]["proposed"] + row["tokens"]["solved"]
        assert set(row["seconds"]) == {"propose", "execute", "solve", "update", "step"}
    assert any(row["gradient_norm"] > 0 for row in log)
    frame = Run(finished).log
    assert set(frame[frame.quantity == "entropy_full"].group) == set(log[0]["groups"])


def test_every_proposal_is_there_with_its_fate_and_the_buffer_grows_by_the_valid_ones(finished):
    proposals = read_lines(finished / "proposals.jsonl")
    assert [row["step"] for row in proposals] == [step for step in (1, 2, 3, 4) for _ in range(6)]
    for row in proposals:
        assert (row["fate"] == "valid") == (row["task"] is not None) == (row["solve_rate"] is not None)
        assert row["tokens"] > 0
        assert row["reward"] >= -1
    for row in read_lines(finished / "log.jsonl"):
        own = [p["reward"] for p in proposals if p["step"] == row["step"] and p["task_type"] == "deduction"]
        assert row["groups"]["deduction/proposer"]["reward"] == pytest.approx(np.mean(own))
    state = json.loads((finished / "checkpoints/checkpoint-4/trainer_state.json").read_text())
    saved = [row["program"] for row in state["stateful_callbacks"]["BufferCallback"]["buffer"] if row["step"]]
    assert sorted(saved) == sorted(row["task"]["program"] for row in proposals if row["task"])


def test_a_baseline_writes_the_same_folder(baseline, finished):
    method, folder = baseline
    log = read_lines(folder / "log.jsonl")
    assert [row["step"] for row in log] == [1, 2, 3, 4]
    for row in log:
        assert {"groups", "seconds", "loss", "gradient_norm", "learning_rate"} <= set(row)
        types = {f"{name}/solver" for name in ("deduction", "abduction", "induction")}
        assert set(row["groups"]) - {"solver"} <= types
        entropies = [group["entropy_full"] for group in row["groups"].values() if "entropy_full" in group]
        assert len(entropies) == (3 if method == "rlvr-trr" else 1)
        assert min(entropies) > 0
        if method == "sft":
            assert row["loss"] > 0
        else:
            assert all("reward" in group for group in row["groups"].values())
    if method == "sft":
        assert log[-1]["loss"] < log[0]["loss"]
    assert (folder / "adapters" / "step-3" / "adapter_config.json").exists()
    assert Run(folder).record["fingerprint"] != Run(finished).record["fingerprint"]


def broken_off(finished: Path, folder: Path, last: int) -> Path:
    """A copy of a finished run as a kill after step ``last`` leaves it."""
    shutil.copytree(finished, folder)
    shutil.rmtree(folder / "adapter")
    (folder / "done.json").unlink()
    for checkpoint in (folder / "checkpoints").glob("checkpoint-*"):
        if int(checkpoint.name.rpartition("-")[2]) > last:
            shutil.rmtree(checkpoint)
    return folder


def test_a_baseline_that_goes_on_from_its_checkpoint_ends_as_an_unbroken_one(baseline, model_folder, tmp_path):
    method, finished = baseline
    folder = broken_off(finished, tmp_path / "run", last=2)
    train_in(folder, tiny_profile(model_folder, evaluation__every=3), arm=method)
    assert results(folder) == results(finished)


def test_a_run_killed_between_its_last_step_and_its_end_is_completed(finished, model_folder, tmp_path):
    folder = broken_off(finished, tmp_path / "run", last=4)
    train_in(folder, tiny_profile(model_folder, evaluation__every=3))
    assert results(folder) == results(finished)
    assert not (folder / "checkpoints").exists()


def test_a_finished_run_is_left_alone(finished, model_folder):
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*")}
    train_in(finished, tiny_profile(model_folder, evaluation__every=3))
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("*")} == before


def test_another_seed_makes_another_run(finished, model_folder, tmp_path):
    other = train_in(tmp_path / "other", tiny_profile(model_folder, train__steps=1), seed=1)
    assert read_lines(other / "proposals.jsonl")[0] != read_lines(finished / "proposals.jsonl")[0]


KILLED = """
import os, signal, sys
from pathlib import Path
import torch
from transformers import TrainerState
from azr.training import run
from training.tiny import LenientStyle, tiny_profile

torch.set_num_threads(1)
run.load_style = lambda *_: LenientStyle()
save = TrainerState.save_to_json

def killed(state, path):
    if "checkpoint-4" in path:  # the weights of this checkpoint are there, half of its state is
        Path(path).write_text('{"global_step": 4, "stateful_')
        os.kill(os.getpid(), signal.SIGKILL)
    save(state, path)

TrainerState.save_to_json = killed
run.train("selfplay", tiny_profile(sys.argv[1], train__steps=6), 0, Path(sys.argv[2]))
"""


def test_a_run_killed_while_it_saves_ends_as_an_unbroken_one(model_folder, tmp_path):
    folder = tmp_path / "killed"
    write_seeds(folder)
    tests = Path(__file__).resolve().parents[1]
    command = [sys.executable, "-c", KILLED, str(model_folder), str(folder)]
    done = subprocess.run(command, cwd=tests, capture_output=True, text=True)
    assert done.returncode == -9, done.stderr
    assert [row["step"] for row in read_lines(folder / "log.jsonl")] == [1, 2, 3, 4]
    assert last_checkpoint(folder / "checkpoints").name == "checkpoint-2"
    with (folder / "log.jsonl").open("a") as stream:
        stream.write('{"step": 5, "ta')  # a line that was cut off
    profile = tiny_profile(model_folder, train__steps=6)
    train_in(folder, profile)
    assert not list(tmp_path.glob("killed.old-*"))
    assert results(folder) == results(train_in(tmp_path / "unbroken", profile))


def full_at(step: int, call):
    """``call`` on a disk that is full from a step on: half of what was to be written is there."""

    def writes(state, path):
        if f"checkpoint-{step}" in str(path):
            Path(path).write_text('{"global_step"')
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return call(state, path)

    return writes


def test_a_run_whose_disk_is_full_says_so_and_goes_on_when_there_is_room(finished, model_folder, tmp_path, monkeypatch):
    folder, profile = tmp_path / "run", tiny_profile(model_folder, evaluation__every=3)
    with monkeypatch.context() as patch:
        patch.setattr(TrainerState, "save_to_json", full_at(4, TrainerState.save_to_json))
        with pytest.raises(UserError, match=r"No space left on device.*make room"):
            train_in(folder, profile)
    assert last_checkpoint(folder / "checkpoints").name == "checkpoint-2"
    assert results(train_in(folder, profile)) == results(finished)


def test_a_run_that_lost_its_record_or_is_in_use_is_refused_and_left_alone(finished, model_folder, tmp_path):
    folder = broken_off(finished, tmp_path / "run", last=2)
    before = sorted(folder.rglob("[!.]*"))
    for changes in ({}, {"train__steps": 1}):  # to go on, and to make room for another
        with alone(folder), pytest.raises(UserError, match="in use by another process"):
            train_in(folder, tiny_profile(model_folder, evaluation__every=3, **changes))
        assert sorted(folder.rglob("[!.]*")) == before
    lost = tmp_path / "lost"
    shutil.copytree(finished, lost)
    (lost / "run.json").unlink()
    with pytest.raises(UserError, match=r"has lost its run.json: restore it"):
        train_in(lost, tiny_profile(model_folder, evaluation__every=3))
    assert not (lost / "run.json").exists()


def test_a_run_with_other_settings_is_kept_beside_the_new_one(finished, model_folder, tmp_path, capsys):
    folder = tmp_path / "run"
    shutil.copytree(finished, folder)
    train_in(folder, tiny_profile(model_folder, train__steps=1))
    (old,) = tmp_path.glob("run.old-*")
    assert results(old) == results(finished)
    assert len(read_lines(folder / "log.jsonl")) == 1
    line = capsys.readouterr().out.splitlines()[0]
    assert "train.steps" in line
    assert old.name in line


@pytest.mark.parametrize(
    ("arm", "changes"),
    [
        ("rlvr", {"problems__train": "typo.jsonl"}),
        ("rlvr", {"model__prompt_style": "paper-chat"}),  # the model has no chat template
        ("rlvr", {"rollout__max_new_tokens": 600}),  # its context has 512
        ("sft", {"problems__train": "answers.jsonl"}),  # without worked ones
        ("selfplay", {"model__name": "typo/"}),
    ],
)
def test_what_is_refused_leaves_every_run_where_it_was(arm, changes, model_folder, tmp_path, monkeypatch):
    monkeypatch.undo()  # prompt styles are the library's own
    monkeypatch.chdir(tmp_path)
    Path("answers.jsonl").write_text('{"question": "What is 2 + 3?", "answer": "5"}')
    Path("typo").mkdir()
    write_json(tmp_path / "run" / "run.json", {"fingerprint": "another", "settings": {}})
    write_json(tmp_path / "run" / "done.json", {})
    before = sorted(tmp_path.rglob("*"))
    for folder in ("run", "new"):
        profile = tiny_profile(model_folder, **changes)
        with pytest.raises(UserError):
            train(arm, arm_profile(arm, profile), 0, tmp_path / folder)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_run_of_an_earlier_version_is_refused_and_stays(model_folder, tmp_path):
    for name in ("config.json", "versions.json"):
        (tmp_path / name).write_text("{}")
    with pytest.raises(UserError, match="earlier version"):
        train("selfplay", tiny_profile(model_folder), 0, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"config.json", "versions.json"}


def test_a_proposer_reward_of_ones_own_is_used_and_recorded(finished, model_folder, tmp_path):
    def halves(rate):
        return np.full(len(rate), 0.5)

    folder = train_in(tmp_path / "own", tiny_profile(model_folder, train__steps=1), proposer_reward=halves)
    rewards = {row["reward"] for row in read_lines(folder / "proposals.jsonl")}
    assert rewards == {0.5, -1}
    assert "np.full" in Run(folder).record["proposer_reward"]
    train_in(folder, tiny_profile(model_folder, train__steps=1))  # the profile's reward: another run
    assert len(list(tmp_path.glob("own.old-*"))) == 1


@pytest.mark.parametrize(
    ("reward", "said"),
    [
        (eval("lambda rate: rate"), "named function"),
        (partial(np.multiply, 2), "named function"),
        (lambda rate: 1 / rate - 1 / rate, "finite"),
        (lambda rate: rate.mean(), "for each"),
        (lambda rate: rate[1:], "for each"),
        (lambda rate: None, "for each"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
def test_a_reward_that_cannot_be_told_or_paid_is_refused_at_once(reward, said, model_folder, tmp_path):
    with pytest.raises(UserError, match=said):
        train("selfplay", tiny_profile(model_folder), 0, tmp_path / "own", proposer_reward=reward)
    assert not (tmp_path / "own").exists()


def test_full_fine_tuning_writes_a_model(model_folder, tmp_path):
    folder = train_in(tmp_path / "full", tiny_profile(model_folder, model__full=True, train__steps=1))
    assert not (folder / "adapter").exists()
    before, after = (load_file(path / "model.safetensors") for path in (model_folder, folder / "model"))
    assert before.keys() == after.keys()
    assert any(not torch.equal(before[name], after[name]) for name in before)
    assert (folder / "model" / "tokenizer.json").exists()


def test_arms_with_the_same_model_and_seed_share_their_seeds(model_folder, tmp_path):
    profile = tiny_profile(model_folder, train__steps=1)
    folders = [tmp_path / f"{arm}-seed0" for arm in ("selfplay", "frozen")]
    for folder in folders:
        arm, _, _ = folder.name.partition("-")
        train(arm, arm_profile(arm, profile), 0, folder)
    (shared,) = tmp_path.glob("seeds-*.jsonl")
    assert {(folder / "seeds.jsonl").read_text() for folder in folders} == {shared.read_text()}


def test_a_run_starts_from_seed_files(model_folder, tmp_path, capsys):
    pairs, problems = tmp_path / "pairs.jsonl", tmp_path / "problems.jsonl"
    program = "def f(x):\n    return x + 1"
    pairs.write_text(json.dumps({"snippet": program, "input": "1", "output": "2"}))
    problem = {"snippet": program, "inputs": ["1", "2"], "outputs": ["2", "3"], "message": "one more"}
    problems.write_text(json.dumps(problem))
    profile = tiny_profile(model_folder, train__steps=1)
    with pytest.raises(UserError, match="no induction task"):
        train("selfplay", profile, 0, tmp_path / "run", [pairs])
    assert not (tmp_path / "run").exists()
    train("selfplay", profile, 0, tmp_path / "run", [pairs, problems])
    assert "1 deduction, 1 abduction" in capsys.readouterr().out
    seeds = read_lines(tmp_path / "run" / "seeds.jsonl")
    assert sorted((row["type"], row["inputs"], row["step"]) for row in seeds) == [
        ("abduction", ["1"], 0),
        ("deduction", ["1"], 0),
        ("induction", ["1", "2"], 0),
    ]
    assert Run(tmp_path / "run").record["seed_files"] == ["pairs.jsonl", "problems.jsonl"]


def test_running_out_of_memory_names_two_settings(model_folder, tmp_path, monkeypatch):
    def full(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")

    monkeypatch.setattr(run.SelfPlayTrainer, "train", full)
    with pytest.raises(UserError, match=r"rollout.chunk \(256 .* train.micro_batch \(4 "):
        train_in(tmp_path / "run", tiny_profile(model_folder))


@pytest.mark.parametrize("changes", [{"engine__name": "vllm"}, {"engine__report_to": "wandb"}])
def test_what_is_not_installed_is_said_before_anything_is_made(model_folder, tmp_path, changes):
    with pytest.raises(UserError, match="leave it off"):
        train("selfplay", tiny_profile(model_folder, **changes), 0, tmp_path / "run")
    assert not (tmp_path / "run").exists()
