"""The study as notebooks use it: frames of what is there, what ``ensure`` says and does, where figures go."""

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file
from tables.synthetic import synthetic_study

from azr import study as study_module
from azr.errors import UserError
from azr.figures.catalogue import FIGURES
from azr.metrics import Interval
from azr.study import Study, open_study, said
from azr.study.collect import collect, load_frames, save_frames, save_runs
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
    assert found.tolist() == [*base, ("nano", "sft", 0, 4, 0), ("nano", "selfplay", 0, 4, 0), ("nano", "sft", 1, 4, 0)]
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


def test_of_each_main_arm_one_run_ships_with_its_adapter_in_half_precision(tmp_path):
    jobs = small_jobs(tmp_path / "runs")
    weights = {"a": torch.tensor([[1.0, 1 / 3]])}
    for job in jobs:
        finish(job)
        (job.run.folder / "adapter").mkdir(exist_ok=True)
        save_file(weights, job.run.folder / "adapter" / "adapter_model.safetensors")
        (job.run.folder / "adapter" / "adapter_config.json").write_text('{"base_model_name_or_path": "/home/me/nano"}')
    save_runs(jobs, tmp_path / "data")
    shipped = [job for job in small_jobs(tmp_path / "data") if job.arm != "base" and job.is_trained()]
    assert [str(job) for job in shipped] == ["nano sft seed 0", "nano selfplay seed 0"]
    pd.testing.assert_frame_equal(shipped[1].run.proposals, jobs[4].run.proposals)
    half = load_file(shipped[1].run.weights / "adapter_model.safetensors")
    assert half["a"].dtype == torch.float16
    assert torch.allclose(half["a"].float(), weights["a"], rtol=1e-3)
    assert "home" not in (shipped[1].run.weights / "adapter_config.json").read_text()


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


def test_an_interval_is_written_the_same_way_everywhere():
    assert said(Interval(0.5, 0.25, 0.75, 0.1)) == "+0.500 [+0.250, +0.750]"
    assert said(pd.Series({"estimate": 0.5, "low": 0.25, "high": 0.75}), ".0%") == "50% [25%, 75%]"
    assert said(Interval(0.5, float("nan"), float("nan"), float("nan"))) == "+0.500"
    assert said(Interval(*[float("nan")] * 4)) == ""


def study_of(frames, reference, profile, folder) -> Study:
    """A study that has measured ``frames``."""
    study = open_study(profile, runs=folder)
    study.frames, study.reference = frames, reference
    return study


@pytest.fixture(scope="module")
def measured() -> dict[str, pd.DataFrame]:
    return synthetic_study(seeds=3, problems=8, models=("nano",))


def test_a_figure_is_saved_with_its_numbers_and_read_in_a_sentence(measured, tmp_path, capsys):
    study = study_of(measured, None, "laptop", tmp_path)
    frame = study.show("fig01_sft")
    assert {path.suffix for path in study.figures.glob("fig01_sft.*")} == {".png", ".pdf", ".csv"}
    last = frame.query("method == 'sft' and quantity == 'pass@1' and group == 'all'").sort_values("step").iloc[-1]
    assert f"nano, pass@1 (test): SFT − base: {said(last)}" in capsys.readouterr().out
    assert len(study.show("fig09_claims")) == len(study.claims)
    assert "**nano** (3 training seeds" in capsys.readouterr().out


def test_the_smoke_profile_gives_no_verdicts_and_says_so_in_every_figure(measured, tmp_path, capsys):
    study = study_of(measured, measured, "smoke", tmp_path)
    assert set(study.show("fig09_claims")["verdict"]) == {""}
    assert "A check of the pipeline, not a result." in capsys.readouterr().out


def test_what_was_not_trained_here_is_shown_from_the_reference_study(measured, tmp_path, capsys):
    base = {name: frame[frame["method"] == "base"] for name, frame in measured.items()}
    trained_here = study_of(measured, base, "laptop", tmp_path)
    nothing_trained = study_of(base, measured, "laptop", tmp_path)
    for figure in FIGURES:
        assert trained_here.frames_of(figure) is measured, figure
        assert nothing_trained.frames_of(figure) is (base if figure == "fig00_base" else measured), figure
    assert study_of(base, None, "laptop", tmp_path).show("fig03_selfplay").empty
    assert "too few" in capsys.readouterr().out
