"""The notebook runner and the report, on notebooks of a few lines; and what every committed notebook must be."""

import argparse
import ast
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from azr import notebooks, report
from azr.errors import UserError
from azr.notebooks import Echo, Record, Settings
from azr.paths import profile_names

ROOT = Path(__file__).resolve().parent.parent
COMMITTED = sorted((ROOT / "notebooks").glob("*.ipynb"))
DRAW = """from pathlib import Path
Path(figures).mkdir(parents=True, exist_ok=True)
for suffix in ("png", "pdf", "csv"):
    Path(figures, f"fig.{suffix}").write_text(profile)"""


def write(path: Path, *sources: str, figures: tuple[str, ...] = (), seconds: float | None = None) -> Path:
    """A notebook of code cells, the first of which has the parameters; a source that starts with # is prose."""
    cells = [new_markdown_cell(s) if s.startswith("#") else new_code_cell(s) for s in sources]
    next(cell for cell in cells if cell.cell_type == "code").metadata["tags"] = ["parameters"]
    metadata = {"azr": {"figures": list(figures)} | ({"seconds": {"smoke": seconds}} if seconds else {})}
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(new_notebook(cells=cells, metadata=metadata), path)
    return path


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings("smoke", notebooks=tmp_path / "nb", runs=tmp_path / "runs", reference_figures=tmp_path / "figures")


