"""Memory from the configuration alone, against real small models: parameters, adapters, caches, what autograd keeps."""

from __future__ import annotations

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, DynamicCache, GPT2Config, PhiConfig, Qwen2Config

from azr.config import Profile, override
from azr.models.memory import ADAM, FP32, GIB, PROMPT, advice, costs, fit_report, peak, predict

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

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if (place := tensor.untyped_storage().data_ptr()) not in own:
            kept[place] = tensor
        return tensor

    with (
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
        torch.autocast("cpu", torch.bfloat16, enabled=profile.model.dtype == "bfloat16"),
    ):
        output = model.base_model(torch.ones(profile.train.micro_batch, TOKENS, dtype=torch.long), use_cache=False)
    total = sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
    del output
    return total


@ARCHITECTURES
@pytest.mark.parametrize("training", TRAININGS.values(), ids=TRAININGS)
def test_activations_are_near_what_autograd_keeps(kind, training):
    config, profile = deeper(kind), override(BASE, training)
    predicted = predict(costs(config, profile), profile)["training"]["activations"]
    assert 0.8 < predicted / kept_by_autograd(config, profile) < 1.25


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
    assert 2 * 5 * 3 * found.cached == sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)


def test_the_parts_by_hand():
    config = deeper("llama")
    found, parts = costs(config, BASE), predict(costs(config, BASE), BASE)
    assert parts["held"] == {
        "weights": FP32 * found.parameters,
        "adapter": FP32 * found.trained,
        "gradients": FP32 * found.trained,
        "optimizer": ADAM * found.trained,
    }
    assert parts["sampling"]["kv cache"] == BASE.rollout.chunk * TOKENS * 3 * 2 * (2 * 8) * FP32
    full = override(BASE, {"model.full": True})
    assert sum(predict(costs(config, full), full)["held"].values()) == 16 * found.parameters


def test_checkpointing_keeps_the_layers_inputs_and_works_in_one_layer():
    config, on = deeper("llama"), override(BASE, {"train.gradient_checkpointing": True})
    found = costs(config, BASE)
    without, with_it = (predict(found, profile)["training"]["activations"] for profile in (BASE, on))
    tokens = 2 * TOKENS
    assert without - with_it == pytest.approx(tokens * (2 * found.kept[3] - 3 * 32 * FP32), abs=1)


def test_a_published_size_is_counted_without_memory():
    qwen = Qwen2Config(  # 7.61 B parameters by the model card of Qwen2.5-7B
        hidden_size=3584,
        intermediate_size=18944,
        num_hidden_layers=28,
        num_attention_heads=28,
        num_key_value_heads=4,
        vocab_size=152064,
    )
    with torch.device("meta"):
        assert round(AutoModelForCausalLM.from_config(qwen).num_parameters() / 1e6, 1) == 7615.6


def test_advice_names_the_first_settings_that_are_enough():
    config, work = deeper("qwen2"), override(BASE, {"train.micro_batch": 48, "rollout.chunk": 8})
    found = costs(config, work)
    assert advice(config, work, 10 * GIB).startswith("fits: ")
    once = peak(predict(found, override(work, {"train.gradient_checkpointing": True})))
    assert "; train.gradient_checkpointing=true makes it " in advice(config, work, once)
    twice = peak(predict(found, override(work, {"train.gradient_checkpointing": True, "train.micro_batch": 16})))
    assert "train.gradient_checkpointing=true, train.micro_batch=16 makes it" in advice(config, work, twice)
    assert advice(config, work, 1000).endswith("take a smaller model")


def test_advice_does_not_turn_what_does_not_help():
    config, work = deeper("qwen2"), override(BASE, {"train.micro_batch": 1, "rollout.chunk": 4096})
    room = peak(predict(costs(config, work), override(work, {"rollout.chunk": 1024})))
    assert "GiB; rollout.chunk=1024 makes it" in advice(config, work, room)


def test_a_report_ends_with_a_verdict():
    lines = dict(fit_report(BASE))
    assert list(lines) == ["model", "count", "held", "sampling", "training", "peak", "verdict"]
    assert "fits" in lines["verdict"]
