"""Whether a model fits: bytes by part for training and sampling it with a profile, from its configuration alone.

    profile = load_profile("gpu")
    sum(predict(costs(load_config(profile.model.name), profile), profile)["training"].values())
    azr doctor --model Qwen/Qwen2.5-Coder-3B --profile gpu

Parameters are counted on PyTorch's meta device. What autograd keeps is measured on one and two layers with blank
weights and few tokens, since it is linear in both: so any architecture is right that this machine can run. Left out:
splitting over devices, vLLM (which takes the share of memory that it is given), workspaces of kernels.
"""

from __future__ import annotations

import copy
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.lora import LoraLayer
from torch.autograd.graph import saved_tensors_hooks
from transformers import AutoModelForCausalLM, DynamicCache, PretrainedConfig

from azr.config import Profile
from azr.models.loading import load_config
from azr.models.machine import GIB, gpus, memory_bytes
from azr.models.sampling import READ

FP32, ADAM = 4, 8
"""Bytes of a number in fp32, and of the two moments of a trained parameter."""
TRAIN_LOGITS, SAMPLE_LOGITS = 4, 5
"""Copies in fp32 of the logits of all response tokens in training, and of the next token's in sampling."""
SPARE, CONTEXT = 1.05, 700 << 20
"""What an allocator loses; bytes that a CUDA process takes before its first tensor."""
PROMPT = {"compact": (64, 64), "paper": (900, 180), "paper-chat": (900, 180)}
"""Tokens of the longest instruction, and of each reference shown with it: generous assumptions."""
TOKENS = (16, 48)
"""Tokens of the two measurements."""
SAVING = "set train.gradient_checkpointing=true, then halve train.micro_batch, rollout.chunk or rollout.max_new_tokens"
"""What brings memory down, the cheapest for the result first."""


@dataclass(frozen=True)
class Costs:
    """What a model costs by piece."""

    parameters: int
    trained: int
    merged: int
    """Parameters of the weights that an adapter is merged into, of which sampling keeps a copy."""
    kept: tuple[float, float, float, float]
    """Bytes that autograd keeps once, for each layer, each token, and each token of each layer."""
    cached: float
    """Bytes of keys and values of a token in a layer."""
    layers: int
    hidden: int
    vocabulary: int


def costs(config: PretrainedConfig, profile: Profile) -> Costs:
    """Count and measure a model; of the profile only its section ``model`` matters."""
    text = config.get_text_config()
    with torch.device("meta"):
        model = _adapted(AutoModelForCausalLM.from_config(config), profile)
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    parameters = sum(p.numel() for p in model.parameters()) - (0 if profile.model.full else trained)
    merged = sum(m.get_base_layer().weight.numel() for m in model.modules() if isinstance(m, LoraLayer))
    sizes = [(layers, tokens) for layers in (1, 2) for tokens in TOKENS]
    measured = [_kept(config, profile, *size) for size in sizes]
    terms = [[1, layers, tokens, layers * tokens] for layers, tokens in sizes]
    kept = np.linalg.solve(terms, [own for own, _ in measured])
    cached = measured[-1][1] / (2 * TOKENS[1])
    shape = (text.num_hidden_layers, text.hidden_size, text.vocab_size)
    return Costs(parameters, trained, merged, tuple(kept.tolist()), cached, *shape)


def _adapted(model: Any, profile: Profile) -> Any:
    if profile.model.full:
        return model
    adapter = LoraConfig(r=profile.model.lora_rank, target_modules="all-linear", task_type="CAUSAL_LM")
    with warnings.catch_warnings(action="ignore"):  # PEFT's, of names that transformers deprecates
        return get_peft_model(model, adapter).get_base_model()


