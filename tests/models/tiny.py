"""Random models of a few thousand weights, and a tokenizer whose tokens are characters."""

from __future__ import annotations

from typing import Any

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import (
    AutoModelForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    LlamaConfig,
    Phi3Config,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen3Config,
)

BOS, EOS, PAD = 0, 1, 2
LETTERS = "abcdefghijkl"
SIZE = {
    "vocab_size": 16,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "bos_token_id": BOS,
    "eos_token_id": EOS,
    "pad_token_id": PAD,
    "initializer_range": 0.3,  # wide enough that the next token is not uniform
}
CONFIGS = {
    "llama": LlamaConfig(**SIZE),
    "qwen2": Qwen2Config(**SIZE),
    "qwen3": Qwen3Config(**SIZE, head_dim=16),
    "gemma3 with windows": Gemma3TextConfig(
        **SIZE, head_dim=8, sliding_window=6, layer_types=["sliding_attention", "full_attention"]
    ),
    "phi3 with windows": Phi3Config(**SIZE, sliding_window=6),
    "gpt2": GPT2Config(n_embd=32, n_head=4, n_layer=2, n_positions=256, **{**SIZE, "num_hidden_layers": 2}),
}


def tiny_model(kind: str = "llama", **changes: Any) -> PreTrainedModel:
    """The same weights at every call."""
    torch.manual_seed(0)
    config = CONFIGS[kind].__class__(**(CONFIGS[kind].to_dict() | changes))
    return AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()


def tiny_tokenizer(
    special: tuple[str, ...] = (), template: str | None = None, ends_texts: bool = False, **names: str
) -> PreTrainedTokenizerFast:
    """<s>, </s>, <pad>, twelve letters and a space; with ``ends_texts`` it puts its end token behind every text."""
    tokens = ["<s>", "</s>", "<pad>", *LETTERS, " ", *special]
    raw = Tokenizer(models.WordLevel({token: i for i, token in enumerate(tokens)}, unk_token=" "))
    raw.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    raw.decoder = decoders.Fuse()
    if ends_texts:
        raw.post_processor = processors.TemplateProcessing(
            single="<s> $A </s>", special_tokens=[("<s>", BOS), ("</s>", EOS)]
        )
    names = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"} | names
    return PreTrainedTokenizerFast(
        tokenizer_object=raw,
        chat_template=template,
        additional_special_tokens=list(special),
        padding_side="left",
        **names,
    )
