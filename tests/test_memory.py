"""Memory from the config alone, against real small models: parameters, adapters, caches and what autograd keeps."""

import os

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import (
    AutoModelForCausalLM,
    Gemma3TextConfig,
    GemmaConfig,
    LlamaConfig,
    PhiConfig,
    Qwen2Config,
    Qwen3Config,
)

from azr.memory import (
    ADAM_BYTES,
    GIB,
    Workload,
    activation_bytes,
    advice,
    kv_cache_bytes,
    lora_parameters,
    machine_memory,
    predict,
    shape_of,
)

SIZE = {
    "hidden_size": 64,
    "intermediate_size": 176,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 300,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
CONFIGS = {
    "llama": LlamaConfig(**SIZE),
    "llama tied": LlamaConfig(**SIZE, tie_word_embeddings=True),
    "qwen2": Qwen2Config(**SIZE, tie_word_embeddings=True),
    "qwen3": Qwen3Config(**SIZE, head_dim=32),
    "gemma": GemmaConfig(**SIZE, head_dim=16),
    "phi": PhiConfig(**SIZE),
}
ARCHITECTURES = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
PLAIN = Workload(rows=2, generation_rows=2, prompt_tokens=24, completion_tokens=8, lora_rank=8, weights="bfloat16")


def real(config):
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config)


@ARCHITECTURES
def test_parameters_are_those_of_the_model(config):
    assert shape_of(config).parameters == real(config).num_parameters()


@ARCHITECTURES
@pytest.mark.parametrize("targets", ["all-linear", ("q_proj", "v_proj"), ("q_proj", "fc1", "up_proj")])
def test_adapters_are_those_of_peft(config, targets):
    names = targets if isinstance(targets, str) else list(targets)
    model = get_peft_model(real(config), LoraConfig(r=6, target_modules=names, task_type="CAUSAL_LM"))
    trained, everything = model.get_nb_trainable_parameters()
    shape = shape_of(config)
    assert lora_parameters(shape, 6, targets) == trained
    assert shape.parameters == everything - trained


@pytest.mark.parametrize(
    "config",
    [*CONFIGS.values(), Gemma3TextConfig(**SIZE, head_dim=16, sliding_window=8, layer_types=None)],
    ids=[*CONFIGS, "gemma3 with windows"],
)
def test_the_cache_is_that_of_a_forward_pass(config):
    with torch.no_grad():
        cache = real(config).eval()(torch.ones(2, 32, dtype=torch.long), use_cache=True).past_key_values
    kept = sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)
    predicted = kv_cache_bytes(shape_of(config), 2, 32, 4)
    assert kept <= predicted <= 1.2 * kept


def kept_by_autograd(config, work: Workload) -> int:
    """Bytes that the decoder keeps for the backward pass, parameters apart."""
    model = real(config).to(getattr(torch, work.weights)).train()
    if work.lora_rank:
        adapter = LoraConfig(r=work.lora_rank, target_modules=work.lora_targets, task_type="CAUSAL_LM")
        model = get_peft_model(model, adapter).base_model.model
    if work.gradient_checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
        model.enable_input_require_grads()
    own = {tensor.untyped_storage().data_ptr() for tensor in [*model.parameters(), *model.buffers()]}
    kept: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if (place := tensor.untyped_storage().data_ptr()) not in own:
            kept[place] = tensor
        return tensor

    tokens = torch.ones(work.rows, work.prompt_tokens + work.completion_tokens, dtype=torch.long)
    mask = tokens.clone()
    mask[0, :3] = 0
    with (
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
        torch.autocast("cpu", torch.bfloat16, enabled=work.autocast),
    ):
        output = model.model(input_ids=tokens, attention_mask=mask, use_cache=False)[0]
    total = sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
    del output
    return total


TRAININGS = {
    "LoRA, mixed": {"lora_rank": 8, "autocast": True},
    "LoRA, bf16": {"lora_rank": 8, "autocast": False},
    "LoRA on two layers": {"lora_rank": 8, "lora_targets": ("q_proj", "v_proj"), "autocast": True},
    "full, bf16": {"lora_rank": None, "autocast": False},
    "full, fp32": {"lora_rank": None, "autocast": False, "weights": "float32"},
    "full, mixed": {"lora_rank": None, "autocast": True, "weights": "float32"},
}


@ARCHITECTURES
@pytest.mark.parametrize("training", TRAININGS.values(), ids=TRAININGS)
def test_activations_are_near_what_autograd_keeps(config, training):
    settings = {"rows": 2, "prompt_tokens": 96, "completion_tokens": 32, "gradient_checkpointing": False} | training
    work = Workload(**settings)
    ratio = activation_bytes(shape_of(config), work) / kept_by_autograd(config, work)
    low, high = (0.6, 1.4) if config.model_type == "phi" else (0.8, 1.25)
    assert low < ratio < high, ratio