def arguments(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    notebooks.add_arguments(parser)
    return parser.parse_args(words)


def executed(settings: Settings, name: str) -> list:
    return nbformat.read(settings.executed / f"{name}.ipynb", as_version=4).cells


# Choosing


def test_the_numbers_asked_for_come_in_the_notebooks_order_and_once():
    available = {number: Path(number) for number in ("00", "03", "04", "06")}
    assert notebooks.choose(None, available) == ["00", "03", "04", "06"]
    assert notebooks.choose("06, 4,06", available) == ["04", "06"]
    for wrong in ("5", "04,", "x", "004"):
        with pytest.raises(UserError, match="there is no notebook"):
            notebooks.choose(wrong, available)


def test_only_numbered_notebooks_count_and_a_number_is_had_once(tmp_path):
    with pytest.raises(UserError, match="there is no notebook"):
        notebooks.available_notebooks(tmp_path)
    for name in ("04_b.ipynb", "00_a.ipynb", "draft.ipynb", "05_text.md"):
        (tmp_path / name).touch()
    assert list(notebooks.available_notebooks(tmp_path)) == ["00", "04"]
    (tmp_path / "04_again.ipynb").touch()
    with pytest.raises(UserError, match="share a number"):
        notebooks.available_notebooks(tmp_path)


def test_the_usual_profiles_come_smallest_first():
    profiles = profile_names()
    assert profiles[:2] == ["smoke", "laptop"]
    assert set(profiles) == {path.stem for path in (ROOT / "azr" / "profiles").glob("*.yaml")}


# What a notebook takes, and what its result depends on


def test_only_declared_parameters_are_filled_in(settings, tmp_path):
    path = write(tmp_path / "a.ipynb", "# Title", 'profile = "laptop"\nseeds: int = 0\nfigures = "figures"', "runs = 1")
    notebook = json.loads(path.read_text())
    assert notebooks.declared_parameters(notebook) == {"profile", "seeds", "figures"}
    assert notebooks.parameters_for(notebook, settings) == {"profile": "smoke", "figures": str(settings.figures)}
    with_seeds = Settings("laptop", seeds=2, reference_figures=tmp_path)
    assert notebooks.parameters_for(notebook, with_seeds) == {
        "profile": "laptop",
        "seeds": 2,
        "figures": str(tmp_path),  # the default profile's figures are those of the repository
    }


def test_the_fingerprint_changes_with_each_input_and_with_nothing_else(tmp_path, monkeypatch):
    def of(*sources, figures=("fig",), parameters=None, profile=None, seconds=None):
        path = write(tmp_path / "a.ipynb", *sources, figures=figures, seconds=seconds)
        notebook = json.loads(path.read_text())
        return notebooks.fingerprint(notebook, parameters or {"profile": "smoke"}, profile or {"seeds": 2})

    first = of("a = 1", "b = 2")
    others = [
        of("a = 1", "b = 3"),
        of("a = 1", "# b", "b = 2"),
        of("a = 1", "b = 2", figures=()),
        of("a = 1", "b = 2", parameters={"profile": "smoke", "seeds": 3}),
        of("a = 1", "b = 2", profile={"seeds": 3}),
    ]
    assert len({first, *others}) == 6
    assert of("a = 1", "b = 2", seconds=99) == first
    assert of("a = 1", "b = 2", parameters={"profile": "smoke", "jobs": 2}) == first
    run_once = json.loads((tmp_path / "a.ipynb").read_text())
    run_once["cells"][0] |= {"execution_count": 7, "outputs": [{"output_type": "stream", "name": "stdout", "text": ""}]}
    assert notebooks.fingerprint(run_once, {"profile": "smoke"}, {"seeds": 2}) == first
    monkeypatch.setattr(notebooks, "code_hash", lambda: "other code")
    assert of("a = 1", "b = 2") != first


def test_the_code_hash_sees_the_package_and_its_data_but_no_profile(tmp_path, monkeypatch):
    package = tmp_path / "azr"
    (package / "world").mkdir(parents=True)
    (package / "profiles").mkdir()
    monkeypatch.setattr(notebooks, "PACKAGE", package)
    hashes = []
    for name in ("profiles/smoke.yaml", "a.py", "world/weights.bin", "world/__pycache__/a.pyc"):
        (package / name).parent.mkdir(exist_ok=True)
        (package / name).write_text("x")
        hashes.append(notebooks.code_hash.__wrapped__())
    assert hashes[0] != hashes[1] != hashes[2]
    assert hashes[2] == hashes[3]
    (package / "profiles" / "smoke.yaml").write_text("y")
    assert notebooks.code_hash.__wrapped__() == hashes[2]


# Telling how long


def test_a_notebook_is_expected_to_take_what_it_took_then_what_it_says_then_something(tmp_path):
    record = Record(tmp_path / "notebooks.json")
    notebook = json.loads(write(tmp_path / "a.ipynb", "a = 1", seconds=40).read_text())
    assert notebooks.expected_seconds("a", notebook, "smoke", record) == 40
    assert notebooks.expected_seconds("a", notebook, "gpu", record) == notebooks.DEFAULT_SECONDS
    record.complete("a", "print", 12.34)
    record.begin("a")  # it is being run again, and the time of the last run still helps
    again = Record(tmp_path / "notebooks.json")
    assert notebooks.expected_seconds("a", notebook, "smoke", again) == 12.3
    assert again.fingerprint("a") == ""


seconds = st.floats(0.1, 1e4)


@given(st.lists(seconds, min_size=1, max_size=5), st.lists(seconds, max_size=5), st.floats(0.1, 10))
def test_the_rest_is_as_expected_on_the_expected_machine_and_never_beyond_its_speed(past, ahead, factor):
    assert notebooks.rest_seconds([(s, s) for s in past], ahead) == pytest.approx(sum(ahead))
    assert notebooks.rest_seconds([], ahead) == pytest.approx(sum(ahead))
    low, high = sorted([sum(ahead), factor * sum(ahead)])
    rest = notebooks.rest_seconds([(s, factor * s) for s in past], ahead)
    assert low * (1 - 1e-9) <= rest <= high * (1 + 1e-9)


@pytest.mark.parametrize("text", ['{"00_a": {"finger', "[]", '{"00_a": 3}', "null"])
def test_a_record_that_cannot_be_read_is_begun_anew(tmp_path, text):
    (tmp_path / "notebooks.json").write_text(text)
    assert Record(tmp_path / "notebooks.json").rows == {}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def echoed(stream: io.StringIO, *chunks: str) -> str:
    echo = Echo(stream)
    for chunk in chunks:
        echo.write(chunk)
    echo.close()
    return stream.getvalue()


def test_a_notebooks_lines_are_echoed_whole_and_bars_only_to_a_terminal():
    chunks = ("one\ntw", "o\n", "10 %\r", "100 %\rdone\n", "end")
    assert echoed(io.StringIO(), *chunks) == "    | one\n    | two\n    | done\n    | end\n"
    # Each text is as wide as the one it overwrites.
    bars = "    | 10 %\r    | 100 %\r    | done \n"
    assert echoed(Terminal(), *chunks) == f"    | one\n    | two\n{bars}    | end\n"


# Running


def run(settings: Settings, numbers: list[str]) -> int:
    with notebooks.plain_environment():
        return notebooks.run_notebooks(settings, numbers, notebooks.ensure_kernel())


def test_notebooks_run_in_order_and_again_only_where_something_changed(settings, capfd):
    write(settings.notebooks / "00_a.ipynb", 'profile = "x"', 'print("seen:", profile)')
    drawn = write(
        settings.notebooks / "04_b.ipynb", "# Prose", 'profile = ""\nfigures = ""', DRAW, figures=("fig",), seconds=9
    )
    assert run(settings, ["00", "04"]) == 0
    said = capfd.readouterr().out.splitlines()
    assert said[0] == "[1/2] 00_a (0 s, about 39 s left)"
    assert said[1] == "    | seen: smoke"
    assert said[2].startswith("[2/2] 04_b (")
    assert said[3].startswith("Profile smoke: 2 run, 0 already complete")
    assert executed(settings, "00_a")[-1].outputs[0].text == "seen: smoke\n"
    assert {path.name for path in settings.figures.iterdir()} == {"fig.png", "fig.pdf", "fig.csv"}

    assert run(settings, ["00", "04"]) == 0
    assert "Profile smoke: 0 run, 2 already complete" in capfd.readouterr().out

    (settings.figures / "fig.pdf").unlink()
    assert run(settings, ["00", "04"]) == 0
    said = capfd.readouterr().out
    assert "00_a: complete" in said
    assert "[1/1] 04_b" in said
    assert (settings.figures / "fig.pdf").exists()

    # A declared figure that is there from before, but was not drawn this time, is not the notebook's.
    write(drawn, 'profile = ""\nfigures = ""', figures=("fig",))
    assert run(settings, ["04"]) == 1
    assert "did not write fig.png, fig.pdf, fig.csv" in capfd.readouterr().err


def test_a_notebook_that_fails_names_itself_its_cell_and_its_error_and_leaves_its_copy(settings, capfd):
    broken = write(settings.notebooks / "00_bad.ipynb", "# Prose", 'profile = ""', "# More", "a = 0\n1 / a")
    write(settings.notebooks / "01_next.ipynb", "a = 1")
    assert run(settings, ["00", "01"]) == 1
    said = capfd.readouterr()
    assert said.err.splitlines() == [
        "00_bad failed in cell 4 (a = 0):",
        "    ZeroDivisionError: division by zero",
        f"The executed copy is {settings.executed / '00_bad.ipynb'}.",
    ]
    assert "01_next" not in said.out
    assert any(output.output_type == "error" for output in executed(settings, "00_bad")[-1].outputs)

    write(broken, "# Prose", 'profile = ""', "# More", "a = 1\n1 / a")
    assert run(settings, ["00", "01"]) == 0


def test_a_kernel_that_dies_is_a_failure_with_a_name(settings, capfd):
    write(settings.notebooks / "00_dead.ipynb", "a = 1", "import os\nos._exit(1)")
    assert run(settings, ["00"]) == 1
    said = capfd.readouterr().err
    assert said.startswith("00_dead failed in cell 2 (import os):\n    Kernel died")
    assert (settings.executed / "00_dead.ipynb").exists()


def test_an_interrupted_run_exits_with_130_ends_its_kernel_and_continues_later(settings, tmp_path):
    notebooks.ensure_kernel()
    started = tmp_path / "started"
    slow = """import os, time
if not os.path.exists(marker):
    open(marker, "w").write(str(os.getpid()))
    time.sleep(60)"""
    write(settings.notebooks / "00_a.ipynb", "a = 1")
    write(settings.notebooks / "01_slow.ipynb", f"marker = {str(started)!r}", slow)
    driver = (
        "import signal, sys; from pathlib import Path; from azr import cli, notebooks as n\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a suite in the background ignores it
        f"folder = Path({str(tmp_path)!r})\n"
        "settings = n.Settings('smoke', notebooks=folder / 'nb', runs=folder / 'runs')\n"
        "sys.exit(cli.guarded(lambda: n.run_notebooks(settings, ['00', '01'], 'azr')))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", driver], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    while not (started.exists() and started.read_text()):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.strip() == "azr: interrupted; the same command continues from here"
    with pytest.raises(ProcessLookupError):
        os.kill(int(started.read_text()), 0)
    record = Record(settings.folder / "notebooks.json")
    assert record.fingerprint("00_a")
    assert not record.fingerprint("01_slow")
    again = subprocess.run([sys.executable, "-c", driver], capture_output=True, text=True)
    assert again.returncode == 0
    assert "1 run, 1 already complete" in again.stdout


def test_fresh_deletes_this_profiles_folder_once_the_arguments_are_right(settings, monkeypatch):
    write(settings.notebooks / "00_a.ipynb", "a = 1")
    old, other = settings.folder / "old.txt", settings.runs / "laptop" / "kept.txt"
    for file in (old, other):
        file.parent.mkdir(parents=True)
        file.touch()
    monkeypatch.setattr(notebooks, "run_notebooks", lambda settings, numbers, kernel: 0)
    for wrong in (["--profile", "smoke", "--only", "9"], ["--profile", "smoke", "--seeds", "0"]):
        with pytest.raises(UserError):
            notebooks.main(arguments("--fresh", *wrong), settings)
        assert old.exists()
    assert notebooks.main(arguments("--profile", "smoke"), settings) == 0
    assert old.exists()
    (settings.runs / "smoke.yaml").write_text("seeds: -2")
    with monkeypatch.context() as patch:
        patch.setattr("azr.config.PROFILES", settings.runs)
        with pytest.raises(UserError, match="seeds is -2; it must be at least 1"):
            notebooks.main(arguments("--profile", "smoke", "--fresh"), settings)
    assert old.exists()
    assert notebooks.main(arguments("--profile", "smoke", "--fresh"), settings) == 0
    assert not settings.folder.exists()
    assert other.exists()


def test_a_persons_own_settings_do_not_reach_the_notebooks_and_are_there_again_afterwards(monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "Agg")
    monkeypatch.setenv("IPYTHONDIR", "/somewhere")
    with notebooks.plain_environment():
        assert "MPLBACKEND" not in os.environ
        folder = Path(os.environ["IPYTHONDIR"])
        assert list(folder.iterdir()) == []
    assert (os.environ["MPLBACKEND"], os.environ["IPYTHONDIR"]) == ("Agg", "/somewhere")
    assert not folder.exists()


# The report


def test_the_report_holds_every_executed_notebook_and_refers_to_nothing_outside(settings, tmp_path):
    picture = "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()"
    prose = "# First title\nA formula $\\binom{n}{k}$, a price of $5 and $6, code `$x$`.\n\n$$1 - \\frac{c}{n}$$"
    write(
        settings.notebooks / "00_a.ipynb",
        prose,
        'profile = ""',
        picture,
        "import pandas as pd\npd.DataFrame({'a': [1]})",
    )
    write(settings.notebooks / "01_b.ipynb", "# Second & last", "a = 1", "raise ValueError(a)")
    with pytest.raises(UserError, match="no notebook of profile 'smoke' was run"):
        report.write_report(settings, tmp_path / "report.html")
    run(settings, ["00", "01"])
    text = report.write_report(settings, tmp_path / "out" / "report.html").read_text()
    assert '<a href="#00_a">First title</a>' in text
    assert '<a href="#01_b">Second &amp; last</a>' in text
    assert "Not complete: 01_b" in text
    assert "a price of $5 and $6" in text
    assert "<code>$x$</code>" in text
    assert text.count('src="data:image/svg+xml;base64,') == 2
    assert text.count('src="data:image/png;base64,') == 1
    for outside in ("http:", "https:", "<script", "@import", "<link"):
        assert outside not in text


@pytest.mark.parametrize("text", ['{"cells": [', "", "[]", '{"nbformat": 4, "nbformat_minor": 5, "metadata": {}}'])
def test_a_report_names_a_damaged_notebook(settings, tmp_path, text):
    copy = settings.executed / "00_a.ipynb"
    copy.parent.mkdir(parents=True)
    copy.write_text(text)
    with pytest.raises(UserError) as raised:
        report.write_report(settings, tmp_path / "out" / "report.html")
    assert str(raised.value) == f"{copy} is damaged: remove it and run azr run --profile NAME, which makes it anew."
    assert not (tmp_path / "out").exists()


def test_a_report_with_a_damaged_record_shows_its_notebooks_as_incomplete(settings, tmp_path):
    write(settings.executed / "00_a.ipynb", "# First", 'profile = ""')
    (settings.folder / "notebooks.json").write_text("[]")
    assert "Not complete: 00_a" in report.write_report(settings, tmp_path / "report.html").read_text()


def test_a_formula_that_cannot_be_drawn_stays_as_it_was_written():
    assert report.draw_formulas(r"$\begin{x}<$") == r"<code>\begin{x}&lt;</code>"


# The committed notebooks


def problems(path: Path) -> list[str]:
    """What keeps a notebook from being committed."""
    notebook = nbformat.read(path, as_version=4)
    found = []
    tagged = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ())]
    if len(tagged) != 1:
        found.append(f"{len(tagged)} cells tagged parameters")
    for cell in tagged:
        for statement in ast.parse(cell.source).body:
            try:
                ast.literal_eval(statement.value)
            except (AttributeError, ValueError):
                found.append(f"no literal: {ast.unparse(statement)}")
    for number, cell in enumerate(notebook.cells, 1):
        if cell.cell_type == "code":
            lines = cell.source.splitlines()
            if cell.outputs or cell.execution_count is not None:
                found.append(f"cell {number} was run")
            if len(lines) > 15:
                found.append(f"cell {number} has {len(lines)} lines")
            found += [f"cell {number} is too wide: {line}" for line in lines if len(line) > 100]
    return found


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.stem)
def test_a_committed_notebook_is_clean_short_and_has_literal_parameters(path):
    assert problems(path) == []
    assert "profile" in notebooks.declared_parameters(json.loads(path.read_text()))


