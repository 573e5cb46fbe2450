"""Measuring on the world's problems: right responses are counted, problem by problem, into a table."""

from __future__ import annotations

import json
from dataclasses import asdict

import pandas as pd
import pytest
import torch
from peft import LoraConfig, get_peft_model
from training.tiny import TOKENIZER, save_tiny, tiny_model

from azr import cli, evaluate, models
from azr.config import EvaluationConfig, Profile, RolloutConfig, override
from azr.evaluate import arithmetic_counts, problem_set, solve_counts, validate
from azr.executor import Executor
from azr.metrics import answer_entropy
from azr.prompts.compact import CompactStyle
from azr.sampling import Completion
from azr.tasks import TaskType
from azr.world.problems import arithmetic_problems

STYLE, ROLLOUT = CompactStyle(), RolloutConfig(max_new_tokens=8)
COLUMNS = ["task_type", "problem", "statements", "n", "c", "length", "answer_entropy"]


@pytest.fixture(scope="module")
def executor():
    with Executor(workers=1) as executor:
        yield executor


def gold(task) -> str:
    """A right response to a task."""
    return {
        TaskType.DEDUCTION: f"output {task.output}",
        TaskType.ABDUCTION: f"input {task.input}",
        TaskType.INDUCTION: task.program,
    }[task.type]


def completion(text: str) -> Completion:
    return Completion([1], TOKENIZER(text)["input_ids"], text)


def test_right_answers_are_counted_problem_by_problem(executor, monkeypatch):
    problems = problem_set("validation", 3)
    known = {STYLE.solve(p.task): (gold(p.task), index % 5) for index, p in enumerate(problems)}
    asked = []

    def sample(model, tokenizer, prompts, n, max_new_tokens, seed, chunk, temperature):
        asked.append((n, max_new_tokens, seed, temperature, chunk))
        for i in reversed(range(len(prompts))):  # in whatever order
            right, times = known[prompts[i]]
            yield i, [completion(right)] * times + [completion("output 'no'")] * (n - times)

    monkeypatch.setattr(evaluate, "sample_each", sample)
    done = []
    table = solve_counts(None, TOKENIZER, STYLE, executor, problems, 5, ROLLOUT, seed=4, progress=done.append)
    assert list(table) == COLUMNS
    assert table.c.tolist() == [index % 5 for index in range(9)]
    assert set(table.n) == {5}
    assert table.problem.tolist() == [p.id for p in problems]
    assert table.statements.tolist() == [p.statements for p in problems]
    assert table.task_type.tolist() == ["deduction"] * 3 + ["abduction"] * 3 + ["induction"] * 3
    assert table.length[0] == len(completion("output 'no'").ids)
    assert table.answer_entropy[0] == 0  # five times 'no'
    assert table.answer_entropy[1] == pytest.approx(answer_entropy(["right", *["'no'"] * 4]))
    assert asked == [(5, 8, 4, 1.0, ROLLOUT.chunk)]
    assert done == list(range(1, 10))


def test_arithmetic_answers_must_have_the_form_and_the_value(monkeypatch):
    (question,) = arithmetic_problems("test", 1)
    right = question.answer
    responses = [f"answer {right}", f"think 1, 2\nanswer {right}", right, f"answer {right}0", f"answer {right}\n", ""]
    monkeypatch.setattr(evaluate, "sample_each", lambda *_: [(0, [completion(text) for text in responses])])
    table = arithmetic_counts(None, TOKENIZER, [question], len(responses), ROLLOUT)
    assert list(table) == COLUMNS
    row = table.iloc[0]
    assert (row.task_type, row.problem, row.statements, row.n, row.c) == (
        "arithmetic", question.id, question.changes, 6, 2,
    )  # fmt: skip
    assert row.answer_entropy == pytest.approx(answer_entropy([right, right, f"{right}0", None, None, None]))


def test_validation_accuracy_is_a_mean_over_problems_and_samples(executor, monkeypatch):
    problems = problem_set("validation", 2)
    known = {STYLE.solve(p.task): gold(p.task) for p in problems if p.task.type is not TaskType.INDUCTION}
    calls = []

    def sample(model, tokenizer, prompts, max_new_tokens, seed, chunk):
        calls.append(prompts)
        right = [known.get(prompt, "") if index < 9 else "" for index, prompt in enumerate(prompts)]
        return [Completion([1], [2], text) for text in right]

    monkeypatch.setattr(evaluate, "sample", sample)
    config = EvaluationConfig(validation_problems=2, validation_samples=2)
    scores = validate(None, TOKENIZER, STYLE, executor, config, ROLLOUT)
    assert len(calls[0]) == 12
    # The second round answers the two deductions and one of the two abductions.
    assert scores == {"deduction": 1.0, "abduction": 0.75, "induction": 0.0}


SMALL = ["evaluation.problems=2", "evaluation.samples=3", "rollout.max_new_tokens=24"]


def measure(runs, *options) -> int:
    settings = [f"--set={text}" for text in (*SMALL, *options)]
    return cli.main(["evaluate", "nano", "--profile", "smoke", "--runs", str(runs), *settings])


