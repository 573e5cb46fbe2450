"""Loading models: local folders, adapters, and what is said when there is no such model."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import warnings
from types import SimpleNamespace

import pytest
import torch
from peft import LoraConfig, get_peft_model
from training.tiny import TOKENIZER, save_tiny, tiny_model
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from azr import models
from azr.errors import UserError
from azr.models import BUILT_IN, four_bit_settings, load_config, load_model, load_style, resolve
from azr.prompts.compact import CompactStyle
from azr.prompts.paper import PaperStyle
from azr.world.base import CHECKPOINTS

IDS = torch.tensor([[1, 5, 9, 20]])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_tiny(tmp_path_factory.mktemp("tiny"))


def test_a_folder_opens_for_evaluation_and_pads_on_the_left(folder):
    model, tokenizer = load_model(str(folder))
    assert not model.training
    assert model.dtype == torch.float32
    assert tokenizer.padding_side == "left"
    assert torch.equal(model(IDS).logits, tiny_model()(IDS).logits)


def test_the_type_of_the_weights_can_be_chosen(folder):
    assert load_model(str(folder), "bfloat16")[0].dtype == torch.bfloat16


def test_an_adapter_is_merged(folder, tmp_path):
    adapted = get_peft_model(tiny_model(), LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM"))
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.1)
    adapted.save_pretrained(tmp_path)
    merged, _ = load_model(str(folder), adapter=tmp_path)
    torch.testing.assert_close(merged(IDS).logits, adapted.eval()(IDS).logits, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(merged(IDS).logits, tiny_model()(IDS).logits, atol=1e-3)
    assert not any("lora" in name for name, _ in merged.named_parameters())


def test_a_tokenizer_without_padding_pads_with_its_end_token(tmp_path):
    tiny_model().save_pretrained(tmp_path)
    PreTrainedTokenizerFast(tokenizer_object=TOKENIZER.backend_tokenizer, eos_token="<eos>").save_pretrained(tmp_path)
    assert AutoTokenizer.from_pretrained(tmp_path).pad_token is None
    assert load_model(str(tmp_path))[1].pad_token == "<eos>"


def test_built_in_names_stand_for_folders_of_the_package():
    assert [resolve(name) for name in BUILT_IN] == [str(CHECKPOINTS / name) for name in BUILT_IN]
    assert resolve("some/model") == "some/model"


@pytest.mark.parametrize(
    ("name", "said"),
    [("no-such-org/no-such-model", "not here and the hub cannot be reached"), ("what is this?", "There is no model")],
)
def test_a_name_that_is_no_model_is_the_users_mistake(name, said):
    with pytest.raises(UserError, match=said):
        load_model(name)


def test_a_folder_without_a_model_is_the_users_mistake(tmp_path):
    with pytest.raises(UserError, match="holds no causal language model with its tokenizer"):
        load_model(str(tmp_path))


def test_prompt_styles_by_name():
    assert isinstance(load_style("compact", TOKENIZER), CompactStyle)
    chat = PreTrainedTokenizerFast(tokenizer_object=TOKENIZER.backend_tokenizer, chat_template="{{ messages }}")
    assert isinstance(load_style("paper", chat), PaperStyle)
    with pytest.raises(UserError, match="no prompt style 'poem'; choose compact or paper"):
        load_style("poem", TOKENIZER)


def test_the_models_own_sampling_defaults_are_left_behind(tmp_path):
    model = tiny_model()
    model.generation_config.do_sample = True
    model.generation_config.top_p = 0.5
    model.generation_config.repetition_penalty = 2.0
    model.save_pretrained(tmp_path)
    TOKENIZER.save_pretrained(tmp_path)
    settings = load_model(str(tmp_path))[0].generation_config
    assert settings.top_p in (None, 1.0)
    assert settings.repetition_penalty in (None, 1.0)
    assert settings.eos_token_id == model.generation_config.eos_token_id


def test_the_paper_style_needs_no_chat_template():
    assert isinstance(load_style("paper", TOKENIZER), PaperStyle)


@pytest.fixture
def online(monkeypatch):
    """Makes the hub answer with an error, as transformers passes it on."""

    def answer(error: Exception, cause: Exception | None = None) -> None:
        def raises(*_: object, **__: object) -> None:
            raise error from cause

        for kind in ("AutoTokenizer", "AutoConfig", "AutoModelForCausalLM"):
            monkeypatch.setattr(f"azr.models.{kind}.from_pretrained", raises)

    return answer


class GatedRepoError(Exception):
    """By name what huggingface_hub raises."""


@pytest.mark.parametrize("load", [load_model, load_config])
@pytest.mark.parametrize(
    ("error", "cause", "said"),
    [
        (OSError("You are trying to access a gated repo."), GatedRepoError("401 Client Error"), "is gated: accept its"),
        (OSError("We couldn't connect to the hub"), ConnectionError("Name or service not known"), "cannot be reached"),
        (OSError("no files in the disk cache and outgoing traffic has been disabled"), None, "cannot be reached"),
        (OSError("org/name is not a valid model identifier"), None, "There is no model 'org/name'"),
        (ValueError("Unrecognized configuration class for this kind of AutoModel"), None, "no causal language model"),
        (ImportError("tiktoken is required\nto read this file"), None, "not installed: tiktoken is required$"),
    ],
)
def test_what_the_hub_answers_is_one_sentence(online, load, error, cause, said):
    online(error, cause)
    with pytest.raises(UserError, match=said) as raised:
        load("org/name")
    assert "\n" not in str(raised.value)


def test_a_folder_with_torn_weights_is_the_users_mistake(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "torn")
    (tmp_path / "torn" / "model.safetensors").write_bytes(b"torn")
    with pytest.raises(UserError, match="holds no causal language model"):
        load_model(str(tmp_path / "torn"))


def test_the_configuration_alone_is_enough_for_a_folder_without_weights(folder, tmp_path):
    shutil.copy(folder / "config.json", tmp_path)
    assert load_config(str(tmp_path)).num_hidden_layers == 1
    assert load_config("nano").vocab_size == len(TOKENIZER)


def test_four_bits_need_bitsandbytes_and_a_gpu(folder, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"needs bitsandbytes: pip install bitsandbytes, or leave model.four_bit off"):
        load_model(str(folder), four_bit=True)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    with pytest.raises(UserError, match="needs a CUDA GPU"):
        load_model(str(folder), four_bit=True)


def test_four_bits_are_asked_for_on_the_gpu_of_the_process(monkeypatch):
    monkeypatch.setattr(models, "BitsAndBytesConfig", lambda **settings: settings)  # itself needs bitsandbytes
    monkeypatch.setattr(models, "PartialState", lambda: SimpleNamespace(local_process_index=3))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    settings = four_bit_settings("bfloat16")
    assert settings["quantization_config"]["bnb_4bit_compute_dtype"] == torch.bfloat16
    assert settings["device_map"] == {"": 3}


def test_peft_s_use_of_a_deprecated_name_is_not_shown(folder, tmp_path):
    adapted = get_peft_model(tiny_model(), LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM"))
    adapted.save_pretrained(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error", FutureWarning)
        load_model(str(folder), adapter=tmp_path)


@pytest.mark.parametrize("load", [load_model, load_config])
@pytest.mark.parametrize("name", ["runs/laptop/nano/selfplay-seed9", "./nothing", "../nothing", "/nowhere/nothing"])
def test_a_path_that_is_no_folder_is_refused_without_asking_the_hub(monkeypatch, load, name):
    monkeypatch.setattr(models, "get_hf_file_metadata", None)
    with pytest.raises(UserError, match=f"^There is no folder '{re.escape(name)}': give that of a run"):
        load(name)


HUB = """
import logging, sys, time
from azr.errors import UserError
from azr.models import load_config, load_model
began = time.monotonic()
try:
    {load}("nobody/nothing")
except UserError as error:
    print(error)
print(time.monotonic() - began < 8)
"""


@pytest.mark.parametrize("load", ["load_model", "load_config"])
def test_a_hub_that_cannot_be_reached_is_asked_once_and_silently(load):
    settings = {"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": "http://127.0.0.1:9", "NO_PROXY": "*"}  # nobody listens there
    done = subprocess.run(
        [sys.executable, "-c", HUB.format(load=load)], env=os.environ | settings, capture_output=True, text=True
    )
    said = "The model 'nobody/nothing' is not here and the hub cannot be reached: give a local folder, or connect."
    assert (done.stdout.splitlines(), done.stderr) == ([said, "True"], "")
