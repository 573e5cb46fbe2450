"""The study: its jobs as processes, and the tables that it reads from run folders."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import pandas as pd
import pytest

from azr import config, paths, study
from azr.arms import arm_measures
from azr.config import Profile, load_profile, override
from azr.errors import UserError
from azr.study import Study, gains, jobs_for, open_study
from azr.training.cli import add_profile_arguments, chosen_profile


def test_each_arm_and_seed_is_trained_then_measured_and_the_base_once(tmp_path):
    profile = override(Profile("smoke"), {"seeds": 2, "train.learning_rate": 1e-4, "model.full": True})
    jobs = jobs_for(["sft"], profile, tmp_path)
    of_base = ["nano base test", "nano base validation"]
    assert [job.name for job in jobs] == ["nano sft-seed0", "nano sft-seed1", *of_base]
    train, measure = jobs[1].commands
    assert train[:4] == ("train", "sft", "--seed", "1")
    assert measure[:4] == ("evaluate", str(tmp_path / "smoke" / "nano" / "sft-seed1"), "--split", "test")
    assert jobs[2].commands[0][:4] == ("evaluate", "nano", "--split", "test")


@pytest.mark.parametrize("changes", [{}, {"train.learning_rate": 1e-5, "model.full": True, "rollout.batch": 4}])
def test_a_process_works_on_exactly_the_studys_profile(changes, tmp_path):
    profile = override(load_profile("smoke"), changes | {"evaluation.exact_problems": 0})
    parser = argparse.ArgumentParser()
    add_profile_arguments(parser)
    (measure,) = jobs_for([], profile, tmp_path)[0].commands
    args = parser.parse_args([option for option in measure[2:] if option not in ("--split", "test", "validation")])
    assert chosen_profile(args) == profile
    assert args.runs == tmp_path


@pytest.fixture
def small_study(tmp_path):
    """Two seeds of an arm and the base, with tables of three problems and two steps."""
    profile = override(load_profile("smoke"), {"seeds": 2, "larger": ""})
    runs = tmp_path / "runs"
    for name, right in (("base", 0), ("selfplay-seed0", 1), ("selfplay-seed1", 2)):
        folder = runs / "smoke" / "nano" / name
        folder.mkdir(parents=True)
        rows = [("deduction", f"p{k}", k + 1, 4, right + (k == 0), 9.0) for k in range(3)]
        table = pd.DataFrame(rows, columns=["task_type", "problem", "statements", "n", "c", "length"])
        table.to_csv(folder / "test.csv", index=False)
        if name.startswith("selfplay"):
            group = {"reward": 0.5, "length": 9.0, "entropy_nll": 1.0, "entropy_full": 1.1}
            log = [{"step": step, "groups": {"deduction/solver": group}} for step in (1, 2)]
            (folder / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in log))
            task = {"program": "def f(x): return x", "inputs": ["1"], "outputs": ["1"]}
            fates = [{"step": 1, "fate": "valid", "task": task}, {"step": 2, "fate": "malformed", "task": None}]
            (folder / "proposals.jsonl").write_text("".join(json.dumps(row) + "\n" for row in fates))
    return Study(profile, runs, tmp_path / "figures")


def test_counts_of_all_methods_in_one_table(small_study):
    counts = small_study.counts(["selfplay"])
    assert counts.groupby(["method", "seed"]).c.sum().to_dict() == {
        ("base", 0): 1, ("selfplay", 0): 4, ("selfplay", 1): 7,
    }  # fmt: skip


def test_steps_and_proposals_carry_method_and_seed(small_study):
    steps = small_study.steps(["selfplay"])
    assert steps.groupby(["method", "seed"]).step.apply(list).to_dict() == {
        ("selfplay", 0): [1, 2], ("selfplay", 1): [1, 2],
    }  # fmt: skip
    proposals = small_study.proposals(["selfplay"])
    assert proposals[["seed", "step", "fate"]].values.tolist() == [
        [0, 1, "valid"], [0, 2, "malformed"], [1, 1, "valid"], [1, 2, "malformed"],
    ]  # fmt: skip
    assert proposals.program.dropna().tolist() == ["def f(x): return x"] * 2
    assert proposals.input.isna().tolist() == [False, True, False, True]


def test_gains_pair_methods_with_the_base(small_study):
    (row,) = gains(small_study.counts(["selfplay"]), 1).to_dict("records")
    assert (row["task_type"], row["method"], row["seeds"], row["problems"]) == ("deduction", "selfplay", 2, 3)
    # c of base 1, 0, 0 of 4; of self-play 2, 1, 1 and 3, 2, 2.
    assert row["reference"] == pytest.approx(1 / 12)
    assert row["value"] == pytest.approx(11 / 24)
    assert row["difference"] == pytest.approx(11 / 24 - 2 / 24)
    assert row["low"] <= row["difference"] <= row["high"]


def test_what_is_missing_is_made_by_as_many_processes_as_fit(small_study, monkeypatch):
    made = []
    monkeypatch.setattr(study, "run_jobs", lambda jobs, side_by_side, threads, ended: made.append((jobs, side_by_side)))
    small_study.ensure(["selfplay"])
    Study(small_study.profile, small_study.runs, small_study.figures, jobs=7).ensure([])
    assert [len(jobs) for jobs, _ in made] == [5, 3]
    assert made[0][1] == len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else made[0][1] >= 1
    assert made[1][1] == 7


def test_a_study_from_a_notebooks_parameters(tmp_path):
    opened = open_study("smoke", seeds=5, runs=str(tmp_path))
    assert (opened.profile.seeds, opened.runs) == (5, tmp_path)
    assert opened.figures == tmp_path / "smoke" / "figures"
    assert [folder.name for folder in opened.folders("selfplay")] == [f"selfplay-seed{n}" for n in range(5)]
    assert open_study("smoke", figures="here").figures == Path("here")
    assert "smoke profile" in opened.note


def test_a_study_of_settings_that_no_run_can_have_is_refused(tmp_path, monkeypatch):
    with pytest.raises(UserError, match="seeds is 0; it must be at least 1"):
        open_study("smoke", seeds=0, runs=str(tmp_path))
    (tmp_path / "mine.yaml").write_text("seeds: -2")
    monkeypatch.setattr(config, "PROFILES", tmp_path)
    monkeypatch.setattr(paths, "PROFILES", tmp_path)
    with pytest.raises(UserError, match="seeds is -2; it must be at least 1"):
        open_study("mine", runs=str(tmp_path))
    assert open_study("mine", seeds=1, runs=str(tmp_path)).profile.seeds == 1


def test_what_is_measured_of_an_arm_is_measured_by_the_process_that_trains_it(tmp_path):
    profile = override(load_profile("smoke"), {"seeds": 1})
    run, full, *base = jobs_for(["selfplay", "selfplay-full"], profile, tmp_path)
    folder = str(tmp_path / "smoke" / "nano" / "selfplay-seed0")
    options = ("--split", "test", "--split", "validation", "--exact")
    assert run.commands[1][:7] == ("evaluate", folder, *options)
    assert "--set=evaluation.samples=16" in run.commands[1]
    assert run.commands[2][:2] == ("curriculum", folder)
    measured = [f"{measure}.csv" for measure in arm_measures("selfplay")]
    assert [path.name for path in run.makes] == ["config.json", "done.json", *measured]
    assert [flag for job in base for flag in job.commands[0][2 : job.commands[0].index("--profile")]] == [*options]
    assert len(full.commands) == 1


def test_a_profile_without_exact_problems_measures_none_exactly(tmp_path):
    profile = override(load_profile("smoke"), {"seeds": 1, "evaluation.exact_problems": 0})
    for job in jobs_for(["selfplay"], profile, tmp_path):
        assert "--exact" not in job.commands[0]
    assert not Study(profile, tmp_path, tmp_path).exact


def test_a_larger_model_has_its_own_folders_seeds_and_figures(small_study):
    profile = override(small_study.profile, {"larger": "micro", "larger_seeds": 1})
    nano, micro = Study(profile, small_study.runs, small_study.figures).sizes
    assert (nano.model, nano.profile.seeds, nano.suffix) == ("nano", 2, "")
    assert (micro.model, micro.profile.seeds, micro.suffix) == ("micro", 1, "_larger")
    assert micro.folders("sft") == [small_study.runs / "smoke" / "micro" / "sft-seed0"]
    assert micro.sizes == (micro,)
    assert small_study.sizes == (small_study,)
    micro.save_table(pd.DataFrame({"a": [1]}), "table")
    assert (small_study.figures / "table_larger.csv").exists()


def test_the_larger_models_jobs_start_first(small_study, monkeypatch):
    made = []
    monkeypatch.setattr(study, "run_jobs", lambda jobs, *_: made.extend(job.name for job in jobs))
    profile = override(small_study.profile, {"larger": "micro", "seeds": 1})
    Study(profile, small_study.runs, small_study.figures).ensure(["rlvr"])
    jobs = ["rlvr-seed0", "base test", "base validation", "base exact"]
    assert made == [f"{model} {job}" for model in ("micro", "nano") for job in jobs]


def test_the_larger_model_may_skip_arms(small_study, monkeypatch):
    made = []
    monkeypatch.setattr(study, "run_jobs", lambda jobs, *_: made.extend(job.name for job in jobs))
    profile = override(small_study.profile, {"larger": "micro", "seeds": 1, "larger_skip": "frozen-strict half"})
    opened = Study(profile, small_study.runs, small_study.figures)
    opened.ensure(["frozen-strict", "frozen", "half"])
    assert [name for name in made if "base" not in name] == [
        "micro frozen-seed0", "nano frozen-strict-seed0", "nano frozen-seed0", "nano half-seed0",
    ]  # fmt: skip
    assert [size.arms(["half", "sft"]) for size in opened.sizes] == [["half", "sft"], ["sft"]]
