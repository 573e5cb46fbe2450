"""The study as notebooks use it: frames of what is there, what ``ensure`` says and does, where figures go."""

import pandas as pd
import pytest

from azr import study as study_module
from azr.errors import UserError
from azr.study import open_study
from azr.study.collect import collect, load_frames, save_frames
from study.small import finish, small_jobs, small_profile


def test_frames_hold_what_is_done_with_model_method_and_seed(tmp_path):
    chosen = small_jobs(tmp_path)
    for job in chosen[:-1]:
        finish(job)
    frames = collect(chosen)
    test = frames["test"]
    assert list(test)[:3] == ["model", "method", "seed"]
    found = test[["model", "method", "seed", "step", "sampling_seed"]].drop_duplicates().to_records(index=False)
    base = [("nano", "base", seed, 0, seed) for seed in range(3)]
    assert found.tolist() == [*base, ("nano", "sft", 0, 4, 0), ("nano", "sft", 1, 4, 0), ("nano", "selfplay", 0, 4, 0)]
    assert frames["curriculum"]["method"].unique().tolist() == ["selfplay"]
    assert frames["runs"]["seconds"].tolist() == [7.0] * 3
    log = frames["log"].query("method == 'sft' and seed == 0 and step == 1")
    assert sorted(zip(log["group"], log["quantity"], log["value"], strict=True)) == [
        ("", "loss", 0.5),
        ("deduction/solver", "reward", 1.0),
    ]
    proposals = frames["proposals"]
    assert proposals["statements"].tolist()[:1] == [2]
    assert proposals["fate"].tolist() == ["valid", "no form"]


def test_a_run_of_other_settings_is_left_out(tmp_path):
    for job in small_jobs(tmp_path):
        finish(job)
    assert set(collect(small_jobs(tmp_path, **{"train.proposer_reward": "half"}))["test"]["method"]) == {"base", "sft"}
    frames = collect(small_jobs(tmp_path, **{"evaluation.validation_samples": 9}))
    assert frames["validation"].empty
    assert list(frames["validation"]) == ["model", "method", "seed"]


def test_shipped_frames_read_as_they_were_written_but_for_the_proposals_texts(tmp_path):
    for job in small_jobs(tmp_path / "runs"):
        finish(job)
    frames = collect(small_jobs(tmp_path / "runs"))
    save_frames(frames, tmp_path / "data")
    read = load_frames(tmp_path / "data")
    assert set(read) == set(frames)
    pd.testing.assert_frame_equal(read["test"], frames["test"])
    assert set(frames["proposals"]) - set(read["proposals"]) == {"program", "input"}


@pytest.fixture
def trained(monkeypatch):
    """The jobs that ``ensure`` would train."""
    done = []

    def run_jobs(jobs, side_by_side):
        done.extend(str(job) for job in jobs)
        for job in jobs:
            finish(job)

    monkeypatch.setattr(study_module, "run_jobs", run_jobs)
    return done


def test_ensure_says_what_is_missing_trains_it_and_then_is_silent(tmp_path, trained, capsys):
    study = open_study(small_profile(), runs=tmp_path, jobs=2)
    assert study.frames["test"].empty
    study.ensure(["sft"])
    said = capsys.readouterr().out
    assert said.startswith("5 of 5 runs are missing (nano base, nano sft): about ")
    assert len(trained) == 5
    assert len(study.frames["test"]) == 10
    study.ensure(["selfplay"])
    assert trained[5:] == ["nano selfplay seed 0", "nano selfplay seed 1"]
    capsys.readouterr()
    study.ensure(["sft", "selfplay"])
    assert capsys.readouterr().out == ""


def test_a_notebook_may_choose_model_and_seed(tmp_path):
    study = open_study("smoke", model="someone/model", seed=3, runs=tmp_path)
    assert {job.profile.model.name for job in study.jobs()} == {"someone/model"}
    base = [("base", seed) for seed in (0, 1, 2, 4)]
    assert [(job.arm, job.seed) for job in study.jobs(["sft"])] == [*base, ("sft", 3)]
    assert study.jobs(["sft"])[-1].run.folder == tmp_path / "smoke" / "model" / "sft-seed3"
    with pytest.raises(UserError, match="no arm 'stf'"):
        study.ensure(["stf"])


def test_figures_go_beside_the_runs_unless_the_runner_says_otherwise(tmp_path, monkeypatch):
    monkeypatch.delenv("AZR_FIGURES", raising=False)
    study = open_study("reference", runs=tmp_path)
    assert study.figures == tmp_path / "reference" / "figures"
    study.save_table("table", pd.DataFrame({"a": [1 / 3]}))
    assert (study.figures / "table.csv").read_text() == "a\n0.333333\n"
    monkeypatch.setenv("AZR_FIGURES", str(tmp_path / "figures"))
    assert open_study("reference", runs=tmp_path).figures == tmp_path / "figures"
