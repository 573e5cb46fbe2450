"""Commands as people type them: the examples of README and help run, Ctrl-C and a missing home are no tracebacks."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import nbformat
import pytest

from azr import cli
from azr.runs import ROOT

NEEDS = {
    "azr evaluate MODEL --problems mbpp_plus": "the hub",
    "azr doctor --model Qwen/Qwen2.5-Coder-3B --profile gpu --set model.full=true": "the hub",
    "azr run --profile smoke": "minutes; .ci/run runs it by run_all.sh",
    "azr run --profile smoke --only 04": "minutes; .ci/run runs it by run_all.sh",
}
"""Examples that are not run here, and why."""
STANDS_FOR = {
    "MODEL": "nano",
    "RUN": "runs/smoke/nano/selfplay-seed0",
    "BASE": "nano",
    "TRAINED": "runs/smoke/nano/selfplay-seed0",
    "FILE": "7b_coder_seed_io.jsonl",
}
BEFORE = ["azr train rlvr-full --profile smoke", "azr evaluate nano --profile smoke"]
"""Runs that the examples read."""
SEED = {"snippet": "def f(x):\n    return x + 1", "input": "1", "output": "2"}
DRIVER = """
import json, os, sys
access, os.access = os.access, lambda *_: False
import azr.runs  # of a checkout that may not be written: runs go below the current folder
os.access = access
import azr.config
whole, small = azr.config.load_profile, json.loads(sys.argv[1])
azr.config.load_profile = lambda name: azr.config.override(whole(name), small if name == "smoke" else {})
from azr.cli import main
for words in json.loads(sys.argv[2]):
    code = main(words)
    if code:
        sys.exit(code)
"""
SMALL = {"train.steps": 1, "train.full_steps": 1, "rollout.max_new_tokens": 32}
SMALL |= {f"evaluation.{name}": 2 for name in ("problems", "samples", "final_samples", "validation_problems")}
SMALL |= {f"evaluation.{name}": 2 for name in ("validation_samples", "entropy_prompts", "curriculum_problems")}


def examples() -> list[str]:
    """What README's blocks and the help of every command show, without what is said of it."""
    commands = [cli.azr, *cli.azr.commands.values(), *cli.base.commands.values()]
    texts = [(ROOT / "README.md").read_text(), *(command.help for command in commands)]
    lines = [line for text in texts for line in re.findall(r"^ *(?:Example: )?(azr [^`\n]*)$", text, re.MULTILINE)]
    return list(dict.fromkeys(re.split(r"  +", line)[0] for line in lines))


def started(folder: Path, words: list[list[str]], **changes: object) -> subprocess.Popen:
    """The commands in one process of its own, whose runs go below ``folder``."""
    command = [sys.executable, "-c", DRIVER, json.dumps(SMALL | changes), json.dumps(words)]
    environ = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, cwd=folder, env=environ, stdout=-1, stderr=-1, text=True)


def test_every_command_has_an_example():
    shown = {line.split()[1] for line in examples()}
    assert shown == set(cli.azr.commands) - {"base"}
    assert set(NEEDS) <= set(examples())
    assert all(command.help for command in cli.azr.commands.values() if not isinstance(command, click.Group))


@pytest.mark.slow
def test_every_example_of_readme_and_help_runs(tmp_path):
    (tmp_path / STANDS_FOR["FILE"]).write_text(json.dumps(SEED))
    notebooks = tmp_path / "runs" / "smoke" / "notebooks"
    notebooks.mkdir(parents=True)
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# One")]), notebooks / "00_one.ipynb")
    order = {"train": 0, "evaluate": 1}  # what the others read is made first
    lines = sorted([*BEFORE, *(set(examples()) - set(NEEDS))], key=lambda line: order.get(line.split()[1], 2))
    run = started(tmp_path, [[STANDS_FOR.get(word, word) for word in line.split()[1:]] for line in lines])
    said, wrong = run.communicate(timeout=1200)
    assert run.returncode == 0, f"{said}\n{wrong}"


LONG = {
    "train selfplay --profile smoke": "runs/smoke/nano/selfplay-seed0/log.jsonl",
    "train sft --profile smoke": "runs/smoke/nano/sft-seed0/log.jsonl",
    "evaluate nano --profile smoke": "runs/smoke/nano/base-seed0/measures/*.jsonl",
    "base build --size nano --out built": "built",
    "seeds many.jsonl": "",
}
"""A long command, and the file by which one sees that it is at work."""


@pytest.mark.slow
@pytest.mark.parametrize("words", LONG)
def test_an_interrupt_is_one_sentence_and_exit_code_130(tmp_path, words):
    (tmp_path / "many.jsonl").write_text(json.dumps(SEED | {"snippet": "def f(x):\n    while x: pass"}) + "\n")
    with (tmp_path / "many.jsonl").open("a") as file:
        file.writelines(json.dumps(SEED | {"input": str(i), "output": str(i + 1)}) + "\n" for i in range(200_000))
    more = {"train.steps": 500, "evaluation.problems": 64, "evaluation.samples": 64, "evaluation.final_samples": 64}
    run = started(tmp_path, [words.split()], **more)
    while not (list(tmp_path.glob(LONG[words])) if LONG[words] else time.sleep(15) or True):
        assert run.poll() is None, run.communicate()
        time.sleep(0.1)
    time.sleep(1)
    run.send_signal(signal.SIGINT)
    _, wrong = run.communicate(timeout=60)
    assert run.returncode == 130, wrong
    assert wrong.endswith("\nazr: interrupted; the same command goes on from what is finished\n")
    assert "Traceback" not in wrong


@pytest.mark.slow
def test_nothing_needs_a_home_or_a_network(tmp_path, monkeypatch):
    for name in ("HF_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "MPLCONFIGDIR", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/dev/null")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # nobody listens
    words = ["train sft --profile smoke", "evaluate runs/smoke/nano/sft-seed0", "train sft --model someone/model"]
    run = started(tmp_path, [line.split() for line in words])
    said, wrong = run.communicate(timeout=600)
    assert "measured: " in said, wrong
    assert run.returncode == 2
    assert re.search(r"azr: .*(hub|network|folder|file)[^\n]*\n$", wrong), wrong
    assert "Traceback" not in wrong
