"""``azr evaluate --exact``: one table a run or model, measured once."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from training.tiny import save_tiny

from azr import cli, models
from azr.exact.bounds import COLUMNS

SMALL = ("evaluation.exact_problems=2", "evaluation.exact_expansions=20", "rollout.max_new_tokens=24")


@pytest.fixture
def nano(tmp_path, monkeypatch):
    """A model of a few thousand weights in place of the built-in one."""
    save_tiny(tmp_path / "checkpoints" / "nano")
    monkeypatch.setattr(models, "CHECKPOINTS", tmp_path / "checkpoints")


def measure(runs, *options) -> int:
    settings = [f"--set={text}" for text in SMALL]
    return cli.main(["evaluate", "nano", "--exact", "--profile", "smoke", "--runs", str(runs), *settings, *options])


def test_a_model_is_measured_once_and_again_when_a_setting_changes(nano, tmp_path, capsys):
    assert measure(tmp_path / "runs") == 0
    (file,) = (tmp_path / "runs").rglob("exact.csv")
    assert f"measured: {file}" in capsys.readouterr().out
    table = pd.read_csv(file)
    assert tuple(table) == COLUMNS
    assert table.task_type.tolist() == ["deduction"] * 2 + ["abduction"] * 2 + ["induction"] * 2
    assert (table.log_lower <= table.log_upper).all()
    assert table.expansions.max() == 20
    record = json.loads(file.with_name("exact.json").read_text())
    assert record["settings"] == {
        "problems": 2, "expansions": 20, "samples": 64, "bound": 1e-3, "max_new_tokens": 24, "temperature": 1.0,
    }  # fmt: skip
    assert "torch" in record["versions"]

    before = file.stat().st_mtime_ns
    assert measure(tmp_path / "runs") == 0
    assert file.stat().st_mtime_ns == before
    whole = file.with_name("exact.json").read_text()
    file.with_name("exact.json").write_text(whole[:50])  # says nothing, so it is measured again
    assert measure(tmp_path / "runs") == 0
    assert file.with_name("exact.json").read_text() == whole
    assert measure(tmp_path / "runs", "--set=evaluation.exact_expansions=10") == 0
    assert pd.read_csv(file).expansions.max() == 10


def test_a_profile_without_exact_problems_is_told_so(nano, tmp_path, capsys):
    assert measure(tmp_path, "--set=evaluation.exact_problems=0") == 2
    assert "measures nothing exactly" in capsys.readouterr().err


def test_exact_and_a_benchmark_exclude_each_other(nano, tmp_path, capsys):
    assert measure(tmp_path, "--benchmark=math500") == 2
    assert "leave out --benchmark, or --exact" in capsys.readouterr().err
