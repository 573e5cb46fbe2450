"""From a profile to the arguments of transformers' and TRL's trainers: what all methods have in common.

    SFTConfig(**shared_settings(profile, seed, folder), **micro_batches(profile))

Left out: a vLLM server apart from training, and weights that are sharded or quantised.
"""

import importlib.util
import math
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from peft import LoraConfig

from azr.config import EngineConfig, ModelConfig, Profile
from azr.errors import UserError


class OneDevice:
    """Arguments of a trainer with one GPU a process: of several that one process sees, the first."""

    @property
    def n_gpu(self) -> int:
        """None or one; with more, transformers would split each batch by ``DataParallel``."""
        return min(1, super().n_gpu)


def shared_settings(profile: Profile, seed: int, folder: Path) -> dict[str, Any]:
    """Fields of ``transformers.TrainingArguments``. Raises UserError where a tracker or vLLM cannot be had."""
    train = profile.train
    _check(profile.engine)
    return {
        "output_dir": str(folder / "checkpoints"),
        "max_steps": profile.steps,
        "learning_rate": profile.learning_rate,
        "lr_scheduler_type": "linear" if train.schedule == "linear" else "constant_with_warmup",
        "warmup_steps": math.ceil(train.warmup * profile.steps),
        "weight_decay": train.weight_decay,
        "max_grad_norm": train.max_grad_norm,
        "gradient_checkpointing": train.gradient_checkpointing,
        "bf16": profile.model.dtype == "bfloat16",
        "use_cpu": not torch.cuda.is_available(),
        "dataloader_pin_memory": False,
        "save_steps": train.save_every,
        "save_total_limit": 2,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,  # which would show a loss of NaN as 0
        "disable_tqdm": True,
        "report_to": profile.engine.report_to,
        "seed": seed,
    }


def micro_batches(profile: Profile) -> dict[str, int]:
    """How TRL's trainers take a step's rows. Raises UserError where they do not divide."""
    rows, size, processes = profile.rollout.rows, profile.train.micro_batch, PartialState().num_processes
    if rows % (size * processes):
        raise UserError(f"train.micro_batch {size} on {processes} processes does not divide the {rows} rows of a step.")
    return {"per_device_train_batch_size": size, "gradient_accumulation_steps": rows // (size * processes)}


def lora_config(model: ModelConfig) -> LoraConfig | None:
    """PEFT's configuration of the adapter; None where all weights are trained."""
    lora = {"r": model.lora_rank, "lora_alpha": model.lora_alpha, "target_modules": "all-linear"}
    return None if model.full else LoraConfig(**lora, task_type="CAUSAL_LM")


def vllm_settings(engine: EngineConfig) -> dict[str, Any]:
    """vLLM beside training, by the names of TRL's ``VLLMGeneration``."""
    share, size = engine.vllm_gpu_memory_utilization, engine.vllm_tensor_parallel_size
    return {"mode": "colocate", "gpu_memory_utilization": share, "tensor_parallel_size": size}


def _check(engine: EngineConfig) -> None:
    wanted = {"engine.name": engine.name, "engine.report_to": engine.report_to}
    for setting, package in wanted.items():
        if package not in ("transformers", "none") and importlib.util.find_spec(package) is None:
            brings = "'trl[vllm]'" if package == "vllm" else package  # TRL wants a range of versions
            raise UserError(f"{setting} is {package}, which is not installed: pip install {brings}, or leave it off.")
    if engine.name == "vllm" and not torch.cuda.is_available():
        raise UserError("engine.name is vllm, which needs a CUDA GPU, and there is none here: leave it off.")
