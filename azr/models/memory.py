"""Whether a model fits: bytes by part for training and sampling it with a profile, from its configuration alone.

    profile = load_profile("gpu")
    costs(load_config(profile.model.name), profile).peak
    azr doctor --model Qwen/Qwen2.5-Coder-3B --profile gpu

Parameters are counted on PyTorch's meta device. What autograd keeps is measured in a forward pass of fake tensors,
which have shapes and no values: so any architecture is right, and nothing of its size is allocated. Left out: splitting
over devices, vLLM (which takes the share of memory that it is given), workspaces of kernels.
"""

import warnings
from dataclasses import dataclass

import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.lora import LoraLayer
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks
from torch.func import functional_call
from transformers import AutoModelForCausalLM, DynamicCache, PretrainedConfig, PreTrainedModel

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
PROMPT = {"compact": (64, 64), "paper": (900, 180), "paper-chat": (900, 180), "plain": (150, 150)}
"""Tokens of the longest instruction, and of each reference shown with it: generous assumptions."""


@dataclass(frozen=True)
class Costs:
    """What a model costs with a profile on one device."""

    parameters: int
    trained: int
    parts: dict[str, dict[str, int]]
    """Bytes by what they are for (held throughout, while sampling, while training) and by part."""

    @property
    def peak(self) -> int:
        """Bytes at the height of a step, with what an allocator loses."""
        held, sampling, training = (sum(own.values()) for own in self.parts.values())
        return int((held + max(sampling, training)) * SPARE)


def costs(config: PretrainedConfig, profile: Profile) -> Costs:
    own, rollout, train, text = profile.model, profile.rollout, profile.train, config.get_text_config()
    with torch.device("meta"), warnings.catch_warnings(action="ignore"):  # PEFT's, of names that are deprecated
        model = AutoModelForCausalLM.from_config(config, dtype=getattr(torch, own.weights))
        if not own.full:
            adapter = LoraConfig(r=own.lora_rank, target_modules="all-linear", task_type="CAUSAL_LM")
            model = get_peft_model(model, adapter).get_base_model()
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    parameters = sum(p.numel() for p in model.parameters()) - (0 if own.full else trained)
    merged = sum(m.get_base_layer().weight.numel() for m in model.modules() if isinstance(m, LoraLayer))

    instruction, reference = PROMPT[own.prompt_style]
    prompt, response = instruction + reference * rollout.references, rollout.max_new_tokens
    chunk = rollout.chunk if profile.engine.name == "transformers" else 0
    size, layers, tokens = getattr(torch, own.weights).itemsize, text.num_hidden_layers, prompt + response
    kept, cached = _kept(model, profile, tokens)
    a_layer = kept / tokens / layers
    if train.gradient_checkpointing:  # what enters each layer, and one layer computed anew
        kept = tokens * (layers * text.hidden_size * size + a_layer)
    parts = {
        "held": {
            "weights": parameters * size,
            "adapter": 0 if own.full else trained * FP32,
            "gradients": trained * FP32,
            "optimizer": trained * ADAM,
        },
        "sampling": {
            "kv cache": chunk * cached,
            "reading": min(READ, chunk) * prompt * a_layer,
            "scores": chunk * text.vocab_size * FP32 * SAMPLE_LOGITS,
            # A copy of the weights that an adapter is merged into: float32 ones, or any for vLLM.
            "merging": merged * size if size == FP32 or not chunk else 0,
        },
        "training": {
            "activations": train.micro_batch * kept,
            "logits": train.micro_batch * response * text.vocab_size * FP32 * TRAIN_LOGITS,
        },
    }
    whole = {when: {part: int(count) for part, count in counts.items()} for when, counts in parts.items()}
    return Costs(parameters, trained, whole)


def _kept(model: PreTrainedModel, profile: Profile, tokens: int) -> tuple[int, int]:
    """Bytes that autograd keeps of a row, parameters and logits apart, and of its cache of keys and values.

    ``model`` is on the meta device.
    """
    decoder, kept = model.train().base_model, {}
    with FakeTensorMode():
        named = [*decoder.named_parameters(), *decoder.named_buffers()]
        held = {name: torch.empty(t.shape, dtype=t.dtype, requires_grad=t.requires_grad) for name, t in named}
        own = {tensor.untyped_storage()._cdata for tensor in held.values()}
        keep = saved_tensors_hooks(lambda t: kept.update({t.untyped_storage()._cdata: t}) or t, lambda t: t)
        with keep, torch.autocast("cpu", torch.bfloat16, enabled=profile.model.dtype == "bfloat16"):
            cache = DynamicCache()  # as in sampling, where windows do not shorten it
            row = torch.zeros(1, tokens, dtype=torch.long)
            output = functional_call(decoder, held, row, {"past_key_values": cache})  # held until all is counted
        total = sum(t.untyped_storage().nbytes() for place, t in kept.items() if place not in own)
        cached = sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)
        del output
    return total, cached


def saving(profile: Profile) -> str:
    """What is left to bring memory down, the cheapest for the result first."""
    chunk = {"rollout.chunk": profile.rollout.chunk if profile.engine.name == "transformers" else 1}
    sizes = {"train.micro_batch": profile.train.micro_batch, **chunk, "rollout.max_new_tokens": 2}
    halve = "halve " + " or ".join(name for name, size in sizes.items() if size > 1)
    return halve if profile.train.gradient_checkpointing else f"set train.gradient_checkpointing=true, then {halve}"


def verdict(needed: int, room: int, relief: str) -> str:
    """One sentence: whether so many bytes fit into the room that there is, and if not what helps."""
    numbers = f"{needed / GIB:.1f} of {room / GIB:.1f} GiB"
    if needed <= room:
        return f"fits: {numbers}"
    return f"does not fit: {numbers}; {relief}, or take a smaller model"


def fit_report(profile: Profile) -> list[tuple[str, str]]:
    """Pairs of heading and line: memory by part, and whether it fits. Raises UserError where there is no such model."""
    found = costs(load_config(profile.model.name), profile)
    cards = [size for _, size in gpus()]
    share = profile.engine.vllm_gpu_memory_utilization if profile.engine.name == "vllm" else 0.0
    room = int(min(cards) * (1 - share)) - CONTEXT if cards else memory_bytes()
    where = "this machine's GPU" if cards else "this machine's memory (it has no GPU)"
    what = "full training" if profile.model.full else f"LoRA of rank {profile.model.lora_rank}"
    parts = [
        (when, f"{part:<12}{size / GIB:>8.2f} GiB") for when, own in found.parts.items() for part, size in own.items()
    ]
    return [
        ("model", f"{profile.model.name}, {what}, profile {profile.name}"),
        ("count", f"{found.parameters / 1e6:,.1f} M parameters, {found.trained / 1e6:,.2f} M trained"),
        *parts,
        ("peak", f"{'':<12}{found.peak / GIB:>8.2f} GiB"),
        ("verdict", f"{where}: {verdict(found.peak, room, saving(profile))}"),
    ]
