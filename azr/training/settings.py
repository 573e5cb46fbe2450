"""From a profile to the arguments of transformers' and TRL's trainers: what all methods have in common.

    SFTConfig(**shared_settings(profile, seed, folder), **micro_batches(profile))

Left out: installing anything, and a vLLM server apart from training.
"""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig

from azr.config import EngineConfig, ModelConfig, Profile
from azr.errors import UserError
from azr.training.ranks import on_cpu, processes


def shared_settings(profile: Profile, seed: int, folder: Path) -> dict[str, Any]:
    """Fields of ``transformers.TrainingArguments``. Raises UserError where a tracker or engine is not installed."""
    train, bf16 = profile.train, profile.model.dtype == "bfloat16"
    check_engine(profile.engine)
    return {
        "output_dir": str(folder / "checkpoints"),
        "max_steps": profile.steps,
        "learning_rate": profile.learning_rate,
        "lr_scheduler_type": "linear" if train.schedule == "linear" else "constant_with_warmup",
        "warmup_steps": math.ceil(train.warmup * profile.steps),
        "weight_decay": train.weight_decay,
        "max_grad_norm": train.max_grad_norm,
        "gradient_checkpointing": train.gradient_checkpointing,
        "gradient_checkpointing_kwargs": {"use_reentrant": False},
        "bf16": bf16,
        "use_cpu": on_cpu() or (bf16 and not torch.cuda.is_available()),
        "dataloader_pin_memory": torch.cuda.is_available(),
        "save_strategy": "steps",
        "save_steps": train.save_every,
        "save_total_limit": 2,
        "logging_steps": 1,
        "disable_tqdm": True,
        "report_to": profile.engine.report_to,
        "seed": seed,
    }


def micro_batches(profile: Profile) -> dict[str, int]:
    """How a step's rows are dealt to forward passes. Raises UserError where they do not divide."""
    rows, size = profile.rollout.rows, profile.train.micro_batch
    passes, left_over = divmod(rows, size * processes())
    if left_over:
        shared = f" on {processes()} processes" if processes() > 1 else ""
        raise UserError(f"train.micro_batch {size}{shared} does not divide the {rows} rows of a step.")
    return {"per_device_train_batch_size": size, "gradient_accumulation_steps": passes}


def lora_config(model: ModelConfig) -> LoraConfig | None:
    """PEFT's configuration of the adapter; None where all weights are trained."""
    if model.full:
        return None
    return LoraConfig(
        r=model.lora_rank, lora_alpha=model.lora_alpha, target_modules="all-linear", task_type="CAUSAL_LM"
    )


def check_engine(engine: EngineConfig) -> None:
    """Raise UserError for what is not installed, or without a GPU to run on."""
    for package in {"vllm" if engine.name == "vllm" else "none", engine.report_to} - {"none"}:
        if importlib.util.find_spec(package) is None:
            setting = "engine.name=transformers" if package == "vllm" else "engine.report_to=none"
            raise UserError(f"{package} is not installed: pip install {package}, or set {setting}.")
    if engine.name == "vllm" and not torch.cuda.is_available():
        raise UserError("vLLM needs a CUDA GPU, and there is none here: set engine.name=transformers.")


def vllm_settings(engine: EngineConfig) -> dict[str, Any]:
    """What vLLM beside training is told, by the names of TRL's ``VLLMGeneration``."""
    return {
        "mode": "colocate",
        "gpu_memory_utilization": engine.vllm_gpu_memory_utilization,
        "tensor_parallel_size": engine.vllm_tensor_parallel_size,
    }
