"""``azr compare``: results of several models in one figure, and what does not bear comparison."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from azr import cli
from azr.figures import style

DECODING = {"temperature": 1.0, "top_p": 1.0, "top_k": 0, "max_new_tokens": 64, "seed": 0, "stop": []}
MODEL = "Qwen-3B"


@pytest.fixture
def result(tmp_path):
    """Writes a result folder of four problems, with the counts that are given, under a run's folder."""

    def written(run, counts, benchmark="math500", method=None, seed=0, model=MODEL, n=4, digest="d", **decoding):
        folder = tmp_path / run / "benchmarks" / benchmark
        folder.mkdir(parents=True)
        rows = {"task_type": benchmark, "problem": [f"p{i}" for i in range(len(counts))], "n": n, "c": counts}
        pd.DataFrame(rows | {"length": 9.0, "cut": 0, "digest": digest}).to_csv(folder / "problems.csv", index=False)
        record = {"benchmark": benchmark, "method": method or run, "seed": seed, "model": model}
        (folder / "record.json").write_text(json.dumps(record | {"decoding": DECODING | decoding}))
        return tmp_path / run

    return written


@pytest.fixture
def compare(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(style, "_DPI", 20)  # nobody looks at them here

    def called(*folders):
        code = cli.main(["compare", *map(str, folders), "--out", str(tmp_path / "out")])
        said = capsys.readouterr()
        return code, said.out, said.err

    return called


def rows_of(tmp_path):
    frame = pd.read_csv(tmp_path / "out" / "compare.csv")
    return frame.set_index(["quantity", "task_type", "method", "seed", "k"])["estimate"]


def test_a_figure_with_its_numbers_and_the_paired_difference(result, compare, tmp_path):
    base, trained = result("base", [0, 1, 2, 3]), result("selfplay", [2, 2, 2, 3])
    code, said, _ = compare(base, trained)
    assert code == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"compare.png", "compare.pdf", "compare.csv"}
    estimates = rows_of(tmp_path)
    assert estimates["pass@k", "math500", "base", "mean", 1] == pytest.approx(6 / 16)
    assert estimates["difference", "math500", "selfplay", "mean", 1] == pytest.approx(3 / 16)
    assert "pass@k minus base, paired by problem" in said
    assert "math500, selfplay, k = 1: +0.188 [" in said
    assert "math500, selfplay, k = 2: " in said


def test_the_first_folder_is_what_others_differ_from(result, compare, tmp_path):
    base, trained = result("base", [0, 1, 2, 3]), result("selfplay", [2, 2, 2, 3])
    assert compare(trained, base)[0] == 0
    assert rows_of(tmp_path)["difference", "math500", "base", "mean", 1] == pytest.approx(-3 / 16)


def test_runs_of_one_arm_are_its_seeds(result, compare, tmp_path):
    folders = [result("base", [0, 1, 2, 3])]
    folders += [result(f"selfplay-seed{s}", [s, 2, 2, 3], method="selfplay", seed=s) for s in range(2)]
    assert compare(*folders)[0] == 0
    estimates = rows_of(tmp_path)
    assert estimates["pass@k", "math500", "selfplay", "1", 1] == pytest.approx(8 / 16)
    assert estimates["pass@k", "math500", "selfplay", "mean", 1] == pytest.approx(7.5 / 16)


def test_several_benchmarks_are_panels_and_each_needs_two_results(result, compare, tmp_path):
    base, trained = result("base", [0, 1, 2, 3]), result("selfplay", [2, 2, 2, 3])
    for run in ("base", "selfplay"):
        result(run, [1, 1], benchmark="aime24")
    assert compare(base, trained)[0] == 0
    assert set(rows_of(tmp_path).index.get_level_values("task_type")) == {"math500", "aime24"}
    result("base", [1, 1], benchmark="amc23")
    code, _, err = compare(base, trained)
    assert code == 2
    assert f"only {base / 'benchmarks' / 'amc23'} has amc23: measure the others on it, or name single results" in err
    assert compare(*(folder / "benchmarks" / "aime24" for folder in (base, trained)))[0] == 0