@pytest.fixture
def nano(tmp_path, monkeypatch):
    """A model of a few thousand weights in place of the built-in one."""
    save_tiny(tmp_path / "checkpoints" / "nano")
    monkeypatch.setattr(models, "CHECKPOINTS", tmp_path / "checkpoints")


def test_a_model_as_it_is_is_measured_once(nano, tmp_path, capsys):
    assert measure(tmp_path) == 0
    folder = tmp_path / "smoke" / "nano" / "base"
    assert f"measured: {folder / 'test.csv'}" in capsys.readouterr().out
    table = pd.read_csv(folder / "test.csv")
    assert list(table) == [*COLUMNS, "proposed"]
    assert table.groupby("task_type").size().to_dict() == dict.fromkeys(
        ["deduction", "abduction", "induction", "arithmetic"], 2
    )
    assert set(table.n) == {3}
    assert table.c.between(0, 3).all()
    record = json.loads((folder / "test.json").read_text())
    assert record["decoding"] == {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "max_new_tokens": 24}
    assert not table.proposed.any()
    before = (folder / "test.csv").stat().st_mtime_ns
    assert measure(tmp_path) == 0
    assert (folder / "test.csv").stat().st_mtime_ns == before
    assert measure(tmp_path, "evaluation.samples=2") == 0
    assert set(pd.read_csv(folder / "test.csv").n) == {2}


@pytest.fixture
def trained(tmp_path):
    """A run with an adapter that changes what is sampled; proposals hit one test program twice, seeds another."""
    folder = tmp_path / "selfplay-seed0"
    torch.manual_seed(0)
    adapted = get_peft_model(tiny_model(), LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM"))
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_B" in name:
                weight.normal_()
    adapted.save_pretrained(folder / "adapter")
    changes = dict(text.split("=") for text in SMALL)
    profile = override(Profile("tiny"), {k: int(v) for k, v in changes.items()})
    config = {"method": "selfplay", "seed": 0, "fingerprint": "abc", "profile": asdict(profile)}
    (folder / "config.json").write_text(json.dumps(config))
    found = problem_set("test", 2)[0].task.to_json()
    rows = [{"task": None}, {"task": found}, {"task": found}, {"task": found | {"program": "def f(x): return x"}}]
    (folder / "proposals.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "seeds.jsonl").write_text(json.dumps(problem_set("test", 2)[1].task.to_json()) + "\n")
    return folder


def test_a_run_that_is_not_finished_is_refused(trained, capsys):
    assert cli.main(["evaluate", str(trained)]) == 2
    assert "is not finished: train it first" in capsys.readouterr().err
    assert not (trained / "test.csv").exists()


@pytest.mark.parametrize(
    ("lost", "said"), [("adapter", "has no final weights"), ("adapter/adapter_config.json", "is not whole: restore it")]
)
def test_a_run_without_its_weights_is_not_measured_as_the_model_that_it_started_from(trained, lost, said, capsys):
    (trained / "done.json").write_text("{}")
    (trained / lost).rename(trained / "elsewhere")
    assert cli.main(["evaluate", str(trained)]) == 2
    assert said in capsys.readouterr().err
    assert not (trained / "test.csv").exists()


def test_a_run_is_measured_with_its_own_settings_and_adapter(nano, trained, tmp_path, monkeypatch):
    drawn: list[list[Completion]] = []
    sample_each = evaluate.sample_each

    def told(*args):
        for i, completions in sample_each(*args):
            drawn.append(completions)
            yield i, completions

    monkeypatch.setattr(evaluate, "sample_each", told)
    (trained / "done.json").write_text("{}")
    assert cli.main(["evaluate", str(trained)]) == 0
    measured = pd.read_csv(trained / "test.csv")
    assert (len(measured), set(measured.n)) == (8, {3})
    problems = problem_set("test", 2)
    met = {problems[0].task.program, problems[1].task.program}
    assert set(measured.problem[measured.proposed]) == {p.id for p in problems if p.task.program in met}
    assert not measured.proposed.all()
    assert measure(tmp_path / "base") == 0
    of_run, of_base = drawn[: len(measured)], drawn[len(measured) :]
    assert [c[0].prompt_ids for c in of_run] == [c[0].prompt_ids for c in of_base]
    assert of_run != of_base


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--set", "evaluation.samples=-1"], "evaluation.samples is -1; it must be at least 1"),
        (["--set", "evaluation.samples=0"], "evaluation.samples is 0"),
        (["--set", "evaluation.problems=0"], "evaluation.problems is 0"),
        (["--set", "evaluation.problems=-1"], "evaluation.problems is -1"),
        (["--split", "validation", "--set", "evaluation.final_samples=-1"], "evaluation.final_samples is -1"),
        (["--exact", "--set", "evaluation.exact_problems=-2"], "evaluation.exact_problems is -2"),
        (["--exact", "--set", "evaluation.exact_bound=nan"], "evaluation.exact_bound is nan"),
        (["--set", "threads=0"], "threads is 0"),
        (["--set", "evaluation.samples=["], "cannot be read: give a number, a word or true"),
    ],
)
def test_a_refused_setting_leaves_finished_measurements_as_they_are(nano, trained, options, said, capsys):
    (trained / "done.json").write_text("{}")
    for name in ("test", "validation", "exact"):
        (trained / f"{name}.csv").write_text("a finished table")
        (trained / f"{name}.json").write_text('{"fingerprint": "of other settings"}')
    before = {path: path.read_bytes() for path in trained.rglob("*") if path.is_file()}
    assert cli.main(["evaluate", str(trained), *options]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1
    assert {path: path.read_bytes() for path in trained.rglob("*") if path.is_file()} == before


def test_a_refused_setting_makes_no_folder_for_a_model_as_it_is(nano, tmp_path, capsys):
    assert measure(tmp_path / "runs", "evaluation.samples=-1") == 2
    assert "evaluation.samples is -1" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_a_models_folder_is_no_unfinished_run(tmp_path):
    save_tiny(tmp_path / "model")
    small = ("--set=evaluation.problems=1", "--set=evaluation.samples=2", "--set=rollout.max_new_tokens=4")
    options = ("--profile", "smoke", "--runs", str(tmp_path), *small)
    assert cli.main(["evaluate", str(tmp_path / "model"), *options]) == 0
    assert (tmp_path / "smoke" / "model" / "base" / "test.csv").exists()


def cut(file) -> None:
    """Leave half of a file, as a full disk does."""
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def contents(folder) -> dict:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda run: cut(run / "config.json"), "config.json is damaged: restore it, or move the run's folder away"),
        (lambda run: (run / "config.json").write_text('{"fingerprint": "abc"}'), "config.json is damaged"),
        (lambda run: cut(run / "proposals.jsonl"), "proposals.jsonl is damaged: restore it, or move the run's"),
        (lambda run: (run / "proposals.jsonl").unlink(), "proposals.jsonl is missing: restore it, or move the run's"),
        (lambda run: (run / "proposals.jsonl").write_text('{"step": 1}'), "proposals.jsonl is damaged"),
        (lambda run: cut(run / "seeds.jsonl"), "seeds.jsonl is damaged: restore it, or move the run's folder away"),
        (lambda run: (run / "seeds.jsonl").unlink(), "seeds.jsonl is missing"),
        (lambda run: cut(run / "adapter" / "adapter_model.safetensors"), "remove done.json beside it and run the same"),
        (lambda run: (run / "adapter" / "adapter_model.safetensors").unlink(), "adapter is not whole: restore it, or"),
        (lambda run: cut(run / "adapter" / "adapter_config.json"), "adapter is not whole: restore it, or remove"),
        (lambda run: (run / "adapter" / "adapter_config.json").write_text("{}"), "adapter is not whole: restore it"),
    ],
)
def test_a_damaged_run_is_said_before_anything_is_sampled(nano, trained, monkeypatch, capsys, spoil, said):
    monkeypatch.setattr(evaluate, "sample_each", None)
    (trained / "done.json").write_text("{}")
    spoil(trained)
    before = contents(trained)
    assert cli.main(["evaluate", str(trained)]) == 2
    printed = capsys.readouterr()
    assert said in printed.err
    assert (printed.err.count("\n"), printed.out) == (1, "")
    assert contents(trained) == before


