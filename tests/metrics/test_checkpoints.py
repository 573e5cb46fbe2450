"""Checkpoints: what transformers opens, shards, plain adapters merged as PEFT merges them, others refused."""

import json

import pytest
import torch
from peft import IA3Config, LoraConfig, PeftModel, get_peft_model
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from azr.errors import UserError
from azr.metrics.checkpoints import open_pair

LLAMA = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 40}


def llama(seed: int = 0, **config) -> LlamaForCausalLM:
    torch.manual_seed(seed)
    return LlamaForCausalLM(LlamaConfig(**LLAMA | config))


def adapted(folder, config, model=None, trained=True):
    """A base and an adapter saved to a folder; the state dict of PEFT's own merge after opening both again."""
    (model or llama()).save_pretrained(folder / "base")
    peft_model = get_peft_model(AutoModelForCausalLM.from_pretrained(folder / "base"), config)
    generator = torch.Generator().manual_seed(1)
    for parameter in peft_model.parameters():
        if parameter.requires_grad and trained:
            parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
    peft_model.save_pretrained(folder / "adapter")
    base = AutoModelForCausalLM.from_pretrained(folder / "base")
    return PeftModel.from_pretrained(base, folder / "adapter").merge_and_unload().state_dict()


def lora(**config) -> LoraConfig:
    return LoraConfig(**{"r": 4, "lora_alpha": 6, "target_modules": ["q_proj", "down_proj"]} | config)


def opened(before, after=None) -> dict[str, torch.Tensor]:
    """All tensors of the second checkpoint, the adapter merged in."""
    _, readers = open_pair(before, after or before)
    return {name: read().float() for name, read in readers.items()}


def same(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        assert torch.allclose(ours[name], value.float(), atol=1e-6), name


def test_folders_shards_files_and_state_dicts_read_as_they_were_saved(tmp_path):
    model = llama()
    model.save_pretrained(tmp_path / "whole")
    model.save_pretrained(tmp_path / "shards", max_shard_size="8KB")
    assert len(list((tmp_path / "shards").glob("*.safetensors"))) > 2
    for source in (tmp_path / "whole", str(tmp_path / "shards"), tmp_path / "whole" / "model.safetensors"):
        same(opened(source), model.state_dict())
    same(opened(model.state_dict()), model.state_dict())
    same(opened(model.bfloat16().state_dict()), model.state_dict())


def test_files_that_transformers_does_not_open_are_not_read(tmp_path):
    model = llama()
    model.save_pretrained(tmp_path / "a")
    save_file({"old": torch.ones(3)}, tmp_path / "a" / "consolidated.safetensors")
    (tmp_path / "a" / "original").mkdir()
    save_file({"old": torch.ones(3)}, tmp_path / "a" / "original" / "model.safetensors")
    index = {"weight_map": {"old": "consolidated.safetensors"}}
    (tmp_path / "a" / "model.safetensors.index.json").write_text(json.dumps(index))
    assert opened(tmp_path / "a").keys() == AutoModelForCausalLM.from_pretrained(tmp_path / "a").state_dict().keys()
    (tmp_path / "a" / "model.safetensors").unlink()
    assert opened(tmp_path / "a").keys() == {"old"}  # as transformers would, which then misses its weights


@pytest.mark.parametrize(
    "config",
    [
        lora(target_modules="all-linear"),
        lora(use_rslora=True),
        lora(init_lora_weights="gaussian"),
        lora(init_lora_weights="orthogonal"),
    ],
)
def test_a_plain_adapter_is_merged_as_peft_merges_it(config, tmp_path):
    merged = adapted(tmp_path, config)
    same(opened(tmp_path / "base", tmp_path / "adapter"), merged)


@pytest.mark.parametrize(
    "config",
    [
        lora(init_lora_weights="pissa"),
        lora(init_lora_weights="olora"),
        lora(alpha_pattern={"layers.1.self_attn.q_proj": 64}),
        lora(rank_pattern={"q_proj": 2}),
        lora(target_modules=["embed_tokens", "lm_head"]),
        lora(modules_to_save=["lm_head", "norm"]),
        lora(use_dora=True),
        lora(trainable_token_indices=[1, 2]),
        lora(bias="lora_only"),
        IA3Config(target_modules=["k_proj", "down_proj"], feedforward_modules=["down_proj"]),
    ],
)
def test_what_is_more_than_a_plain_adapter_is_refused(config, tmp_path):
    merged = adapted(tmp_path, config)
    with pytest.raises(UserError, match="give the merged checkpoint"):
        open_pair(tmp_path / "base", tmp_path / "adapter")
    same(opened(merged), merged)


@pytest.mark.parametrize("start", [True, "eva"])
def test_an_untrained_adapter_changes_nothing(start, tmp_path):
    adapted(tmp_path, lora(init_lora_weights=start), trained=False)
    after = opened(tmp_path / "base", tmp_path / "adapter")
    for name, value in opened(tmp_path / "base").items():
        assert torch.allclose(after[name], value, atol=1e-5)


@pytest.mark.parametrize("start", ["pissa_niter_4", "loftq", "corda", "lora_ga", "something new"])
def test_an_adapter_whose_start_is_not_in_its_folder_is_refused(start, tmp_path):
    adapted(tmp_path, lora())
    settings = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    (tmp_path / "adapter" / "adapter_config.json").write_text(json.dumps(settings | {"init_lora_weights": start}))
    with pytest.raises(UserError, match="init_lora_weights"):
        open_pair(tmp_path / "base", tmp_path / "adapter")


def test_an_adapter_of_another_base_is_refused(tmp_path):
    adapted(tmp_path / "small", lora())
    llama(hidden_size=32).save_pretrained(tmp_path / "wide")
    with pytest.raises(UserError, match="give the base it was trained on"):
        opened(tmp_path / "wide", tmp_path / "small" / "adapter")
    llama(num_hidden_layers=1).save_pretrained(tmp_path / "low")
    with pytest.raises(UserError, match="give the base it was trained on"):
        open_pair(tmp_path / "low", tmp_path / "small" / "adapter")
    with pytest.raises(UserError, match="give it second"):
        open_pair(tmp_path / "small" / "adapter", tmp_path / "small" / "base")


def test_folders_without_weights_are_refused_in_a_sentence(tmp_path):
    llama().save_pretrained(tmp_path / "shards", max_shard_size="8KB")
    next((tmp_path / "shards").glob("model-*")).unlink()
    (tmp_path / "pickle").mkdir()
    (tmp_path / "pickle" / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    (tmp_path / "garbage.safetensors").write_bytes(b"no tensors at all")
    for name, said in {
        "nowhere": "save the model by save_pretrained first",
        "pickle": "save the model by save_pretrained first",
        "shards": "download it again",
        "garbage.safetensors": "no readable safetensors file",
    }.items():
        with pytest.raises(UserError, match=said):
            open_pair(tmp_path / name, tmp_path / name)
