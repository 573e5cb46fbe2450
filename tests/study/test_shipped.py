"""What ships of the reference study: its figures and claims follow from its measurements, on any machine."""

import re

import nbformat
import pytest

from azr.arms import BASE
from azr.figures.catalogue import FIGURES, draw
from azr.runs import ROOT, file_digest, read_json, write_json
from azr.study import DATA, open_study
from azr.study.claims import claims_table
from azr.study.collect import load_frames
from azr.study.notebooks import shown

SHIPPED = ROOT / "figures"


@pytest.fixture(scope="module")
def frames():
    measured = load_frames(DATA)
    return {name: measured[name] for name in measured} | {"claims": claims_table(measured)}


def test_the_measurements_are_those_of_the_record_and_small():
    for name, digest in read_json(DATA / "record.json", "")["sha256"].items():
        assert file_digest(DATA / f"{name}.parquet") == digest
    assert sum(path.stat().st_size for path in DATA.rglob("*") if path.is_file()) < 20e6


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_redraws_to_the_same_numbers(name, frames):
    _, frame = draw(name, frames)
    numbers = frame.to_csv(index=False, float_format="%.6g", lineterminator="\n")
    assert (SHIPPED / f"{name}.csv").read_text(encoding="utf-8") == numbers


def test_what_ships_is_read_and_not_trained_again(tmp_path, monkeypatch):
    missing = []
    monkeypatch.setattr("azr.study.run_jobs", lambda jobs, _: missing.extend(jobs))
    study = open_study("reference", runs=tmp_path)
    write_json(tmp_path / "reference" / "nano" / "selfplay-seed0" / "run.json", {})  # by azr train: changes nothing
    study.ensure(study.profile.arms)
    assert missing == []
    assert set(study.frames["test"]["method"]) >= {"base", "selfplay"}


def test_the_whole_of_it_ships(frames):
    trained = [(job.model_name, job.arm, job.seed) for job in open_study("reference").jobs() if job.arm != BASE]
    for name in ("runs", "log", "sparsity"):
        there = frames[name][["model", "method", "seed"]].drop_duplicates().itertuples(index=False, name=None)
        assert sorted(there) == sorted(trained), name


def test_the_notebooks_show_the_measurements_that_ship_and_no_path_of_a_machine():
    paths = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
    for path in paths:
        notebook = nbformat.read(path, 4)
        about, text = notebook.metadata.get("azr", {}), path.read_text(encoding="utf-8")
        assert about.get("shown") == shown(notebook), f"{path.name}: azr.study.notebooks.keep_outputs renews it"
        assert not re.search(r"/(root|home|tmp|work)/", text)
    assert sum(path.stat().st_size for path in paths) < 4e6
