"""Sample completions from a causal language model, a prompt read once for all its samples.

``sample(model, tokenizer, ["input 1\\n"] * 4, max_new_tokens=8, seed=0)`` gives four completions of the one prompt.
Left out: vLLM (training uses TRL's).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from transformers import DynamicCache, GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

STAGE = 8
"""Tokens after which the responses that have ended leave a batch."""


@dataclass(frozen=True)
class Completion:
    """A sampled response: token ids of its prompt and of itself, and its text."""

    prompt_ids: list[int]
    ids: list[int]
    text: str


def encode_prompt(tokenizer: PreTrainedTokenizerBase, prompt: str) -> list[int]:
    """Token ids of a prompt, opened by the tokenizer's begin token where it has one and did not add it itself."""
    ids = tokenizer(prompt)["input_ids"]
    bos = tokenizer.bos_token_id
    return ids if bos is None or ids[:1] == [bos] else [bos, *ids]


@torch.no_grad()
def respond(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[list[int]],
    max_new_tokens: int,
    temperature: float = 1.0,
) -> list[list[int]]:
    """A response to each prompt (token ids), up to and with its end token or of ``max_new_tokens`` tokens.

    All are sampled side by side; temperature 0 is greedy. Most responses are short and a batch takes as long as its
    longest, so after each ``STAGE`` tokens those that have ended leave it. Prompts that stand there more than once are
    read once: the rollouts of one problem share its prompt.
    """
    pad, eos = tokenizer.pad_token_id, tokenizer.eos_token_id
    width = max(map(len, prompts))
    ids = torch.tensor([[pad] * (width - len(row)) + row for row in prompts], device=model.device)
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in prompts], device=model.device)
    repeated = width > 1 and len({*map(tuple, prompts)}) <= len(prompts) // 2
    cache = _shared(model, ids, mask) if repeated else None
    going = torch.arange(len(prompts))
    responses: list[list[int]] = [[]] * len(prompts)
    while len(going):
        settings = GenerationConfig(
            do_sample=temperature > 0,
            temperature=temperature or None,
            top_k=0 if temperature else None,
            max_new_tokens=min(STAGE, width + max_new_tokens - ids.shape[1]),
            eos_token_id=eos,
            pad_token_id=pad,
            return_dict_in_generate=True,
        )
        out = model.generate(input_ids=ids, attention_mask=mask, past_key_values=cache, generation_config=settings)
        ids, cache = out.sequences, out.past_key_values
        mask = torch.cat([mask, mask.new_ones(len(ids), ids.shape[1] - mask.shape[1])], dim=1)
        ended = (ids[:, width:] == eos).any(dim=1) | (ids.shape[1] == width + max_new_tokens)
        for row, new in zip(going[ended.cpu()].tolist(), ids[ended, width:].tolist(), strict=True):
            responses[row] = new[: new.index(eos) + 1] if eos in new else new
        if ended.any():
            left = (~ended).nonzero()[:, 0]
            going, ids, mask = going[left.cpu()], ids[left], mask[left]
            if len(left):
                cache.batch_select_indices(left)
    return responses


def _shared(model: PreTrainedModel, ids: torch.Tensor, mask: torch.Tensor) -> DynamicCache:
    """The cache of ``ids`` [rows, width], left-padded, without their last tokens; equal rows are computed once."""
    distinct, row_of = ids.unique(dim=0, return_inverse=True)
    first = torch.stack([(row_of == i).nonzero()[0, 0] for i in range(len(distinct))])
    shown = mask[first]
    positions = (shown.cumsum(1) - 1).clamp(min=0)
    known = model(
        distinct[:, :-1], attention_mask=shown[:, :-1], position_ids=positions[:, :-1], logits_to_keep=1, use_cache=True
    ).past_key_values
    known.batch_select_indices(row_of)
    return known


@torch.no_grad()
def sample(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    max_new_tokens: int,
    seed: int,
    chunk: int = 128,
    temperature: float = 1.0,
) -> list[Completion]:
    """One completion for each of many prompts, ``chunk`` prompts of like length side by side; temperature 0 is greedy.

    A prompt that stands there several times has as many completions, and is read once.
    """
    torch.manual_seed(seed)
    prompt_ids = [encode_prompt(tokenizer, prompt) for prompt in prompts]
    order = sorted(range(len(prompts)), key=lambda i: (len(prompt_ids[i]), prompts[i], i))

    done: dict[int, Completion] = {}
    for start in range(0, len(order), chunk):
        rows = order[start : start + chunk]
        responses = respond(model, tokenizer, [prompt_ids[i] for i in rows], max_new_tokens, temperature)
        for i, ids in zip(rows, responses, strict=True):
            done[i] = Completion(prompt_ids[i], ids, tokenizer.decode(ids, skip_special_tokens=True))
    return [done[i] for i in range(len(prompts))]


def sample_each(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    n: int,
    max_new_tokens: int,
    seed: int,
    chunk: int = 128,
    temperature: float = 1.0,
) -> Iterator[tuple[int, list[Completion]]]:
    """``n`` completions of each prompt: pairs of its place in ``prompts`` and these, the shortest prompts first.

    As many prompts as fill a chunk are sampled side by side.
    """
    order = sorted(range(len(prompts)), key=lambda i: (len(prompts[i]), i))
    together = max(1, chunk // n)
    for start in range(0, len(order), together):
        block = order[start : start + together]
        repeated = [prompts[i] for i in block for _ in range(n)]
        drawn = sample(model, tokenizer, repeated, max_new_tokens, seed * 1_000_003 + start, chunk, temperature)
        for row, i in enumerate(block):
            yield i, drawn[row * n : (row + 1) * n]