def test_the_check_of_committed_notebooks_sees_each_fault(tmp_path):
    assert problems(write(tmp_path / "good.ipynb", 'profile = "smoke"\nseeds: int = 0', "a = 1")) == []
    path = write(tmp_path / "bad.ipynb", "n = 2 * 3\nimport os", "\n".join("a" * 16), "b = " + "1" * 97)
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[1].execution_count = 3
    nbformat.write(notebook, path)
    assert problems(path) == [
        "no literal: n = 2 * 3",
        "no literal: import os",
        "cell 2 was run",
        "cell 2 has 16 lines",
        "cell 3 is too wide: b = " + "1" * 97,
    ]
    nbformat.write(new_notebook(cells=[new_code_cell("a = 1")]), path)
    assert problems(path) == ["0 cells tagged parameters"]


def test_a_profile_that_another_process_runs_is_left_to_it(settings):
    with (
        notebooks.alone(settings),
        pytest.raises(UserError, match="being run by another process"),
        notebooks.alone(settings),
    ):
        pass
    with notebooks.alone(settings):  # and is free again afterwards
        pass


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        ({"larger": "micro", "evaluation": {"exact_problems": 6}}, ["a", "a_larger", "b", "b_larger"]),
        ({"evaluation": {"exact_problems": 6}}, ["a", "b"]),
        ({"larger": "micro"}, ["a", "a_larger"]),
        ({}, ["a"]),
    ],
)
def test_figures_that_a_profile_does_not_ask_for_are_not_missed(profile, expected):
    said = {"figures": ["a", "a_larger", "b", "b_larger"], "exact": ["b"]}
    assert notebooks.declared_figures({"metadata": {"azr": said}}, profile) == expected
