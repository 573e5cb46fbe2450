"""Memory from the configuration alone, against real small models: parameters, adapters, caches, what autograd keeps."""

from __future__ import annotations

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch.autograd.graph import saved_tensors_hooks
from transformers import AutoModelForCausalLM, DynamicCache, GPT2Config, PhiConfig

from azr.config import Profile, override
from azr.models.memory import ADAM, FP32, GIB, PROMPT, costs, fit_report, saving, verdict

from .tiny import CONFIGS, SIZE

MODELS = CONFIGS | {"phi": PhiConfig(**SIZE), "gpt2": GPT2Config(**CONFIGS["gpt2"].to_dict() | {"attn_pdrop": 0.0})}
FAST = ("llama", "gemma3 with windows")
ARCHITECTURES = pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=() if kind in FAST else pytest.mark.slow) for kind in MODELS]
)
TRAININGS = {
    "LoRA": {"model.dtype": "float32"},
    "LoRA, mixed": {"model.dtype": "bfloat16"},
    "full": {"model.full": True, "model.dtype": "float32"},
    "full, mixed": {"model.full": True, "model.dtype": "bfloat16"},
}
BASE = override(
    Profile(name="test"),
    {"model.lora_rank": 8, "train.micro_batch": 2, "rollout.max_new_tokens": 32, "rollout.references": 1},
)
TOKENS = sum(PROMPT["compact"]) + 32


def deeper(kind: str):
    """The configuration with three layers."""
    config = MODELS[kind].__class__(**(MODELS[kind].to_dict() | {"num_hidden_layers": 3, "layer_types": None}))
    if config.model_type == "gpt2":
        del config.layer_types
    return config


def kept_by_autograd(config, profile: Profile) -> int:
    """Bytes that the real decoder keeps for the backward pass, parameters apart."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, dtype=getattr(torch, profile.model.weights)).train()
    if not profile.model.full:
        adapter = LoraConfig(r=profile.model.lora_rank, target_modules="all-linear", task_type="CAUSAL_LM")
        model = get_peft_model(model, adapter).get_base_model()
    own = {tensor.untyped_storage().data_ptr() for tensor in [*model.parameters(), *model.buffers()]}
    kept: dict[int, torch.Tensor] = {}
    with (
        saved_tensors_hooks(lambda own: kept.update({own.untyped_storage().data_ptr(): own}), lambda kept: kept),
        torch.autocast("cpu", torch.bfloat16, enabled=profile.model.dtype == "bfloat16"),
    ):
        output = model.base_model(torch.ones(profile.train.micro_batch, TOKENS, dtype=torch.long), use_cache=False)
    total = sum(tensor.untyped_storage().nbytes() for place, tensor in kept.items() if place not in own)
    del output
    return total


@ARCHITECTURES
@pytest.mark.parametrize("training", TRAININGS.values(), ids=TRAININGS)
def test_activations_are_near_what_autograd_keeps(kind, training):
    config, profile = deeper(kind), override(BASE, training)
    predicted = costs(config, profile).parts["training"]["activations"]
    assert 0.9 < predicted / kept_by_autograd(config, profile) < 1.1


@ARCHITECTURES
def test_parameters_and_cache_are_those_of_the_model(kind):
    config = deeper(kind)
    found = costs(config, BASE)
    model = AutoModelForCausalLM.from_config(config).eval()
    adapter = LoraConfig(r=8, target_modules="all-linear", task_type="CAUSAL_LM")
    assert found.parameters == model.num_parameters()
    assert found.trained == get_peft_model(model, adapter).get_nb_trainable_parameters()[0]
    cache = DynamicCache()
    with torch.no_grad():
        model(torch.ones(2, 5, dtype=torch.long), past_key_values=cache)
    a_token = sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers) / (2 * 5)
    assert found.parts["sampling"]["kv cache"] == BASE.rollout.chunk * TOKENS * a_token


def test_the_parts_by_hand():
    config = deeper("llama")
    found, parts = costs(config, BASE), costs(config, BASE).parts
    assert parts["held"] == {
        "weights": FP32 * found.parameters,
        "adapter": FP32 * found.trained,
        "gradients": FP32 * found.trained,
        "optimizer": ADAM * found.trained,
    }
    assert parts["sampling"]["kv cache"] == BASE.rollout.chunk * TOKENS * 3 * 2 * (2 * 8) * FP32
    full = costs(config, override(BASE, {"model.full": True}))
    assert sum(full.parts["held"].values()) == 16 * found.parameters
    assert parts["sampling"]["merging"] > 0
    assert costs(config, override(BASE, {"model.dtype": "bfloat16"})).parts["sampling"]["merging"] == 0
    again = costs(config, override(BASE, {"train.gradient_checkpointing": True}))
    assert again.parts["training"]["activations"] < parts["training"]["activations"]


def test_what_does_not_fit_is_told_what_helps():
    assert verdict(GIB, 2 * GIB, "help") == "fits: 1.0 of 2.0 GiB"
    assert "1.0 of 0.5 GiB; help, or" in verdict(GIB, GIB // 2, "help")
    assert "gradient_checkpointing=true, then halve train.micro_batch" in saving(BASE)
    set_already = override(BASE, {"train.gradient_checkpointing": True, "train.micro_batch": 1})
    assert saving(set_already).startswith("halve rollout.chunk or rollout.max_new_tokens")


def test_a_report_ends_with_a_verdict():
    lines = dict(fit_report(BASE))
    assert list(lines) == ["model", "count", "held", "sampling", "training", "peak", "verdict"]
    assert "fits" in lines["verdict"]