def test_checkpointing_keeps_the_layers_inputs_and_works_in_one_layer():
    config = CONFIGS["llama"]
    shape = shape_of(config)
    on = Workload(rows=2, prompt_tokens=96, completion_tokens=32, gradient_checkpointing=True)
    off = Workload(rows=2, prompt_tokens=96, completion_tokens=32, gradient_checkpointing=False)
    tokens = 2 * 128
    one_layer = (activation_bytes(shape, off) - 2 * 128**2) // 3
    inputs = tokens * 3 * 64 * 2
    assert activation_bytes(shape, on) == pytest.approx(inputs + one_layer, rel=0.15)
    assert activation_bytes(shape, on) < activation_bytes(shape, off)


def test_the_parts_by_hand():
    config = CONFIGS["llama"]
    shape = shape_of(config)
    memory = predict(config, PLAIN)
    adapter = lora_parameters(shape, 8)
    assert memory.weights == 2 * shape.parameters
    assert (memory.adapter, memory.gradients, memory.optimizer) == (4 * adapter, 4 * adapter, ADAM_BYTES * adapter)
    assert memory.kv_cache == 2 * 32 * 3 * 2 * (2 * 16) * 2
    assert memory.logits == 2 * 8 * 300 * 2 + 2 * 8 * 64 * (4 + 2 * 2)
    assert memory.merging == 2 * sum(inputs * outputs for _, inputs, outputs in shape.linears)
    full = predict(config, Workload(lora_rank=None, weights="float32"))
    assert full.weights + full.gradients + full.optimizer == 16 * shape.parameters
    split = predict(config, Workload(lora_rank=None, weights="float32", shards=4))
    assert split.held == full.held // 4


@pytest.mark.parametrize(
    ("name", "millions", "config"),
    [
        # Published: 0.49 B, 3.09 B and 7.61 B parameters (model cards of Qwen2.5).
        ("0.5B", 494.0, {"hidden": 896, "inner": 4864, "layers": 24, "heads": 14, "keys": 2, "tied": True}),
        ("3B", 3085.9, {"hidden": 2048, "inner": 11008, "layers": 36, "heads": 16, "keys": 2, "tied": True}),
        ("7B", 7615.6, {"hidden": 3584, "inner": 18944, "layers": 28, "heads": 28, "keys": 4, "tied": False}),
    ],
)
def test_real_sizes_are_counted_without_memory(name, millions, config):
    qwen = Qwen2Config(
        hidden_size=config["hidden"],
        intermediate_size=config["inner"],
        num_hidden_layers=config["layers"],
        num_attention_heads=config["heads"],
        num_key_value_heads=config["keys"],
        tie_word_embeddings=config["tied"],
        vocab_size=152064 if name == "7B" else 151936,
    )
    assert round(shape_of(qwen).parameters / 1e6, 1) == millions


def test_advice_names_the_first_knobs_that_are_enough():
    config = CONFIGS["qwen2"]
    work = Workload(rows=64, generation_rows=8, gradient_checkpointing=False)
    room = predict(config, Workload(rows=64, generation_rows=8)).peak
    assert advice(config, work, 10 * GIB * 100, cuda=False).startswith("fits: ")
    sentence = advice(config, work, room, cuda=False)
    assert sentence.startswith("does not fit: ")
    assert "; train.gradient_checkpointing=true makes it " in sentence
    tight = predict(config, Workload(rows=8, generation_rows=8)).peak
    assert "train.micro_batch=8 makes it" in advice(config, work, tight, cuda=False)
    assert advice(config, work, 1000, cuda=False).endswith("take a smaller model or split it over more devices")


def test_advice_does_not_turn_what_does_not_help():
    config = CONFIGS["qwen2"]
    work = Workload(rows=1, generation_rows=4096)
    room = predict(config, Workload(rows=1, generation_rows=1024)).peak
    sentence = advice(config, work, room, cuda=False)
    assert "rollout.chunk=1024 makes it" in sentence
    assert "train.micro_batch" not in sentence


def test_the_table_has_a_line_for_every_part():
    lines = predict(CONFIGS["phi"], PLAIN).table().splitlines()
    assert [line.split("  ")[0] for line in lines] == [
        *("parameters", "trained", "weights", "adapter", "gradients", "optimizer", "kv cache", "prefill"),
        *("merging", "activations", "logits", "generating", "training", "peak"),
    ]
    assert len({len(line) for line in lines}) == 1


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ({"rows": 0}, "at least 1"),
        ({"weights": "int3"}, "no dtype"),
        ({"lora_targets": ("x",)}, "no linear layer named"),
    ],
)
def test_impossible_workloads_are_refused(bad, reason):
    with pytest.raises(ValueError, match=reason):
        predict(CONFIGS["llama"], Workload(**bad))


def test_this_machine_has_memory():
    size, cuda = machine_memory()
    assert cuda == torch.cuda.is_available()
    assert cuda or size == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
