"""``azr evaluate RUN|MODEL --benchmark NAME``: what it writes, what it refuses, and that a killed run continues."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pandas as pd
import pytest
import torch
from peft import LoraConfig, get_peft_model
from training.tiny import save_tiny, tiny_model

from azr import cli
from azr.benchmarks import run
from azr.benchmarks.decoding import Response
from azr.config import Profile, override

SUMS = [{"id": n, "problem": f"{n}+1?", "answer": str(n + 1)} for n in range(3)]
RUNS = [{"id": f"r{n}", "code": "def g(x):\n    return x % 2", "input": str(n), "output": str(n % 2)} for n in range(3)]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_tiny(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def data(tmp_path):
    def written(rows, name="rows.jsonl") -> str:
        path = tmp_path / name
        path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
        return str(path)

    return written


def evaluate(model, *options) -> int:
    return cli.main(["evaluate", str(model), "--max-new-tokens", "3", *map(str, options)])


def files(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_a_model_is_measured_into_a_folder_of_the_benchmark(model, data, tmp_path, capsys):
    options = ("--benchmark", "cruxeval_o", "--data", data(RUNS), "--samples", 4, "--runs", tmp_path / "runs")
    assert evaluate(model, *options) == 0
    (folder,) = (tmp_path / "runs" / "laptop").rglob("benchmarks/cruxeval_o")
    assert {path.name for path in folder.iterdir()} == {"samples.jsonl", "problems.csv", "passk.csv", "record.json"}
    counts = pd.read_csv(folder / "problems.csv")
    assert counts[["task_type", "problem", "n"]].values.tolist() == [["cruxeval_o", f"r{n}", 4] for n in range(3)]
    passk = pd.read_csv(folder / "passk.csv")
    assert passk["k"].tolist() == [1, 2]
    assert passk["estimate"][0] == pytest.approx((counts["c"] / counts["n"]).mean())
    assert {"low", "high", "low_simultaneous", "high_simultaneous"} <= set(passk)
    record = json.loads((folder / "record.json").read_text())
    assert (record["method"], record["model"], record["data"]) == ("base", "tiny", "rows.jsonl")
    assert (record["decoding"]["temperature"], record["decoding"]["max_new_tokens"]) == (1.0, 3)
    assert str(tmp_path) not in json.dumps(record)
    said = capsys.readouterr().out
    assert "CruxEval-O, samples: 12/12, " in said
    assert "CruxEval-O: 3 problems, 4 samples each, temperature 1, at most 3 tokens" in said
    assert "pass@2" in said
    assert f"measured: {folder}" in said


def test_right_answers_count(model, data, tmp_path, monkeypatch, capsys):
    def answers(*_):
        return lambda prompts, seeds: [
            Response(f"so</think><answer>\\boxed{{{1 + ('1+1' in text)}}}</answer>", 5, True) for text in prompts
        ]

    monkeypatch.setattr(run, "transformers_generate", answers)
    out = tmp_path / "out"
    assert evaluate(model, "--benchmark", "aime24", "--data", data(SUMS), "--greedy", "--out", out) == 0
    assert pd.read_csv(out / "problems.csv")["c"].tolist() == [1, 1, 0]
    said = capsys.readouterr().out
    assert "AIME 2024: 3 problems, 1 sample each, greedy" in said
    assert "pass@1     0.667  [" in said
    assert "mean length 5 tokens, 0.0% of the responses cut off" in said


def test_a_broken_row_is_named_by_line_and_the_rest_is_measured(model, data, tmp_path, capsys):
    path = data([SUMS[0], "{oops", SUMS[1], {"problem": "?"}])
    assert evaluate(model, "--benchmark", "math500", "--data", path, "--greedy", "--out", tmp_path / "out") == 0
    assert f"{path}: 2 rows left out: line 2: not JSON; line 4: no answer or final_answer" in capsys.readouterr().err
    assert len(pd.read_csv(tmp_path / "out" / "problems.csv")) == 2


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--benchmark", "math501"], "there is no benchmark 'math501': choose one of humaneval_plus, mbpp_plus"),
        (["--benchmark", "math500", "--data", "nowhere.jsonl"], "nowhere.jsonl cannot be read (No such file"),
        (["--benchmark", "cruxeval_o", "--data", "SUMS"], "holds no usable row for cruxeval_o (no code and no input"),
        (["--benchmark", "math500", "--data", "SUMS", "--limit", "1"], "one problem gives no interval"),
        (["--benchmark", "math500", "--samples", "0"], "--samples is 0: give at least 1"),
        (["--benchmark", "math500", "--batch", "0"], "--batch is 0: give at least 1"),
        (["--benchmark", "math500", "--temperature", "nan"], "decoding needs temperature >= 0"),
        (["--benchmark", "math500", "--temperature", "inf"], "decoding needs temperature >= 0"),
        (["--benchmark", "math500", "--top-p", "2"], "decoding needs temperature >= 0, 0 < top_p <= 1"),
        (["--benchmark", "math500", "--greedy", "--samples", "4"], "--greedy draws one response"),
        (["--benchmark", "math500", "--temperature", "0", "--samples", "4"], "every response is the same"),
        (["--samples", "4"], "--samples goes with --benchmark NAME"),
        (["--top-p", "0.9"], "--top-p goes with --benchmark NAME"),
    ],
)
def test_mistakes_are_answered_in_one_sentence_before_a_model_is_loaded(options, sentence, data, capsys):
    path = data(SUMS)
    assert cli.main(["evaluate", "no-such-model", *[path if word == "SUMS" else word for word in options]]) == 2
    said = capsys.readouterr().err
    assert said.startswith("azr: ")
    assert sentence in said
    assert said.count("\n") == 1


KILLED = """
import os, signal, sys
from azr import cli
from azr.benchmarks import sampling

