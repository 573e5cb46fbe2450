"""TRL's settings for what samples (transformers, vLLM) and for trackers, after a look at what is installed.

>>> engine_settings(EngineConfig())
{'report_to': 'none'}

Left out: starting a vLLM server (docs/scaling.md has the command), and installing anything.
"""

from __future__ import annotations

import importlib.util
from typing import Any

import torch

from azr.config import EngineConfig
from azr.errors import UserError

ENGINES = ("transformers", "vllm-colocate", "vllm-server")
TRACKERS = ("trackio", "tensorboard", "wandb")


def engine_settings(engine: EngineConfig) -> dict[str, Any]:
    """Fields of GRPOConfig. Raises UserError for what is unknown, not installed, or without a GPU to run on."""
    settings: dict[str, Any] = tracker_settings(engine)
    if engine.name not in ENGINES:
        raise UserError(f"There is no engine '{engine.name}'; choose one of {', '.join(ENGINES)}.")
    if engine.name == "transformers":
        return settings
    if importlib.util.find_spec("vllm") is None:
        raise UserError(
            f"The engine {engine.name} needs vLLM, which is not installed: pip install 'trl[vllm]', "
            "or set engine.name=transformers."
        )
    if not torch.cuda.is_available():
        raise UserError(f"The engine {engine.name} needs a CUDA GPU, and there is none: set engine.name=transformers.")
    settings["use_vllm"] = True
    # AZR takes log-probabilities from the trainer's own forward pass, and so does this loss: nothing to correct for.
    settings["vllm_importance_sampling_correction"] = False
    if engine.name == "vllm-colocate":
        return settings | {
            "vllm_mode": "colocate",
            "vllm_gpu_memory_utilization": engine.vllm_gpu_memory_utilization,
            "vllm_tensor_parallel_size": engine.vllm_tensor_parallel_size,
        }
    return settings | {
        "vllm_mode": "server",
        "vllm_server_host": engine.vllm_server_host,
        "vllm_server_port": engine.vllm_server_port,
    }


def tracker_settings(engine: EngineConfig) -> dict[str, Any]:
    """The part of them that any trainer has."""
    tracker = engine.report_to
    if tracker != "none" and tracker not in TRACKERS:
        raise UserError(f"There is no tracker '{tracker}'; choose one of none, {', '.join(TRACKERS)}.")
    if tracker != "none" and importlib.util.find_spec(tracker) is None:
        raise UserError(f"The tracker {tracker} is not installed: pip install {tracker}, or set engine.report_to=none.")
    return {"report_to": tracker}
