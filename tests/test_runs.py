"""Run folders: what is whole, what is current, and what a kill leaves."""

import errno
import json
import os
import subprocess
import sys

import pandas as pd
import pytest

from azr.errors import UserError
from azr.runs import Run, alone, append_lines, keep_steps, read_lines, run_folder, weights_digest, write_json


def test_a_torn_last_line_is_left_out_and_damage_before_it_is_refused(tmp_path):
    log = tmp_path / "log.jsonl"
    append_lines(log, [{"step": 1}, {"step": 2}])
    whole = log.read_text()
    log.write_text(whole + '{"step": 3, "lo')
    assert read_lines(log) == [{"step": 1}, {"step": 2}]
    log.write_text('{"st\n' + whole)
    with pytest.raises(UserError):
        read_lines(log)


def test_a_resumed_run_repeats_no_step_of_its_log(tmp_path):
    log = tmp_path / "log.jsonl"
    append_lines(log, [{"step": step} for step in (1, 2, 2, 3)])
    keep_steps(log, 2)
    assert [row["step"] for row in read_lines(log)] == [1, 2, 2]
    keep_steps(tmp_path / "absent.jsonl", 2)


def test_a_json_file_is_whole_or_as_it_was(tmp_path):
    file = tmp_path / "deep" / "done.json"
    write_json(file, {"a": 1})
    with pytest.raises(TypeError):
        write_json(file, {"a": object()})
    assert json.loads(file.read_text()) == {"a": 1}


def test_every_shard_counts_for_the_digest_of_a_model_and_nothing_else_does(tmp_path):
    for name in ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"):
        (tmp_path / name).write_bytes(os.urandom(100))
    before = weights_digest(str(tmp_path))
    (tmp_path / "README.md").write_text("words")
    assert weights_digest(str(tmp_path)) == before
    (tmp_path / "model-00002-of-00002.safetensors").write_bytes(os.urandom(100))
    assert weights_digest(str(tmp_path)) != before
    assert weights_digest("someone/a-model") == "someone/a-model"


def test_a_run_is_current_if_it_is_finished_and_of_the_same_fingerprint(tmp_path):
    run = Run(tmp_path)
    assert run.record == {}
    write_json(tmp_path / "run.json", {"fingerprint": "abc"})
    assert not run.is_current("abc")
    write_json(tmp_path / "done.json", {})
    assert run.is_current("abc")
    assert not run.is_current("abd")


def test_a_run_of_an_earlier_version_is_refused_and_left_as_it_is(tmp_path):
    for name in ("config.json", "versions.json", "done.json"):
        (tmp_path / name).write_text("{}")
    with pytest.raises(UserError):
        Run(tmp_path).record  # noqa: B018
    assert {path.name for path in tmp_path.iterdir()} == {"config.json", "versions.json", "done.json"}


def test_a_measure_belongs_to_what_it_was_made_of(tmp_path):
    run = Run(tmp_path)
    frame = pd.DataFrame({"problem": ["a"], "c": [3]})
    assert not run.is_measured("test", "x")
    run.save_measure("test", frame, "x", {"samples": 4})
    assert run.is_measured("test", "x")
    assert not run.is_measured("test", "y")
    pd.testing.assert_frame_equal(run.measure("test"), frame)
    with pytest.raises(UserError):
        run.measure("validation")


def test_a_measure_that_could_not_be_written_leaves_none_that_looks_whole(tmp_path, monkeypatch):
    run, frame = Run(tmp_path), pd.DataFrame({"c": [3]})
    run.save_measure("test", frame, "x", {})

    def full(self, path, **_):
        path.write_bytes(b"PAR1")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_parquet", full)
    with pytest.raises(OSError, match="No space left"):
        run.save_measure("test", frame, "y", {})
    assert not run.is_measured("test", "x")
    assert not run.is_measured("test", "y")


@pytest.mark.parametrize("name", ["log", "proposals", "weights", "test"])
def test_a_missing_file_of_a_finished_run_is_named(tmp_path, name):
    run = Run(tmp_path)
    write_json(tmp_path / "run.json", {"fingerprint": "abc"})
    write_json(tmp_path / "done.json", {})
    with pytest.raises(UserError, match=rf"{tmp_path}.*: (restore|run)"):
        run.measure(name) if name == "test" else getattr(run, name)


def test_a_folder_is_held_by_one_process_at_a_time(tmp_path):
    with alone(tmp_path):
        with pytest.raises(UserError, match="in use by another process"), alone(tmp_path):
            pass
        hold = f"from pathlib import Path; from azr.runs import alone; alone(Path({str(tmp_path)!r})).__enter__()"
        assert subprocess.run([sys.executable, "-c", hold], capture_output=True).returncode == 1
    with alone(tmp_path):
        pass


def test_runs_go_below_the_current_folder_where_the_checkout_may_not_be_written(tmp_path):
    code = "import os; os.access = lambda *_: False\nfrom azr.runs import RUNS; print(RUNS)"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == f"{tmp_path / 'runs'}\n"


def test_an_unfinished_run_has_no_weights(tmp_path):
    (tmp_path / "adapter").mkdir()
    with pytest.raises(UserError):
        Run(tmp_path).weights  # noqa: B018
    write_json(tmp_path / "done.json", {})
    assert Run(tmp_path).weights == tmp_path / "adapter"
    assert Run(tmp_path).weights_at(30) == tmp_path / "adapter"
    (tmp_path / "adapters" / "step-30").mkdir(parents=True)
    assert Run(tmp_path).weights_at(30) == tmp_path / "adapters" / "step-30"


def test_the_log_is_one_number_a_row(tmp_path):
    record = {"step": 1, "loss": 0.5, "seconds": {"update": 2.0}, "groups": {"deduction/solver": {"reward": -0.5}}}
    append_lines(tmp_path / "log.jsonl", [record])
    rows = set(Run(tmp_path).log.itertuples(index=False, name=None))
    assert rows == {(1, "", "loss", 0.5), (1, "", "seconds/update", 2.0), (1, "deduction/solver", "reward", -0.5)}


def test_models_lie_by_their_last_name(tmp_path):
    assert run_folder(tmp_path, "gpu", "Qwen/Qwen2.5-Coder-0.5B", "sft", 1).parent.name == "Qwen2.5-Coder-0.5B"
