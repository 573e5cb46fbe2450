"""``azr train``: its options, what it refuses, and one small run from the command line."""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import pytest

from azr import cli
from azr.config import load_profile
from azr.errors import UserError
from azr.paths import run_folder
from azr.training.cli import add_arguments, chosen_profile

from .tiny import write_seeds


def profile_of(*options: str):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return chosen_profile(parser.parse_args(["selfplay", *options]))


def test_options_change_the_profile():
    profile = profile_of(
        "--profile=smoke", "--model=micro", "--set=train.steps=2", "--set=train.learning_rate=1e-4", "--set=threads=2"
    )
    assert (profile.model.name, profile.train.steps, profile.train.learning_rate) == ("micro", 2, 1e-4)
    assert profile_of("--profile=smoke") == load_profile("smoke")


REFUSED = (
    "threads=0", "seeds=-2", "model.lora_rank=0", "model.lora_alpha=-4", "model.prompt_style=foo",
    "rollout.seed_factor=-1", "rollout.temperature=0", "rollout.temperature=-1", "rollout.chunk=0",
    "train.learning_rate=-1", "train.learning_rate=nan", "train.max_grad_norm=-1", "train.validate_every=-1",
    "evaluation.validation_problems=0", "evaluation.curriculum_samples=0",
)  # fmt: skip


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["selfpaly"], "no arm 'selfpaly'; choose one of sft, rlvr, selfplay"),
        (["selfplay", "--profile", "huge"], "no profile 'huge'; choose one of"),
        (["selfplay", "--set", "train.steps"], "write it as NAME=VALUE"),
        (["selfplay", "--set", "train.stepps=3"], "no setting 'train.stepps'"),
        (["selfplay", "--set", "train.steps=many"], "cannot be 'many'"),
        (["selfplay", "--proposer-reward", "gold"], "no proposer reward 'gold'; choose one of learnability"),
        (["selfplay", "--max-steps", "0"], "train.steps is 0; it must be at least 1"),
        (["selfplay", "--set", "rollout.batch=3"], "an even number"),
        (["selfplay", "--set", "train.micro_batch=0"], "train.micro_batch is 0; it must be at least 1"),
        (["selfplay", "--set", "rollout.rollouts=0"], "rollout.rollouts is 0"),
        (["selfplay", "--set", "evaluation.samples=0"], "evaluation.samples is 0"),
        (["selfplay", "--set", "model.dtype=float99"], "choose float32 or bfloat16"),
        (["selfplay", "--set", "train.advantage_by=word"], "choose token or sequence"),
        (["selfplay", "--set", "train=5"], "'train' is a section"),
        (["selfplay", "--seed-file", "none.jsonl"], "There is no seed file none.jsonl"),
        (["rlvr", "--seed-file", "none.jsonl"], "rlvr proposes nothing: leave it out"),
        (["selfplay", "--profile", "smoke", "--set", "train.micro_batch=7"], "7 does not divide the 48 rows"),
        (["selfplay", "--profile", "../profiles/laptop"], "no profile '../profiles/laptop'; choose one of"),
        (["selfplay", "--set", "train.steps=["], "The value in --set train.steps=[ cannot be read"),
        (["selfplay", "--set", "train.steps=2020-13-45"], "cannot be read: give a number, a word or true"),
        *[(["selfplay", "--set", text], f"{text.partition('=')[0]} is ") for text in REFUSED],
        (["selfplay", "--seed", "-1"], "--seed is -1; give a number from 0 to 40000"),
        (["selfplay", "--seed", "4294967296"], "--seed is 4294967296; give a number"),
    ],
)
def test_mistakes_are_named_before_anything_is_made(options, said, tmp_path, capsys):
    assert cli.main(["train", *options, "--out", str(tmp_path / "run")]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "is no run's: choose another folder by --out"),
        ('{"method": "selfplay", "fing', "config.json is damaged: restore it, or move the run's folder away"),
        ('{"fingerprint": "abc"}', "config.json is damaged: restore it, or move the run's folder away"),
    ],
)
def test_a_folder_that_holds_something_else_is_left_alone(model_folder, tmp_path, capsys, text, said):
    folder = tmp_path / "out"
    shutil.copytree(model_folder, folder)
    if text:
        (folder / "config.json").write_text(text)
    before = {file: file.read_bytes() for file in folder.iterdir()}
    assert cli.main(["train", "selfplay", "--profile", "smoke", "--model", "nano", "--out", str(folder)]) == 2
    printed = capsys.readouterr()
    assert said in printed.err
    assert (printed.err.count("\n"), printed.out) == (1, "")
    assert {file: file.read_bytes() for file in folder.iterdir()} == before
    assert list(tmp_path.iterdir()) == [folder]


