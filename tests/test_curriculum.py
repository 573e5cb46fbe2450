"""``azr curriculum``: proposals spread over the steps, described, and solved again by the untrained model."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
from training.tiny import TOKENIZER, save_tiny, tiny_profile

from azr import cli, sampling
from azr.config import RolloutConfig
from azr.curriculum import COLUMNS, described, solved, spread
from azr.executor import Executor
from azr.prompts.compact import CompactStyle
from azr.sampling import Completion
from azr.tasks import Task, TaskType


def task(program: str, value: int = 3) -> dict:
    return Task(TaskType.DEDUCTION, program, (str(value),), (str(value),)).to_json()


def program(change: str) -> str:
    return f"def f(x):\n    return {change}"


def fate(step: int, text: str | None, task_type: str = "deduction") -> dict:
    return {"step": step, "task_type": task_type, "task": task(text) if text else None}


def test_problems_are_spread_evenly_and_a_step_that_has_fewer_gives_all():
    steps = np.repeat([1, 2, 3, 4], [20, 2, 20, 20])
    chosen = spread(steps, 20, np.random.default_rng(0))
    assert np.bincount(steps[chosen]).tolist() == [0, 6, 2, 6, 6]
    assert (np.diff(chosen) > 0).all()
    assert (spread(steps, 20, np.random.default_rng(0)) == chosen).all()
    assert spread(steps, 1000, np.random.default_rng(0)).tolist() == list(range(62))


def test_a_proposal_repeats_if_the_run_had_its_program_before():
    seeds = [task(program("x"))]
    fates = [
        fate(1, program("x + 1")),
        fate(1, None),
        fate(1, program("x + 1")),
        fate(2, program("x")),
        fate(2, program("x - 1")),
    ]
    table = described(fates, seeds, [0, 2, 3, 4], np.random.default_rng(0))
    assert table.repeats.tolist() == [False, True, True, False]
    assert table.problem.tolist() == [0, 2, 3, 4]
    assert table.input.tolist() == ["3"] * 4
    assert table.operators.tolist() == [1, 1, 0, 1]


def test_novelty_is_the_distance_to_the_nearest_program_of_earlier_steps():
    seeds = [task(program("x"))]
    fates = [fate(1, program("x + 1")), fate(1, program("x + 2")), fate(2, program("x * 5 + 1"))]
    table = described(fates, seeds, [0, 1, 2], np.random.default_rng(0))
    assert table.novelty[0] == table.novelty[1] > 0  # a program of the same step is no reference
    # One seed, so one reference at every step, though there are two programs more before the second.
    assert table.novelty[2] > 0


@pytest.fixture(scope="module")
def executor():
    with Executor(workers=1) as executor:
        yield executor


def test_right_and_cut_off_responses_are_counted_problem_by_problem(executor, monkeypatch):
    tasks = [Task.from_json(task(program("x" + " + 0" * (3 - k)), value=k)) for k in range(3)]
    style, eos = CompactStyle(), TOKENIZER.eos_token_id
    index_of = {style.solve(t): k for k, t in enumerate(tasks)}
    calls = []

    def sample(model, tokenizer, prompts, max_new_tokens, seed, chunk, temperature):
        calls.append(prompts)
        answers = []
        for place, prompt in enumerate(prompts):
            k = index_of[prompt]
            right, ended = place % 4 < k, place % 4 != 3  # of four responses k are right, and the last is cut off
            answers.append(Completion([1], [5] * (k + 1) + [eos] * ended, f"output {k if right else 99}"))
        return answers

    monkeypatch.setattr(sampling, "sample", sample)
    done = []
    table = solved(None, TOKENIZER, style, executor, tasks, 4, RolloutConfig(chunk=8), done.append)
    assert table.n.tolist() == [4, 4, 4]
    assert table.c.tolist() == [0, 1, 2]
    assert table.truncated.tolist() == [0.25, 0.25, 0.25]
    assert table.length.tolist() == [1.75, 2.75, 3.75]
    assert [len(prompts) for prompts in calls] == [8, 4]
    assert done == [1, 2, 3]


@pytest.fixture
def run(tmp_path):
    """The folder of a finished run of self-play."""
    folder = tmp_path / "selfplay-seed0"
    folder.mkdir()
    settings = {"evaluation__curriculum_problems": 3, "evaluation__curriculum_samples": 2}
    profile = asdict(tiny_profile(save_tiny(tmp_path / "model"), **settings))
    config = {"method": "selfplay", "seed": 0, "fingerprint": "abc", "profile": profile}
    fates = [fate(step, program(f"x + {n}")) for step in (1, 2, 3) for n in range(3)]
    fates += [fate(3, None), fate(3, program("x"), "abduction")]
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "seeds.jsonl").write_text(json.dumps(task(program("x"))) + "\n")
    (folder / "proposals.jsonl").write_text("".join(json.dumps(f) + "\n" for f in fates))
    (folder / "done.json").write_text("{}")
    return folder


def test_a_run_is_measured_once_and_again_when_something_changed(run, capsys):
    assert cli.main(["curriculum", str(run)]) == 0
    assert f"measured: {run / 'curriculum.csv'}" in capsys.readouterr().out
    table = pd.read_csv(run / "curriculum.csv")
    assert list(table) == list(COLUMNS)
    assert table.step.tolist() == [1, 2, 3]
    assert set(table.n) == {2}
    assert table.length.between(1, 16).all()
    record = json.loads((run / "curriculum.json").read_text())
    assert record["settings"]["samples"] == 2
    assert record["versions"]
    before = (run / "curriculum.csv").stat().st_mtime_ns
    assert cli.main(["curriculum", str(run)]) == 0
    assert (run / "curriculum.csv").stat().st_mtime_ns == before
    assert cli.main(["curriculum", str(run), "--set", "evaluation.curriculum_problems=2"]) == 0
    assert len(pd.read_csv(run / "curriculum.csv")) == 2


def test_the_solver_is_the_untrained_model_whatever_the_run_made(run, monkeypatch):
    (run / "adapter").mkdir()
    opened = []

    def stop(name, *others):
        opened.append((name, others))
        raise KeyboardInterrupt

    monkeypatch.setattr("azr.models.load_model", stop)
    assert cli.main(["curriculum", str(run)]) == 130
    assert opened == [(str(run.parent / "model"), ("float32",))]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda run: (run / "done.json").unlink(), "is not finished"),
        (lambda run: (run / "config.json").unlink(), "is not the folder of a run"),
        (lambda run: (run / "proposals.jsonl").write_text(json.dumps(fate(1, None)) + "\n"), "No deduction proposal"),
        (
            lambda run: (run / "config.json").write_text('{"fing'),
            "config.json is damaged: restore it, or move the run's",
        ),
        (lambda run: (run / "config.json").write_text('{"fingerprint": "abc"}'), "config.json is damaged"),
        (lambda run: (run / "proposals.jsonl").unlink(), "proposals.jsonl is missing: restore it, or move the run's"),
        (lambda run: (run / "proposals.jsonl").open("a").write('{"ste'), "proposals.jsonl is damaged: restore it"),
        (lambda run: (run / "proposals.jsonl").open("a").write('{"step": 4}'), "proposals.jsonl is damaged"),
        (lambda run: (run / "seeds.jsonl").unlink(), "seeds.jsonl is missing"),
        (lambda run: (run / "seeds.jsonl").write_text("{}"), "seeds.jsonl is damaged"),
    ],
)
def test_what_cannot_be_measured_is_said_in_a_sentence(run, spoil, said, capsys):
    spoil(run)
    before = {file: file.read_bytes() for file in run.iterdir()}
    assert cli.main(["curriculum", str(run)]) == 2
    printed = capsys.readouterr()
    assert said in printed.err
    assert (printed.err.count("\n"), printed.out) == (1, "")
    assert {file: file.read_bytes() for file in run.iterdir()} == before


def test_a_measurement_with_a_damaged_record_is_made_again(run):
    assert cli.main(["curriculum", str(run)]) == 0
    table, record = (run / "curriculum.csv").read_text(), (run / "curriculum.json").read_text()
    (run / "curriculum.json").write_text(record[:50])
    assert cli.main(["curriculum", str(run)]) == 0
    assert ((run / "curriculum.csv").read_text(), (run / "curriculum.json").read_text()) == (table, record)


def test_a_run_without_a_proposer_is_refused(run, capsys):
    config = json.loads((run / "config.json").read_text()) | {"method": "rlvr"}
    (run / "config.json").write_text(json.dumps(config))
    assert cli.main(["curriculum", str(run)]) == 2
    assert "rlvr proposes nothing" in capsys.readouterr().err


@pytest.mark.parametrize(
    "setting",
    ["evaluation.curriculum_samples=-1", "evaluation.curriculum_samples=0", "evaluation.curriculum_problems=-3",
     "evaluation.curriculum_problems=0", "rollout.chunk=0", "threads=0"],
)  # fmt: skip
def test_a_refused_setting_leaves_a_finished_measurement_as_it_is(run, setting, capsys):
    (run / "curriculum.csv").write_text("a finished table")
    (run / "curriculum.json").write_text('{"fingerprint": "of other settings"}')
    before = {path: path.read_bytes() for path in run.iterdir()}
    assert cli.main(["curriculum", str(run), "--set", setting]) == 2
    name, _, value = setting.partition("=")
    assert capsys.readouterr().err == f"azr: {name} is {value}; it must be at least 1.\n"
    assert {path: path.read_bytes() for path in run.iterdir()} == before
