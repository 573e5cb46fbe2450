"""Out of memory: one sentence that names the setting, and a run that goes on when it was lowered."""

from __future__ import annotations

import json

import pytest
import torch

from azr.config import Profile, override
from azr.errors import UserError
from azr.training import run
from azr.training.oom import lower_in_loading, lower_in_sampling, lower_in_update, memory_named
from azr.training.trainer import SelfPlayTrainer

from .tiny import LenientStyle, tiny_profile, write_seeds


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB."),
        RuntimeError("[enforce fail at alloc_cpu.cpp:121] . DefaultCPUAllocator: can't allocate memory: you tried"),
        MemoryError(),
    ],
)
def test_any_kind_of_running_out_is_named(error):
    with pytest.raises(UserError, match="lower it"), memory_named(lambda: "lower it"):
        raise error


def test_other_errors_pass_through():
    with pytest.raises(RuntimeError, match="shapes"), memory_named(lambda: "lower it"):
        raise RuntimeError("shapes do not match")


@pytest.mark.parametrize(
    ("advice", "changes", "said"),
    [
        (lower_in_loading, {"model.name": "org/big"}, "azr doctor --model org/big"),
        (lower_in_sampling, {"rollout.chunk": 64}, "--set rollout.chunk=32"),
        (lower_in_sampling, {"rollout.chunk": 1}, "lower rollout.max_new_tokens"),
        (lower_in_sampling, {"engine.name": "vllm-colocate"}, "engine.vllm_gpu_memory_utilization"),
        (lower_in_update, {}, "--set train.gradient_checkpointing=true"),
        (lower_in_update, {"train.gradient_checkpointing": True}, "--set train.micro_batch=8"),
        (lower_in_update, {"train.gradient_checkpointing": True, "train.micro_batch": 1}, "rollout.max_new_tokens"),
    ],
)
def test_the_first_setting_that_helps_is_named(advice, changes, said):
    assert said in advice(override(Profile("mine"), changes))


def test_a_run_out_of_memory_goes_on_with_the_setting_lowered(model_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "load_style", lambda *_: LenientStyle())
    loss_of = SelfPlayTrainer._compute_loss

    def spent(self, model, inputs):
        if self.state.global_step == 2 and len(inputs["advantages"]) == 4:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return loss_of(self, model, inputs)

    monkeypatch.setattr(SelfPlayTrainer, "_compute_loss", spent)
    folder = tmp_path / "run"
    write_seeds(folder)
    changes = {"train__gradient_checkpointing": True, "train__steps": 3}
    with pytest.raises(UserError, match=r"train.micro_batch=2; the same command then goes on"):
        run.train("selfplay", tiny_profile(model_folder, **changes), 0, folder)
    run.train("selfplay", tiny_profile(model_folder, **changes, train__micro_batch=2), 0, folder)
    assert not list(tmp_path.glob("run.old-*"))
    log = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in log] == [1, 2, 3]