real, count = sampling.json.dumps, 0

def dumps(row, **more):
    global count
    count += "sample" in row
    if count > int(sys.argv[1]):
        os.kill(os.getpid(), signal.SIGKILL)
    return real(row, **more)

sampling.json.dumps = dumps
cli.main(["evaluate", *sys.argv[2:]])
"""


def test_a_run_that_was_killed_continues_and_more_samples_are_added(model, data, tmp_path):
    path, whole, cut = data(RUNS), tmp_path / "whole", tmp_path / "cut"
    options = ["--benchmark", "cruxeval_i", "--data", path, "--batch", "2", "--max-new-tokens", "3", "--samples", "4"]
    assert cli.main(["evaluate", str(model), *options, "--out", str(whole)]) == 0
    killed = [sys.executable, "-c", KILLED, "8", str(model), *options, "--out", str(cut)]
    assert subprocess.run(killed, capture_output=True).returncode == -9
    assert 0 < len((cut / "samples.jsonl").read_text().splitlines()) < 12
    assert not (cut / "problems.csv").exists()
    assert cli.main(["evaluate", str(model), *options, "--out", str(cut)]) == 0
    assert files(cut) == files(whole)
    before = (cut / "samples.jsonl").read_text()
    assert cli.main(["evaluate", str(model), *options[:-1], "5", "--out", str(cut)]) == 0
    assert (cut / "samples.jsonl").read_text().startswith(before)
    assert set(pd.read_csv(cut / "problems.csv")["n"]) == {5}


def test_samples_of_other_weights_are_not_mixed(model, data, tmp_path, capsys):
    options = ("--benchmark", "math500", "--data", data(SUMS), "--greedy", "--out", tmp_path / "out")
    assert evaluate(model, *options) == 0
    other = tmp_path / "other"
    tiny_model(seed=1).save_pretrained(save_tiny(other))
    assert evaluate(other, *options) == 2
    assert "holds samples with another weights: choose another folder by --out" in capsys.readouterr().err
    assert evaluate(model, *options) == 0


@pytest.fixture
def trained(model, tmp_path):
    """A finished run on the tiny model with an adapter that changes what is sampled."""
    folder = tmp_path / "runs" / "half-seed3"
    torch.manual_seed(0)
    adapted = get_peft_model(tiny_model(), LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM"))
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_B" in name:
                weight.normal_()
    adapted.save_pretrained(folder / "adapter")
    profile = asdict(override(Profile("tiny"), {"model.name": str(model)}))
    (folder / "config.json").write_text(
        json.dumps({"method": "selfplay", "seed": 3, "fingerprint": "f", "profile": profile})
    )
    (folder / "done.json").write_text("{}")
    return folder


def test_a_run_is_measured_with_its_adapter_and_under_its_name(model, trained, data, tmp_path):
    options = ("--benchmark", "cruxeval_o", "--data", data(RUNS), "--samples", 2)
    assert evaluate(trained, *options) == 0
    folder = trained / "benchmarks" / "cruxeval_o"
    record = json.loads((folder / "record.json").read_text())
    assert {key: record[key] for key in ("method", "seed", "model", "run", "run_fingerprint")} == {
        "method": "half", "seed": 3, "model": "tiny", "run": "half-seed3", "run_fingerprint": "f",
    }  # fmt: skip
    assert evaluate(model, *options, "--out", tmp_path / "base") == 0
    base = json.loads((tmp_path / "base" / "record.json").read_text())
    assert base["weights"] != record["weights"]
    assert (folder / "samples.jsonl").read_text() != (tmp_path / "base" / "samples.jsonl").read_text()


def test_too_little_memory_names_the_option_and_keeps_the_samples(model, data, tmp_path, monkeypatch, capsys):
    def full(*_):
        def generate(prompts, seeds):
            if "1+1" in prompts[0]:
                raise torch.OutOfMemoryError
            return [Response("", 1, True)]

        return generate

    options = ("--benchmark", "aime24", "--data", data(SUMS), "--greedy", "--out", tmp_path / "out", "--batch", 1)
    with monkeypatch.context() as patch:
        patch.setattr(run, "transformers_generate", full)
        assert evaluate(model, *options) == 2
    assert "Out of memory with 1 responses of 3 tokens side by side: lower --batch" in capsys.readouterr().err
    assert len((tmp_path / "out" / "samples.jsonl").read_text().splitlines()) == 1
    assert evaluate(model, *options) == 0


def test_a_chat_models_template_words_the_prompt(data, tmp_path):
    folder = save_tiny(tmp_path / "chat")
    (folder / "chat_template.jinja").write_text("{% for m in messages %}<{{ m.content }}>{% endfor %}")
    options = ("--benchmark", "math500", "--data", data(SUMS), "--greedy", "--out", tmp_path / "out")
    assert evaluate(folder, *options) == 0
    assert json.loads((tmp_path / "out" / "record.json").read_text())["chat"] is True
