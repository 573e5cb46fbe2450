"""Supervised fine-tuning: which rows a step has, what they are trained on, and that it can be killed and resumed."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from azr.prompts.compact import CompactStyle
from azr.rlvr import epochs
from azr.training.run import train
from azr.training.sft import steps_of_rows
from azr.world.worked import worked_problems

from .tiny import TOKENIZER, tiny_profile

STYLE = CompactStyle()
WORKED = worked_problems(6)


@pytest.fixture(scope="module")
def profile(model_folder):
    return tiny_profile(model_folder, train__problems=6, train__steps=4, rollout__batch=2)


def test_a_row_is_the_prompt_and_the_worked_answer_and_only_the_answer_counts(profile):
    for row in steps_of_rows(WORKED, STYLE, TOKENIZER, profile, seed=0)[0]:
        mask = np.array(row["completion_mask"], bool)
        ids = np.array(row["input_ids"])
        prompt, response = TOKENIZER.decode(ids[~mask]), TOKENIZER.decode(ids[mask])
        assert prompt.startswith("<bos>")
        assert (prompt.removeprefix("<bos>"), response.removesuffix("<eos>")) in {
            (STYLE.solve(worked.task), worked.response(STYLE)) for worked in WORKED
        }
        assert response.endswith("<eos>")


def test_a_step_has_the_problems_that_rlvr_has_at_that_step(profile):
    steps = steps_of_rows(WORKED, STYLE, TOKENIZER, profile, seed=3)
    assert [len(rows) for rows in steps] == [12] * 4
    for number, rows in enumerate(steps, 1):
        for stream in range(3):
            own = WORKED[6 * stream : 6 * stream + 6]
            expected = sorted(STYLE.solve(own[i].task) for i in epochs(4, 6, number, 3, stream))
            found = []
            for row in rows[4 * stream : 4 * stream + 4]:
                prompt = [t for t, answer in zip(row["input_ids"], row["completion_mask"], strict=True) if not answer]
                found.append(TOKENIZER.decode(prompt[1:]))
            assert sorted(found) == expected


@pytest.fixture(scope="module")
def finished(profile, tmp_path_factory):
    return train("sft", profile, 0, tmp_path_factory.mktemp("runs") / "sft-seed0")


def records(folder) -> list[dict]:
    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if k != "seconds"} for row in rows]


def test_a_run_logs_every_step_and_learns_the_answers(finished):
    log = records(finished)
    assert [row["step"] for row in log] == [1, 2, 3, 4]
    assert set(log[0]["groups"]) == {"deduction/solver", "abduction/solver", "induction/solver"}
    assert all(row["tokens"]["trained"] == sum(g["tokens"] for g in row["groups"].values()) for row in log)
    assert log[-1]["loss"] < log[0]["loss"]
    assert (finished / "adapter" / "adapter_config.json").exists()


def test_a_run_resumed_from_its_checkpoint_ends_as_an_unbroken_one(finished, profile, tmp_path):
    folder = tmp_path / "resumed"
    shutil.copytree(finished, folder)
    shutil.rmtree(folder / "checkpoints" / "checkpoint-4")
    shutil.rmtree(folder / "adapter")
    (folder / "done.json").unlink()
    train("sft", profile, 0, folder)
    assert records(folder) == records(finished)
    weights = "adapter/adapter_model.safetensors"
    assert (folder / weights).read_bytes() == (finished / weights).read_bytes()


@pytest.mark.parametrize("method", ["rlvr", "sft"])
def test_full_fine_tuning_logs_how_much_of_the_base_is_unchanged(method, profile, tmp_path):
    from azr.config import override

    changes = {"model.full": True, "train.steps": 1, "train.validate_every": 1, "train.full_learning_rate": 1e-4}
    small = {"evaluation.validation_problems": 1, "evaluation.validation_samples": 1}
    (record,) = records(train(method, override(profile, changes | small), 0, tmp_path / method))
    assert set(record["sparsity"]) == {
        f"{dtype}/{tolerance}" for dtype in ("float32", "bfloat16") for tolerance in ("exact", "1e-05", "relative")
    }
    if method == "sft":  # one Adam step moves a weight by the rate or not at all; beside most weights that is little
        assert record["sparsity"]["float32/exact"] < record["sparsity"]["bfloat16/relative"]
    else:  # a random model's answers all earn the same: nothing moves
        assert set(record["sparsity"].values()) == {1.0}
    assert set(record["validation"]) == {"deduction", "abduction", "induction"}
