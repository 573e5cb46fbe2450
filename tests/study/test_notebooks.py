"""Notebooks run without a browser, and as one page."""

from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from azr.errors import UserError
from azr.study import notebooks
from azr.study.notebooks import NotebookError, choose, run_notebooks
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


@pytest.fixture(autouse=True)
def own_environment(monkeypatch):
    names = ("AZR_FIGURES", "IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "MPLBACKEND", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
    for name in names:
        monkeypatch.setenv(name, "")


def test_notebooks_run_with_the_parameters_they_have_up_to_the_first_that_fails(tmp_path, capsys):
    parameters = new_code_cell('profile = "smoke"\njobs = None', metadata={"tags": ["parameters"]})
    show = "import os\nprint(profile, jobs, os.environ['OMP_NUM_THREADS'], os.environ['AZR_FIGURES'])"
    write(tmp_path / "nb" / "00_good.ipynb", new_markdown_cell("# One"), parameters, new_code_cell(show))
    write(tmp_path / "nb" / "01_bad.ipynb", new_code_cell("1 + 1"), new_code_cell("text = ''\nint(text)"))
    write(tmp_path / "nb" / "02_never.ipynb", new_code_cell("1"))
    runs = tmp_path / "runs"
    with pytest.raises(NotebookError, match=r"01_bad failed at `text = ''`:\nValueError: invalid literal"):
        run_notebooks("laptop", "0,1,2", 3, notebooks=tmp_path / "nb", runs=runs)
    assert f"laptop 3 1 {runs / 'laptop' / 'figures'}" in capsys.readouterr().out
    assert sorted(path.name for path in (runs / "laptop" / "notebooks").iterdir()) == ["00_good.ipynb", "01_bad.ipynb"]


def test_afterwards_it_writes_the_page_and_fresh_moves_runs_away(tmp_path, monkeypatch):
    write(tmp_path / "nb" / "00_one.ipynb", new_markdown_cell("# One"))
    monkeypatch.setattr(notebooks, "execute", lambda path, copy, known, echoed: write(copy, new_markdown_cell("# One")))
    for _ in range(2):
        run_notebooks("smoke", "0", fresh=True, notebooks=tmp_path / "nb", runs=tmp_path / "runs")
    assert (tmp_path / "runs" / "smoke" / "report.html").exists()
    assert len(list((tmp_path / "runs").glob("smoke.old-*"))) == 1


def test_the_page_needs_nothing_from_outside_and_hides_what_the_runner_added(tmp_path):
    picture = new_output("display_data", data={"image/png": PIXEL})
    code = new_code_cell("plot()", outputs=[picture])
    injected = new_code_cell('runs = "/somewhere"', metadata={"tags": ["injected-parameters"]})
    write(tmp_path / "smoke" / "notebooks" / "04_b.ipynb", new_markdown_cell("# Widen or <sharpen>?"), injected, code)
    write(tmp_path / "smoke" / "notebooks" / "01_a.ipynb", new_markdown_cell("text alone"))
    page = write_report("smoke", None, tmp_path).read_text()
    assert page.index("#01_a") < page.index("#04_b")
    assert "Widen or &lt;sharpen&gt;?</a>" in page
    assert PIXEL in page
    assert "/somewhere" not in page
    assert 'src="http' not in page
    assert "<script" not in page
    with pytest.raises(UserError, match="No notebook of profile 'laptop' was run"):
        write_report("laptop", None, tmp_path)
