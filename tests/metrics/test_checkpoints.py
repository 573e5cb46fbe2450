"""Checkpoints: what transformers opens, shards, adapters as PEFT merges them."""

import json

import pytest
import torch
from peft import IA3Config, LoraConfig, PeftModel, get_peft_model
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from azr.errors import UserError
from azr.metrics.sparsity import open_checkpoint
from azr.models.loading import checkpoint
from azr.world.tokenizer import build_tokenizer

LLAMA = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 40}


def llama(seed: int = 0, **config) -> LlamaForCausalLM:
    torch.manual_seed(seed)
    return LlamaForCausalLM(LlamaConfig(**LLAMA | config))


def adapted(folder, config, model=None, trained=True):
    """A base and an adapter saved to a folder; the state dict of PEFT's own merge after opening both again."""
    (model or llama()).save_pretrained(folder / "base")
    build_tokenizer().save_pretrained(folder / "base")
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


def opened(source) -> dict[str, torch.Tensor]:
    return {name: read().float() for name, read in open_checkpoint(source).items()}


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
        lora(use_rslora=True, init_lora_weights="pissa"),
        lora(modules_to_save=["lm_head", "norm"]),
        lora(use_dora=True),
        IA3Config(target_modules=["k_proj", "down_proj"], feedforward_modules=["down_proj"]),
    ],
)
def test_an_adapter_of_any_kind_is_read_as_peft_merges_it(config, tmp_path):
    merged = adapted(tmp_path, config)
    found = checkpoint(str(tmp_path / "adapter"), str(tmp_path / "base"))
    same({name: tensor.float() for name, tensor in found.items()}, merged)


def test_an_adapter_of_another_base_or_alone_is_refused(tmp_path):
    adapted(tmp_path / "small", lora())
    wide, adapter = tmp_path / "wide", tmp_path / "small" / "adapter"
    llama(hidden_size=32).save_pretrained(wide)
    build_tokenizer().save_pretrained(wide)
    with pytest.raises(UserError, match="of another model"):
        checkpoint(str(adapter), str(wide))
    with pytest.raises(UserError, match="merged into its base"):
        open_checkpoint(adapter)


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
            open_checkpoint(tmp_path / name)
