"""Running out of memory, said in one sentence that names the setting to lower.

    with memory_named(lambda: lower_in_update(profile)):
        trainer.train()

Left out: lowering it unasked; the size of a micro-batch is the user's to know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from accelerate.utils.memory import should_reduce_batch_size

from azr.config import Profile
from azr.errors import UserError


@contextmanager
def memory_named(advice: Callable[[], str]) -> Iterator[None]:
    """Raise UserError with ``advice`` in place of an error of a device or of the machine that had no memory left."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        spent = isinstance(error, torch.OutOfMemoryError | MemoryError) or should_reduce_batch_size(error)
        if not spent:
            raise
        raise UserError(advice()) from error


def lower_in_loading(profile: Profile) -> str:
    """For the time before the first step."""
    return (
        f"Out of memory while loading {profile.model.name}: `azr doctor --model {profile.model.name}` says what it "
        "needs; take a smaller model, model.four_bit=true, or split it over GPUs (docs/scaling.md)."
    )


def lower_in_sampling(profile: Profile) -> str:
    """For generation."""
    chunk = profile.rollout.chunk
    if profile.engine.name != "transformers":
        return "Out of memory while vLLM samples: lower engine.vllm_gpu_memory_utilization or rollout.max_new_tokens."
    if chunk == 1:
        return _then("Out of memory while sampling one response: lower rollout.max_new_tokens")
    return _then(f"Out of memory while sampling {chunk} responses side by side: --set rollout.chunk={chunk // 2}")


def lower_in_update(profile: Profile) -> str:
    """For forward and backward passes."""
    rows = profile.train.micro_batch
    if not profile.train.gradient_checkpointing:
        return _then("Out of memory in the update: --set train.gradient_checkpointing=true")
    if rows > 1:
        return _then(f"Out of memory in the update of {rows} rows at once: --set train.micro_batch={rows // 2}")
    return "Out of memory in the update of a single row: lower rollout.max_new_tokens, or split the model over GPUs."


def _then(advice: str) -> str:
    return f"{advice}; the same command then goes on from the last checkpoint."
