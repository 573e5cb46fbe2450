"""Notebooks run without a browser, and as one page."""

import base64
import os
import re
import tempfile
import time
from pathlib import Path

import nbformat
import pytest
from bs4 import BeautifulSoup
from jupyter_client import KernelManager
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from tables.synthetic import synthetic_study

import azr
from azr.errors import FailedError, Stopped, UserError
from azr.runs import ROOT
from azr.study import Study, notebooks, open_study
from azr.study.claims import CLAIMS, claims_table
from azr.study.notebooks import choose, execute, keep_outputs, left_out, run_notebooks, shown
from azr.study.report import write_report

KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def write(path: Path, *cells) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(new_notebook(cells=list(cells), metadata={"kernelspec": KERNEL}), path)


def test_numbers_choose_notebooks_in_their_order():
    available = {number: Path(f"{number}_x.ipynb") for number in ("00", "03", "04")}
    assert choose(None, available) == list(available.values())
    assert choose("4, 00", available) == [available["00"], available["04"]]
    with pytest.raises(UserError, match="no notebook '99'"):
        choose("4,99", available)


def test_every_notebook_names_the_kernel_that_is_always_there():
    kernels = {nbformat.read(path, 4).metadata.kernelspec.name for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert kernels == {"python3"}


@pytest.fixture(autouse=True)
def own_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    for name in ("AZR_FIGURES", "JUPYTER_RUNTIME_DIR", "MPLBACKEND", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(name, "")


def test_notebooks_run_with_the_parameters_they_have_up_to_the_first_that_fails(tmp_path, capsys):
    parameters = new_code_cell('profile = "smoke"\njobs = None', metadata={"tags": ["parameters"]})
    show = "import os\nprint(profile, jobs, os.environ['OMP_NUM_THREADS'], os.environ['AZR_FIGURES'])"
    write(tmp_path / "nb" / "00_good.ipynb", new_markdown_cell("# One"), parameters, new_code_cell(show))
    write(tmp_path / "nb" / "01_bad.ipynb", new_code_cell("1 + 1"), new_code_cell("text = ''\nint(text)"))
    write(tmp_path / "nb" / "02_never.ipynb", new_code_cell("1"))
    runs = tmp_path / "runs"
    with pytest.raises(FailedError, match=r"01_bad failed at `text = ''`:\nValueError: invalid literal"):
        run_notebooks("laptop", "0,1,2", 3, notebooks=tmp_path / "nb", runs=runs)
    assert f"laptop 3 1 {runs / 'laptop' / 'figures'}" in capsys.readouterr().out
    assert sorted(path.name for path in (runs / "laptop" / "notebooks").iterdir()) == ["00_good.ipynb", "01_bad.ipynb"]


def test_a_kernel_works_in_the_checkout_and_ends_with_its_notebook(tmp_path):
    path = tmp_path / "nb" / "00_one.ipynb"
    write(path, new_code_cell("import os\nprint(os.getpid(), os.getcwd())"))
    execute(path, tmp_path / "own" / "notebooks" / path.name, {}, echoed=False)
    copy = nbformat.read(tmp_path / "own" / "notebooks" / path.name, 4)
    pid, folder = copy.cells[0].outputs[0].text.split()
    assert Path(folder) == ROOT
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)
    write(path, new_code_cell("import os\nos._exit(3)"))
    with pytest.raises(FailedError, match=r"00_one failed: Kernel died"):
        execute(path, tmp_path / "own" / "notebooks" / path.name, {}, echoed=False)


def test_a_study_without_self_play_or_training_leaves_out_the_notebooks_that_need_it(tmp_path, monkeypatch):
    paths = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
    assert left_out(paths, open_study("smoke", runs=tmp_path)) == []
    without = left_out(paths, open_study("real", runs=tmp_path))
    assert [path.name[:2] for path in without] == ["03", "05", "08", "09", "10", "11"]
    monkeypatch.setattr(Study, "ships", True)
    assert [path.name[:2] for path in left_out(paths, open_study("smoke", runs=tmp_path))] == ["11"]


def test_outputs_are_kept_with_the_notebook_once_and_without_paths(tmp_path):
    (tmp_path / "nb").mkdir()
    code = new_code_cell("1 + 1")
    own = tmp_path / "nb" / "00_one.ipynb"
    write(own, new_markdown_cell("# One"), code)
    said = new_output("stream", name="stdout", text=f"2 {tmp_path}/runs/a\n")
    injected = new_code_cell("x = 1", metadata={"tags": ["injected-parameters"]})
    done = new_code_cell("1 + 1", id=code.id, outputs=[said], execution_count=3)
    write(tmp_path / "copies" / own.name, new_markdown_cell("# One"), injected, done)
    keep_outputs(tmp_path / "copies", tmp_path / "nb", tmp_path / "runs")
    kept = nbformat.read(own, 4)
    assert [cell.source for cell in kept.cells] == ["# One", "1 + 1"]
    assert kept.cells[1].outputs[0].text == "2 runs/a\n"
    assert kept.metadata.azr.shown == shown(kept)
    write(tmp_path / "copies" / own.name, new_code_cell("1 + 1", id=code.id))
    keep_outputs(tmp_path / "copies", tmp_path / "nb", tmp_path / "runs")
    assert nbformat.read(own, 4) == kept


def test_afterwards_it_writes_the_page_and_fresh_moves_runs_away(tmp_path, monkeypatch):
    write(tmp_path / "nb" / "00_one.ipynb", new_markdown_cell("# One"))
    monkeypatch.setattr(notebooks, "execute", lambda path, copy, *_: write(copy, new_markdown_cell("# One")))
    monkeypatch.setattr(Study, "ensure", lambda *_: None)
    for _ in range(2):
        run_notebooks("smoke", fresh=True, notebooks=tmp_path / "nb", runs=tmp_path / "runs")
    assert (tmp_path / "runs" / "smoke" / "report.html").exists()
    assert len(list((tmp_path / "runs").glob("smoke.old-*"))) == 1


def test_fresh_trains_the_reference_study_again_and_the_next_call_goes_on_with_that(tmp_path, monkeypatch):
    trained = []

    def run_jobs(jobs, _):
        trained.append([str(job) for job in jobs])
        raise Stopped

    monkeypatch.setattr("azr.study.run_jobs", run_jobs)
    for fresh in (True, False, True):
        with pytest.raises(Stopped):
            run_notebooks("reference", fresh=fresh, runs=tmp_path)
    assert trained == 3 * [[str(job) for job in open_study("reference").jobs()]]
    assert not list(tmp_path.glob("reference.old-*"))


CELLS = {
    """
from azr.config import load_profile, override
from azr.study import open_study
models = [{"name": "nano", "seeds": 1, "arms": ["sft"]}]
study = open_study(override(load_profile("smoke"), {"models": models, "train.steps": 500}), runs=RUNS, jobs=1)
study.ensure(["sft"])
""": r"4 of 4 runs are missing \(nano base, nano sft\): about .*, 1 side by side\.\nInterrupt at any time.*\nLoading",
    """
import azr
azr.train("sft", profile="smoke", settings={"train.steps": 500}, folder=RUNS / "own")
""": r"own: 1/500, ",
}
"""Cells that train for long, and what each says before or while it does."""


@pytest.mark.slow
@pytest.mark.parametrize("cell", CELLS, ids=["ensure", "train"])
def test_a_cell_says_what_it_costs_in_one_line_rewritten_and_an_interrupt_is_one_sentence(tmp_path, monkeypatch, cell):
    monkeypatch.delenv("AZR_FIGURES")
    for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "MPLBACKEND", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("JPY_SESSION_NAME", "own.ipynb")  # as JupyterLab has it
    kernel = KernelManager(kernel_name="python3")
    kernel.start_kernel()
    client = kernel.blocking_client()
    client.start_channels()
    client.wait_for_ready(timeout=120)
    client.execute(f"from pathlib import Path; RUNS = Path({str(tmp_path)!r})\n{cell}")
    said, error, stopped = "", None, False
    while error is None:
        message = client.get_iopub_msg(timeout=300)
        said += message["content"].get("text", "")
        if not stopped and re.search(CELLS[cell], said):
            time.sleep(3)
            kernel.interrupt_kernel()
            stopped = True
        error = message["content"] if message["msg_type"] == "error" else None
    client.stop_channels()
    kernel.shutdown_kernel(now=True)
    assert error["traceback"] == ["Stopped. What is done is kept: run the same again to continue."]
    assert all(line.startswith("\r") for line in said.split("\n") if "/500" in line), said


FORMULAS = r"""# Widen or <sharpen>?
Of $n \cdot 2$ samples, `$HOME` is none; see [the world](00_world.ipynb):

$$\frac{1}{2} \le S < \begin{cases} 1 - s & 0 < s \\ 0 \end{cases}$$

| where | $\lvert w \rvert$ |
|---|---|
| here | $2^{-7}$ |
"""


def page_of(tmp_path: Path, profile: str = "smoke", study: Study | None = None) -> tuple[str, BeautifulSoup]:
    """The page of three notebooks with all that a reader should not get, beside a figure of the study."""
    picture = new_output("display_data", data={"image/png": PIXEL})
    said = new_output(
        "stream", text=f"written: {tmp_path}/runs/x.csv, {ROOT}/docs, {tempfile.gettempdir()}/tmp12ab/y\n"
    )
    code = new_code_cell("plot()", outputs=[picture, said])
    given = new_code_cell('profile = "laptop"', metadata={"tags": ["parameters"]})
    injected = new_code_cell(f'runs = "{tmp_path}/runs"', metadata={"tags": ["injected-parameters"]})
    folder = tmp_path / "runs" / profile
    write(folder / "notebooks" / "04_b.ipynb", new_markdown_cell(FORMULAS), given, injected, code)
    write(folder / "notebooks" / "01_a.ipynb", new_markdown_cell("text alone"))
    write(folder / "notebooks" / "00_world.ipynb", new_markdown_cell("# World"))
    (folder / "figures").mkdir()
    (folder / "figures" / "fig04_passk.png").write_bytes(base64.b64decode(PIXEL))
    text = write_report(study or open_study(profile, runs=tmp_path / "runs")).read_text()
    return text, BeautifulSoup(text, "html.parser")


def test_the_page_needs_nothing_from_outside_and_every_link_leads_somewhere(tmp_path):
    text, page = page_of(tmp_path)
    assert not page.find_all(["script", "link", "iframe", "object"])
    assert "url(" not in text
    pictures = [picture["src"] for picture in page.find_all("img")]
    assert [PIXEL in source and source.startswith("data:image/png;base64,") for source in pictures] == [True] * 2
    links = [link["href"] for link in page.find_all("a")]
    assert all(link.startswith("#") and page.find(id=link[1:]) for link in links), links
    assert page.find("section", id="04_b").find("a", string="the world")["href"] == "#00_world"


def test_formulas_are_drawn_by_the_browser_and_code_is_left_alone(tmp_path):
    text, page = page_of(tmp_path)
    assert len(page.find_all("math")) == 4
    assert page.find("math", display="block").find("mfrac")
    assert "$$" not in text
    assert "\\" not in page.get_text()
    assert page.find("code", string="$HOME")


def test_findings_come_first_the_environment_last_code_is_folded_and_no_parameter_or_path_shown(tmp_path):
    text, page = page_of(tmp_path)
    sections = [section["id"] for section in page.find_all("section")]
    assert sections == ["findings", "00_world", "01_a", "04_b", "environment"]
    assert page.find("nav").find("a", string="Widen or <sharpen>?")
    assert page.find("section", id="findings").find("img")
    assert "plot()" in page.find("section", id="04_b").find("details").get_text()
    assert "written: runs/x.csv, docs, y" in page.get_text()
    assert str(tmp_path) not in text
    assert str(ROOT) not in text
    assert 'profile = "laptop"' not in page.get_text()
    assert f"azr: {azr.__version__}" in page.find("section", id="environment").get_text()


def test_the_page_has_the_claims_of_what_was_measured_and_says_where_nothing_was(tmp_path):
    measured = synthetic_study(seeds=3, problems=8, models=("nano",))
    study = open_study("laptop", runs=tmp_path / "runs")
    study.frames, study.reference = measured, None
    study.claims = claims_table(measured, claims=CLAIMS[:2])
    found = page_of(tmp_path, "laptop", study)[1].find("section", id="findings").get_text()
    assert "nano (3 training seeds" in found
    assert "C2" in found
    study.frames = {name: frame[:0] for name, frame in measured.items()}
    write_report(study)
    assert "Self-play was not measured here" in (tmp_path / "runs" / "laptop" / "report.html").read_text()


def test_a_page_of_nothing_is_refused(tmp_path):
    with pytest.raises(UserError, match="No notebook of profile 'laptop' was run"):
        write_report(open_study("laptop", runs=tmp_path))
