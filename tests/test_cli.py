"""The command line: its table, what it says of mistakes, its exit codes; and ``azr doctor``."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from azr import cli, doctor, models
from azr.errors import UserError
from azr.paths import profile_names


@pytest.mark.parametrize("command", cli.COMMANDS, ids=lambda command: command.name)
def test_every_command_of_the_table_is_there_and_has_help(command, capsys):
    module = importlib.import_module(command.module)
    assert callable(module.add_arguments)
    assert callable(module.main)
    with pytest.raises(SystemExit) as stop:
        cli.main([command.name, "--help"])
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    assert f"usage: azr {command.name}" in shown
    assert f"{command.help[1:]}." in shown  # its own capitals, as in AZR and HTML


def test_help_lists_every_command_and_loads_nothing_heavy():
    code = (
        "import sys; from azr import cli\n"
        "try: cli.main(['--help'])\n"
        "finally: print('loaded:', {'torch', 'numpy', 'azr.notebooks', 'azr.doctor'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0
    assert "loaded: set()" in done.stdout
    for command in cli.COMMANDS:
        assert re.search(rf"\n    {command.name}\s", done.stdout)


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ([], "COMMAND"),
        (["fly"], "azr: there is no command 'fly': choose one of doctor, "),
        (["run", "--bogus"], "--bogus"),
        (["run", "--profile", "huge"], "there is no profile 'huge'"),
        (["report", "--profile", "huge"], "there is no profile 'huge'"),
    ],
)
def test_the_users_mistakes_get_one_sentence_and_exit_code_2(argv, said, capsys):
    assert cli.main(argv) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert said in printed.err
    assert printed.err.count("\n") == 1


def raiser(error: BaseException):
    def work() -> int:
        raise error

    return work


def test_exit_codes(capsys):
    assert cli.guarded(lambda: 0) == 0
    assert cli.guarded(raiser(UserError("Do it otherwise."))) == 2
    assert capsys.readouterr().err == "azr: Do it otherwise.\n"
    assert cli.guarded(raiser(KeyboardInterrupt())) == 130


def test_our_mistakes_leave_their_traceback_in_a_file_or_with_azr_debug_come_through(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(cli.tempfile, "tempdir", str(tmp_path))
    monkeypatch.delenv("AZR_DEBUG", raising=False)
    assert cli.guarded(raiser(RuntimeError("no\nluck"))) == 1
    said = capsys.readouterr().err
    (file,) = tmp_path.iterdir()
    assert said.startswith("azr: RuntimeError: no luck (")
    assert str(file) in said
    assert said.count("\n") == 1
    assert "Traceback" in file.read_text()
    assert "raise error\nRuntimeError: no\nluck" in file.read_text()
    monkeypatch.setenv("AZR_DEBUG", "1")
    with pytest.raises(RuntimeError, match="no\nluck"):
        cli.guarded(raiser(RuntimeError("no\nluck")))


def test_the_doctor_tells_what_there_is_and_which_profiles_fit(capsys):
    assert cli.main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    headings = [line.split()[0] for line in lines]
    for heading in ("system", "Python", "packages", "cores", "memory", "disk", "GPU"):
        assert headings.count(heading) >= 1
    assert headings.count("profile") == len(profile_names())
    assert any("smoke: fits" in line for line in lines)


def test_the_doctor_says_what_the_environment_lacks(capsys, monkeypatch):
    monkeypatch.setattr(doctor, "unmet_requirements", lambda extras: ["torch is not installed"])
    assert cli.main(["doctor"]) == 1
    assert capsys.readouterr().out.splitlines()[0] == "missing   torch is not installed"


def test_a_containers_limits_count(tmp_path: Path):
    machine = doctor.memory_bytes(tmp_path / "nothing")
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    (tmp_path / "memory.max").write_text("1048576\n")
    assert doctor.cores(tmp_path) == 0.5
    assert doctor.memory_bytes(tmp_path) == 1048576
    (tmp_path / "cpu.max").write_text("max 100000\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert doctor.cores(tmp_path) == doctor.cores(tmp_path / "nothing") >= 1
    assert doctor.memory_bytes(tmp_path) == machine


def test_the_doctor_knows_the_built_in_models():
    assert doctor.BUILT_IN_MODELS == models.BUILT_IN


@pytest.fixture
def big_model(tmp_path):
    """The configuration of a 3-billion-parameter model, and nothing else of it."""
    from transformers import Qwen2Config

    sizes = {"hidden_size": 2048, "intermediate_size": 11008, "num_hidden_layers": 36, "num_attention_heads": 16}
    Qwen2Config(**sizes, num_key_value_heads=2, tie_word_embeddings=True).save_pretrained(tmp_path / "3b")
    return tmp_path / "3b"


def test_the_doctor_says_whether_a_model_fits_from_its_config_alone(big_model, capsys, monkeypatch):
    monkeypatch.setattr("azr.doctor.memory_bytes", lambda: 24 * 2**30)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert cli.main(["doctor", "--model", str(big_model)]) == 0
    shown = capsys.readouterr().out
    assert "3,085.9 M" in shown
    for part in ("weights", "adapter", "optimizer", "kv cache", "activations", "logits", "peak"):
        assert part in shown
    assert "24.0 GiB: does not fit" in shown
    assert "rollout.chunk=" in shown
    assert cli.main(["doctor", "--model", str(big_model), "--set", "rollout.chunk=16"]) == 0
    assert "24.0 GiB: fits: " in capsys.readouterr().out


def test_the_doctor_tells_full_training_split_over_devices(big_model, capsys):
    assert cli.main(["doctor", "--model", str(big_model), "--profile", "paper", "--full", "--shards", "8"]) == 0
    shown = capsys.readouterr().out
    assert "full training, profile paper, split over 8 devices" in shown
    assert "3,085.94 M" in shown  # trained: all of them


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--model", "nobody/nothing"], "the hub cannot be reached: give a local folder, or connect"),
        (["--model", "nano", "--profile", "hugo"], "no profile 'hugo'"),
        (["--model", "nano", "--shards", "0"], "--shards is 0"),
        (["--model", "nano", "--set", "train.stepps=3"], "no setting 'train.stepps'"),
        (["--full"], "--full goes with --model or --profile: add one of them, or leave --full out"),
        (["--shards", "0"], "--shards goes with --model or --profile"),
        (["--shards", "8"], "--shards goes with --model or --profile"),
        (["--set", "train.steps=3"], "--set goes with --model or --profile"),
    ],
)
def test_the_doctor_names_mistakes(options, said, capsys):
    assert cli.main(["doctor", *options]) == 2
    shown = capsys.readouterr()
    assert said in shown.err
    assert (shown.err.count("\n"), shown.out) == (1, "")
