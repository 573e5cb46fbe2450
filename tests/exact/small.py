"""A vocabulary of seven tokens, so that all completions can be written down and scored one by one."""

from __future__ import annotations

from itertools import product

import numpy as np
import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from azr.sampling import encode_prompt

SIZE = 7


def small_tokenizer(word: str = "output ") -> PreTrainedTokenizerFast:
    tokens = ("<pad>", "<bos>", "<eos>", "<unk>", word, "1", "2")
    tokenizer = Tokenizer(models.WordLevel({t: i for i, t in enumerate(tokens)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(f"{word}|."), behavior="isolated")
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<bos>", eos_token="<eos>", unk_token="<unk>"
    )


def small_model(seed: int) -> LlamaForCausalLM:
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=SIZE,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        initializer_range=0.5,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    return LlamaForCausalLM(config).eval()


Table = dict[tuple[int, ...], float]


def all_completions(model, tokenizer, prompt: str, longest: int) -> tuple[Table, Table]:
    """Probability of each completion that has its end token within ``longest`` tokens, and of each as a mere prefix.

    Keys are token ids without the end token.
    """
    start, eos = encode_prompt(tokenizer, prompt), tokenizer.eos_token_id
    after: Table = {(): 1.0}
    found: Table = {}
    for length in range(longest):
        prefixes = list(product([i for i in range(SIZE) if i != eos], repeat=length))
        with torch.no_grad():
            logits = model(torch.tensor([[*start, *ids] for ids in prefixes])).logits[:, -1]
        for ids, following in zip(prefixes, torch.softmax(logits.double(), -1).tolist(), strict=True):
            found[ids] = after[ids] * following[eos]
            after |= {(*ids, i): after[ids] * p for i, p in enumerate(following) if i != eos}
    return found, after


def total(log_probs) -> float:
    """Sum of probabilities given as logarithms."""
    return float(np.exp(list(log_probs)).sum())
