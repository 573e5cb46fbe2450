"""What is said of files that an earlier command left and that are missing, cut off or another program's."""

from __future__ import annotations

import json

import pytest

from azr.errors import UserError
from azr.files import REMOVE, is_recorded, read_lines, reading, run_config, run_fingerprint

CONFIG = {"fingerprint": "abc", "method": "selfplay", "seed": 3, "profile": {"name": "tiny"}}


@pytest.mark.parametrize("text", ['{"a": 1}\n{"a": ', '{"b": 1}', "[1]", "7", "\ufffd"])
def test_a_damaged_file_is_one_sentence_with_advice(tmp_path, text):
    file = tmp_path / "rows.jsonl"
    file.write_text(text)
    with pytest.raises(UserError) as raised, reading(file, f"{REMOVE}go on"):
        [row["a"] for row in read_lines(file)]
    assert str(raised.value) == f"{file} is damaged: remove it and go on."


def test_a_missing_file_need_not_be_removed_first(tmp_path):
    with pytest.raises(UserError) as raised, reading(tmp_path / "rows.jsonl", f"{REMOVE}go on"):
        read_lines(tmp_path / "rows.jsonl")
    assert str(raised.value) == f"{tmp_path / 'rows.jsonl'} is missing: go on."


def test_what_cannot_be_opened_says_why(tmp_path):
    with pytest.raises(UserError, match=r"cannot be read \(Is a directory\): go on\.$"), reading(tmp_path, "go on"):
        read_lines(tmp_path)


def test_a_runs_configuration_is_told_from_a_models(tmp_path):
    assert run_config(tmp_path) == {}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"}))
    assert run_config(tmp_path) == {}
    with pytest.raises(UserError, match="is no run's: choose another folder by --out"):
        run_fingerprint(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(CONFIG | {"seed_files": []}))
    assert run_config(tmp_path) == CONFIG
    assert run_fingerprint(tmp_path) == "abc"


@pytest.mark.parametrize("lacking", ["method", "seed", "profile"])
def test_a_runs_configuration_that_lacks_something_is_damaged(tmp_path, lacking):
    (tmp_path / "config.json").write_text(json.dumps({k: v for k, v in CONFIG.items() if k != lacking}))
    with pytest.raises(UserError, match=r"config.json is damaged: restore it, or move the run's folder away"):
        run_config(tmp_path)


def test_a_measurement_is_done_if_its_record_says_so(tmp_path):
    record, table = tmp_path / "test.json", tmp_path / "test.csv"
    record.write_text('{"fingerprint": "abc"}')
    assert not is_recorded(record, table, "abc")
    table.write_text("n\n")
    assert is_recorded(record, table, "abc")
    assert not is_recorded(record, table, "abd")
    for damaged in ('{"fingerprint": "abc"', "[]", "{}", ""):
        record.write_text(damaged)
        assert not is_recorded(record, table, "abc")