def _kept(config: PretrainedConfig, profile: Profile, layers: int, tokens: int) -> tuple[int, int]:
    """Bytes that autograd keeps of one row, parameters and logits apart, and of its cache of keys and values."""
    config = copy.deepcopy(config)
    text = config.get_text_config()
    text.num_hidden_layers, text.vocab_size, text.pad_token_id = layers, 8, None
    if getattr(text, "layer_types", None):
        text.layer_types = text.layer_types[:layers]
    with torch.device("meta"):
        blank = AutoModelForCausalLM.from_config(config, dtype=getattr(torch, profile.model.weights))
    model = _adapted(blank.to_empty(device="cpu"), profile).train().base_model
    own = {tensor.untyped_storage().data_ptr() for tensor in [*model.parameters(), *model.buffers()]}
    kept: dict[int, torch.Tensor] = {}
    keep = saved_tensors_hooks(lambda own: kept.update({own.untyped_storage().data_ptr(): own}), lambda kept: kept)
    with keep, torch.autocast("cpu", torch.bfloat16, enabled=profile.model.dtype == "bfloat16"):  # never backward
        cache = DynamicCache()  # as in sampling, where windows do not shorten it
        output = model(torch.zeros(1, tokens, dtype=torch.long), past_key_values=cache)[0]  # held until all is counted
    cached = sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)
    total = sum(t.untyped_storage().nbytes() for place, t in kept.items() if place not in own)
    del output
    return total, cached


def predict(found: Costs, profile: Profile) -> dict[str, dict[str, int]]:
    """Bytes on one device by what they are for (held throughout, while sampling, while training) and by part."""
    size, layers = getattr(torch, profile.model.weights).itemsize, found.layers
    once, layer, token, both = found.kept
    instruction, reference = PROMPT[profile.model.prompt_style]
    prompt, response = instruction + reference * profile.rollout.references, profile.rollout.max_new_tokens
    chunk = profile.rollout.chunk if profile.engine.name == "transformers" else 0
    rows, again = profile.train.micro_batch, profile.train.gradient_checkpointing
    a_token = token + (both + layers * found.hidden * size if again else both * layers)  # or one layer computed anew
    parts = {
        "held": {
            "weights": found.parameters * size,
            "adapter": 0 if profile.model.full else found.trained * FP32,
            "gradients": found.trained * FP32,
            "optimizer": found.trained * ADAM,
        },
        "sampling": {
            "kv cache": chunk * (prompt + response) * layers * found.cached,
            "reading": min(READ, chunk) * prompt * both,
            "scores": chunk * found.vocabulary * FP32 * SAMPLE_LOGITS,
            "merging": found.merged * size if chunk else 0,
        },
        "training": {
            "activations": once + layer * layers + rows * (prompt + response) * a_token,
            "logits": rows * response * found.vocabulary * FP32 * TRAIN_LOGITS,
        },
    }
    return {when: {part: int(count) for part, count in own.items()} for when, own in parts.items()}


def peak(parts: dict[str, dict[str, int]]) -> int:
    """Bytes at the height of a step, with what an allocator loses."""
    held, sampling, training = (sum(parts[when].values()) for when in ("held", "sampling", "training"))
    return int((held + max(sampling, training)) * SPARE)


def verdict(needed: int, room: int) -> str:
    """One sentence: whether so many bytes fit into the room that there is, and if not what helps."""
    numbers = f"{needed / GIB:.1f} of {room / GIB:.1f} GiB"
    if needed <= room:
        return f"fits: {numbers}"
    return f"does not fit: {numbers}; {SAVING}, or take a smaller model"


def fit_report(profile: Profile) -> list[tuple[str, str]]:
    """Pairs of heading and line: memory by part, and whether it fits. Raises UserError where there is no such model."""
    found = costs(load_config(profile.model.name), profile)
    parts = predict(found, profile)
    cards = [size for _, size in gpus()]
    share = profile.engine.vllm_gpu_memory_utilization if profile.engine.name == "vllm" else 0.0
    room = int(min(cards) * (1 - share)) - CONTEXT if cards else memory_bytes()
    where = "this machine's GPU" if cards else "this machine's memory (it has no GPU)"
    what = "full training" if profile.model.full else f"LoRA of rank {profile.model.lora_rank}"
    return [
        ("model", f"{profile.model.name}, {what}, profile {profile.name}"),
        ("count", f"{found.parameters / 1e6:,.1f} M parameters, {found.trained / 1e6:,.2f} M trained"),
        *[(when, f"{part:<12}{size / GIB:>8.2f} GiB") for when, own in parts.items() for part, size in own.items()],
        ("peak", f"{'':<12}{peak(parts) / GIB:>8.2f} GiB"),
        ("verdict", f"{where}: {verdict(peak(parts), room)}"),
    ]
