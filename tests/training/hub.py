"""Hub-format folders of five architectures: random weights of a tiny size, and a tokenizer trained on the prompts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    AutoModelForCausalLM,
    Gemma3TextConfig,
    LlamaConfig,
    Phi3Config,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen3Config,
)

from azr.prompts.paper import PaperStyle
from azr.selfplay import IDENTITY

TOKENS = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}
CHAT = (
    "{% for message in messages %}<|{{ message['role'] }}|>\n{{ message['content'] }}</s>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
SIZE = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 4096,
    "initializer_range": 0.3,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 2,
}
KINDS = ["sliding_attention", "full_attention"]
WINDOW = {"sliding_window": 64, "layer_types": KINDS, "tie_word_embeddings": False}
"""A random model whose embeddings are tied repeats its last token, whatever it sees of the prompt."""
ARCHITECTURES: dict[str, tuple[Any, bool]] = {
    "qwen2": (lambda words: Qwen2Config(**SIZE, vocab_size=words, tie_word_embeddings=True), False),
    "qwen3": (lambda words: Qwen3Config(**SIZE, vocab_size=words, head_dim=16), True),
    "llama": (lambda words: LlamaConfig(**SIZE, vocab_size=words), False),
    "gemma3": (lambda words: Gemma3TextConfig(**SIZE, **WINDOW, vocab_size=words, head_dim=8), True),
    "phi3": (lambda words: Phi3Config(**SIZE, vocab_size=words), True),
}
"""By name: the configuration for a vocabulary of so many words, and whether its tokenizer has a chat template."""


def trained_tokenizer(chat: bool) -> PreTrainedTokenizerFast:
    """A byte-level BPE trained on the paper's prompts."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    style = PaperStyle()
    texts = [style.solve(IDENTITY), *(style.propose(IDENTITY.type, [IDENTITY] * n) for n in (0, 2))]
    special = list(TOKENS.values())
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, chat_template=CHAT if chat else None, **TOKENS)


def save_hub_model(name: str, folder: Path) -> Path:
    """The folder of the architecture ``name``, as one from the hub would be."""
    config_of, chat = ARCHITECTURES[name]
    tokenizer = trained_tokenizer(chat)
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config_of(len(tokenizer)), dtype=torch.bfloat16)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
