"""Whether a model fits this machine with a profile's settings, from its config alone: nothing else is loaded.

    print(fit_report(chosen_profile(args)))
    azr doctor --model Qwen/Qwen2.5-Coder-3B --profile gpu

The arithmetic is that of ``azr.memory``; here a profile becomes a workload, and the machine a number of bytes. Left
out: how long a step takes (``benchmarks/study_cost.py``), and the prediction of 4-bit weights, which is given as bf16.
"""

from __future__ import annotations

from typing import Any

from azr.config import Profile
from azr.errors import UserError
from azr.memory import GIB, Workload, advice, machine_memory, predict, shape_of
from azr.models import load_config

PROMPT_TOKENS = {"compact": (64, 64), "paper": (900, 180)}
"""Tokens of the longest instruction, and of each reference shown with it: assumptions, on the generous side."""


def workload(profile: Profile, shards: int = 1, cuda: bool = True) -> Workload:
    """What one device has to do at once under ``profile``."""
    instruction, reference = PROMPT_TOKENS.get(profile.model.prompt_style, PROMPT_TOKENS["paper"])
    return Workload(
        rows=profile.train.micro_batch,
        generation_rows=profile.rollout.chunk if profile.engine.name == "transformers" else 0,
        prompt_tokens=instruction + reference * profile.rollout.references,
        completion_tokens=profile.rollout.max_new_tokens,
        weights=profile.model.weights,
        autocast=profile.model.dtype == "bfloat16",
        lora_rank=None if profile.model.full else profile.model.lora_rank,
        gradient_checkpointing=profile.train.gradient_checkpointing,
        shards=shards,
        cuda=cuda,
    )


def available_bytes(profile: Profile, main_memory: int) -> tuple[int, bool]:
    """What the smallest GPU has, less what vLLM takes of it, and True; without a GPU main memory and False."""
    size, cuda = machine_memory()
    if not cuda:
        return main_memory, False
    share = profile.engine.vllm_gpu_memory_utilization if profile.engine.name == "vllm-colocate" else 0.0
    return int(size * (1 - share)), True


def fit_report(profile: Profile, main_memory: int, shards: int = 1) -> list[tuple[str, str]]:
    """Pairs of heading and line: memory by part, and whether it fits. UserError where there is no such model."""
    config: Any = load_config(profile.model.name)
    available, cuda = available_bytes(profile, main_memory)
    work = workload(profile, shards, cuda)
    try:
        shape = shape_of(config)
        table = predict(config, work, shape).table().splitlines()
    except (ValueError, AttributeError) as error:
        raise UserError(f"The memory of '{profile.model.name}' cannot be told from its config: {error}") from error
    what = f"{'full training' if profile.model.full else f'LoRA of rank {profile.model.lora_rank}'}"
    split = f", split over {shards} devices" if shards > 1 else ""
    lengths = f"{work.prompt_tokens} + {work.completion_tokens} tokens"
    where = "this machine's GPU" if cuda else "this machine's memory (it has no GPU)"
    return [
        ("model", f"{profile.model.name}, {what}, profile {profile.name}{split}"),
        ("at once", f"{work.rows} rows of {lengths} in training, {work.generation_rows} in sampling"),
        *[("memory", line) for line in table],
        ("verdict", f"{where}, {available / GIB:.1f} GiB: {advice(config, work, available, cuda=cuda)}"),
    ]
