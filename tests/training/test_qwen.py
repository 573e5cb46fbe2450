"""The profiles gpu and paper with Qwen2.5-Coder: all but the download, on folders of its shape."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, Qwen2Config

from azr.arms import arm_profile
from azr.config import load_profile, override
from azr.models.loading import load_model
from azr.models.memory import costs
from azr.models.sampling import end_tokens
from azr.runs import read_lines
from azr.training.run import train

from .hub import SIZE, trained_tokenizer
from .tiny import write_seeds

pytestmark = pytest.mark.slow
CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SMALL = {
    "rollout.batch": 1,
    "rollout.rollouts": 2,
    "rollout.references": 1,
    "rollout.max_new_tokens": 6,
    "train.micro_batch": 6,
    "train.group": 2,
    "train.steps": 1,
    "problems.train_size": 4,
}
QUESTIONS = [{"question": f"What is {n} + 2?", "answer": f"{n} + 2 = {n + 2}\n#### {n + 2}"} for n in range(4)]


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """Tokens of ChatML, no begin token; a text ends with one token and a turn with another, which the model names."""
    folder = tmp_path_factory.mktemp("Qwen2.5-Coder-tiny")
    tokenizer = trained_tokenizer(chat=True)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>", "<|endoftext|>"]})
    text, turn = tokenizer.convert_tokens_to_ids(["<|endoftext|>", "<|im_end|>"])
    tokenizer.chat_template, tokenizer.bos_token = CHATML, None
    tokenizer.eos_token = tokenizer.pad_token = "<|endoftext|>"
    torch.manual_seed(0)
    special = {"bos_token_id": text, "eos_token_id": text, "pad_token_id": text}
    config = Qwen2Config(**(SIZE | special), vocab_size=len(tokenizer), tie_word_embeddings=True)
    network = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    network.generation_config.eos_token_id = [turn, text]
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("profile", ["gpu", "paper"])
@pytest.mark.parametrize("arm", ["sft", "rlvr", "rlvr-trr", "selfplay"])
def test_every_method_takes_its_first_step(model, tmp_path, profile, arm, capsys):
    (tmp_path / "gsm8k.jsonl").write_text("".join(json.dumps(row) + "\n" for row in QUESTIONS))
    changes = SMALL | {"model.name": str(model), "problems.train": str(tmp_path / "gsm8k.jsonl")}
    if arm == "selfplay":
        write_seeds(tmp_path / "run")
    chosen = arm_profile(arm, override(load_profile(profile), changes))
    train(arm, chosen, 0, tmp_path / "run")
    assert [row["step"] for row in read_lines(tmp_path / "run" / "log.jsonl")] == [1]
    assert (tmp_path / "run" / "adapter" / "adapter_model.safetensors").exists()
    assert "a step takes at most about" in capsys.readouterr().out
    assert costs(load_model(str(model))[0].config, chosen).peak > 0


def test_both_end_tokens_end_a_response(model):
    network, tokenizer = load_model(str(model))
    assert set(tokenizer.convert_tokens_to_ids(["<|im_end|>", "<|endoftext|>"])) <= end_tokens(network, tokenizer)