@pytest.mark.parametrize("spoil", [cut, lambda file: file.write_text("{}"), lambda file: file.write_text("[]")])
def test_a_measurement_with_a_damaged_record_is_made_again(nano, tmp_path, spoil):
    assert measure(tmp_path) == 0
    record = tmp_path / "smoke" / "nano" / "base" / "test.json"
    table, whole = record.with_suffix(".csv").read_text(), record.read_text()
    spoil(record)
    assert measure(tmp_path) == 0
    assert (record.with_suffix(".csv").read_text(), record.read_text()) == (table, whole)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--profile", "typo"], "--profile goes with a model: the run"),
        (["--profile", "laptop"], "--profile goes with a model: the run"),
        (["--runs", "elsewhere"], "--runs goes with a model: the run"),
        (["--model", "micro"], "--model chooses nothing here"),
    ],
)
def test_options_that_would_change_nothing_of_a_run_are_refused(nano, trained, capsys, options, said):
    (trained / "done.json").write_text("{}")
    before = contents(trained)
    assert cli.main(["evaluate", str(trained), *options]) == 2
    assert said in capsys.readouterr().err
    assert contents(trained) == before


def test_a_second_model_is_refused_and_a_folder_that_is_not_there_leaves_none_behind(nano, tmp_path, capsys):
    runs = tmp_path / "runs"
    assert cli.main(["evaluate", "nano", "--model", "micro", "--runs", str(runs)]) == 2
    assert "nano is what is measured; leave --model out" in capsys.readouterr().err
    assert cli.main(["evaluate", "runs/nope", "--runs", str(runs)]) == 2
    assert "There is no folder 'runs/nope'" in capsys.readouterr().err
    assert not runs.exists()