def test_the_help_says_where_a_run_goes(capsys):
    with pytest.raises(SystemExit):
        cli.main(["train", "--help"])
    default = run_folder(Path("runs"), "PROFILE", "MODEL", "ARM", 0).as_posix().replace("seed0", "seedN")
    assert f"(default: {default})" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--seed", "-1"], "--seed is -1"),
        (["--profile", "../profiles/laptop"], "no profile '../profiles/laptop'"),
        (["--set", "model.lora_rank=0"], "model.lora_rank is 0"),
        (["--set", "model.prompt_style=foo"], "choose compact or paper"),
        (["--set", "model.four_bit=true"], "leave model.four_bit off"),
        (["--set", "rollout.temperature=0"], "rollout.temperature is 0.0; it must be more than 0"),
        (["--set", "evaluation.validation_problems=0"], "evaluation.validation_problems is 0"),
        (["--seed-file", "pairs.jsonl"], "no induction task that stands"),
        (["--seed-file", "broken.jsonl"], "holds no seed"),
    ],
)
def test_a_refused_command_leaves_a_finished_run_where_and_as_it_is(
    options, said, model_folder, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    pair = {"snippet": "def f(x):\n    return x", "input": "1", "output": "1"}
    (tmp_path / "pairs.jsonl").write_text(json.dumps(pair))
    (tmp_path / "broken.jsonl").write_text("no seed")
    folder = tmp_path / "runs" / "smoke" / "model" / "selfplay-seed0"
    write_seeds(folder)
    of_run = {"method": "selfplay", "seed": 0, "profile": {"name": "smoke"}}
    for name in ("config.json", "done.json"):
        (folder / name).write_text(json.dumps({"fingerprint": "of other settings"} | of_run))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    everything = set(tmp_path.rglob("*"))
    known = ["--profile", "smoke", "--model", str(model_folder), "--runs", str(tmp_path / "runs")]
    assert cli.main(["train", "selfplay", *known, *options]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1
    assert set(tmp_path.rglob("*")) == everything
    assert {path: path.read_bytes() for path in before} == before


def test_a_run_from_the_command_line(model_folder, tmp_path, capsys):
    folder = tmp_path / "run"
    write_seeds(folder)
    sizes = ["rollout.batch=2", "rollout.rollouts=2", "rollout.max_new_tokens=8", "train.micro_batch=6"]
    options = ["--profile", "smoke", "--model", str(model_folder), "--max-steps", "1", "--proposer-reward", "half"]
    options += [f"--set={text}" for text in (*sizes, "train.validate_every=0")]
    assert cli.main(["train", "selfplay", *options, "--freeze-proposer", "--seed", "3", "--out", str(folder)]) == 0
    assert f"trained: {folder}" in capsys.readouterr().out
    config = json.loads((folder / "config.json").read_text())
    assert (config["seed"], config["profile"]["train"]["proposer_reward"]) == (3, "half")
    assert config["profile"]["train"]["proposer"] == "frozen"
    assert (folder / "done.json").exists()


def test_a_model_that_cannot_propose_is_named_as_the_reason(model_folder, tmp_path, monkeypatch):
    from azr import selfplay
    from azr.training.run import train

    monkeypatch.setattr(selfplay, "MAX_SEEDING_ROUNDS", 2)
    from .tiny import tiny_profile

    with pytest.raises(UserError, match=r"found only 1 valid deduction tasks .* take another model"):
        train("selfplay", tiny_profile(model_folder, rollout__max_new_tokens=4), 0, tmp_path / "run")
    assert not (tmp_path / "run" / "seeds.jsonl").exists()