def test_models_are_told_apart_by_name(result, compare, tmp_path):
    folders = [result(f"base{size}", [0, 1, 2, 3], method="base", model=f"Qwen-{size}") for size in ("3B", "7B")]
    folders += [result(f"run{size}", [0, 1, 2, 3], method="half", model=f"Qwen-{size}") for size in ("3B", "7B")]
    assert compare(*folders)[0] == 0
    methods = set(rows_of(tmp_path).index.get_level_values("method"))
    assert methods == {"Qwen-3B", "Qwen-7B", "half of Qwen-3B", "half of Qwen-7B"}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"counts": [1, 1]}, "do not have the same problems of math500 (2 only in the first, 0 only in the second)"),
        ({"digest": "e"}, "problem p0 of math500 has another text or gold answer in"),
        ({"temperature": 0.6}, "(temperature 1, at most 64 tokens; temperature 0.6, at most 64 tokens): evaluate one"),
        ({"max_new_tokens": 128}, "were decoded differently"),
        ({"method": "base"}, "are both base, seed 0, on math500: leave one out"),
    ],
)
def test_what_does_not_bear_comparison_is_refused_in_one_sentence(result, compare, tmp_path, changes, sentence):
    base = result("base", [0, 1, 2, 3])
    other = result("selfplay", **{"counts": [2, 2, 2, 3]} | changes)
    code, _, err = compare(base, other)
    assert code == 2
    assert sentence in err
    assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_another_seed_of_decoding_and_more_samples_are_no_obstacle(result, compare, tmp_path):
    base = result("base", [0, 1, 2, 3], method="base")
    trained = result("selfplay", [2, 2, 2, 8], n=8)
    record = trained / "benchmarks" / "math500" / "record.json"
    record.write_text(record.read_text().replace('"seed": 0, "stop"', '"seed": 5, "stop"'))
    assert compare(base, trained)[0] == 0
    assert rows_of(tmp_path)["pass@k", "math500", "selfplay", "mean", 1] == pytest.approx(14 / 32)


def test_folders_without_a_finished_result_are_named(result, compare, tmp_path):
    base, trained = result("base", [0, 1, 2, 3]), result("selfplay", [2, 2, 2, 3])
    assert f"{tmp_path} holds no result: make one by azr evaluate --benchmark" in compare(base, tmp_path)[2]
    assert "one folder is nothing to compare" in compare(base)[2]
    (trained / "benchmarks" / "math500" / "problems.csv").unlink()
    assert "math500 is not finished: run the same azr evaluate command again" in compare(base, trained)[2]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("record.json", '{"benchmark": "math'),
        ("record.json", "{}"),
        ("record.json", "[]"),
        ("record.json", json.dumps({"benchmark": "math500", "method": "a", "seed": 0, "model": MODEL, "decoding": {}})),
        ("problems.csv", ""),
        ("problems.csv", "task_type,problem,n,c,length,cut,digest\n"),
        ("problems.csv", "animal,legs\ncat,4\n"),
        ("problems.csv", "task_type,problem,n,c,length,cut,digest\nmath500,p0,4,1,9.0,0,d\nmath500,p1,4"),
        ("problems.csv", "task_type,problem,n,c,length,cut,digest\nmath500,p0,four,1,9.0,0,d\n"),
    ],
)
def test_a_damaged_result_is_named(result, compare, tmp_path, name, text):
    base, trained = result("base", [0, 1, 2, 3]), result("selfplay", [2, 2, 2, 3])
    file = trained / "benchmarks" / "math500" / name
    file.write_text(text)
    advice = "remove it and run the same azr evaluate command again"
    assert compare(base, trained) == (2, "", f"azr: {file} is damaged: {advice}.\n")
    assert file.read_text() == text
    assert not (tmp_path / "out").exists()


def test_a_result_without_its_record_is_named(result, compare):
    base, trained = result("base", [0, 1, 2, 3]), result("selfplay", [2, 2, 2, 3])
    file = trained / "benchmarks" / "math500" / "record.json"
    file.unlink()
    assert compare(base, trained)[::2] == (2, f"azr: {file} is missing: run the same azr evaluate command again.\n")
