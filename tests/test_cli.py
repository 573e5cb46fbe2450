"""The command line: help at once, mistakes in one sentence, exit codes."""

import subprocess
import sys
from pathlib import Path

import click
import pytest

import azr
from azr import cli
from azr.cli import custom_name, guarded, main
from azr.errors import UserError
from azr.runs import ROOT, Run


def commands(group: click.Group, names=()):
    for name, command in group.commands.items():
        yield [*names, name]
        if isinstance(command, click.Group):
            yield from commands(command, [*names, name])


@pytest.mark.parametrize("words", commands(cli.azr), ids=" ".join)
def test_every_command_has_help(words, capsys):
    assert main([*words, "--help"]) == 0
    assert f"Usage: azr {' '.join(words)}" in capsys.readouterr().out


def test_help_and_refusals_load_nothing_heavy():
    code = (
        "import sys; from azr.cli import main\n"
        "main(['--help']); main(['train', 'selfplay', '--set', 'train.steps=0']); main(['run', '--profile', 'huge'])\n"
        "print('loaded:', {'torch', 'pandas', 'matplotlib', 'scipy', 'transformers'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "loaded: set()"


@pytest.mark.parametrize(
    "words",
    [
        "fly",
        "train",
        "train nonsense",
        "train sft --seed-file README.md",
        "train selfplay --seed-file absent.jsonl",
        "train selfplay --seed-file tests",
        "train selfplay --set train.steps",
        "train selfplay --set train.steps=0",
        "evaluate nano --samples 0",
        "evaluate nano --data README.md",
        "evaluate nano --problems a --problems b --data README.md",
        "evaluate nano --out table.txt",
        "evaluate nano --out nowhere/table.csv",
        "evaluate nano --out tests",
        "evaluate nano --problems world/test --data README.md --limit 1",
        "sparsity nano nano --csv nowhere/table.csv",
        "train selfplay --set train.steps=[",
        "train selfplay --set train.steps={a",
        "train selfplay --set name=foo/../../bar",
        "train selfplay --set models=[]",
        "train selfplay --set seed_files=[absent.jsonl]",
        "train selfplay --out README.md",
        "base build --size nano --out README.md",
        "base build --size nano --out README.md/folder",
        "compare README.md README.md",
        "seeds azr/problems/sums-test.jsonl",
        "run --profile huge",
        "report --bogus",
    ],
)
def test_mistakes_get_one_sentence_and_exit_code_2(words, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert main(words.split()) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert printed.err.startswith("azr: ")


def raiser(error: BaseException):
    def work() -> None:
        raise error

    return work


def test_exit_codes(capsys):
    assert guarded(lambda: None) == 0
    assert guarded(raiser(UserError("Do it otherwise."))) == 2
    assert capsys.readouterr().err == "azr: Do it otherwise.\n"
    assert guarded(raiser(KeyboardInterrupt())) == 130


def test_our_mistakes_keep_their_traceback():
    with pytest.raises(RuntimeError, match="no luck"):
        guarded(raiser(RuntimeError("no luck")))


def test_a_run_with_settings_of_its_own_does_not_take_the_place_of_the_study():
    names = [custom_name("selfplay", changes) for changes in ({}, {"train.steps": 3}, {"train.steps": 4})]
    assert names[0] == "selfplay"
    assert len({*names}) == 3
    assert "/" not in custom_name("sft", {"problems.train": "my/data.jsonl"})
    alike = ("rollout.temperature", "evaluation.temperature", "rollout.max_new_tokens", "evaluation.max_new_tokens")
    assert len({custom_name("selfplay", {name: 1}) for name in alike}) == len(alike)


def test_the_command_and_the_function_train_in_the_same_folder(monkeypatch):
    from azr.training import run

    seen = []

    def trained(arm, profile, seed, folder, *_, **__):
        seen.append((profile, folder))
        return Run(folder)

    monkeypatch.setattr(run, "train", trained)
    main(["train", "rlvr", "--model", "someone/model", "--set", "train.steps=3"])
    azr.train("rlvr", settings={"model.name": "someone/model", "train.steps": 3})
    assert seen[0] == seen[1]
    assert seen[0][0].name == "gpu"
    assert azr.train("rlvr", folder="own").folder == Path("own")
