"""Sample completions from a causal language model, the prompt's cache computed once for all samples of a prompt.

``sample(model, tokenizer, ["input 1\\n"], n=4, max_new_tokens=8, seed=0)`` gives four texts for the one prompt. Samples
of one prompt depend on the seed and the prompt alone, not on the other prompts. Left out: vLLM (training uses TRL's).
"""

from __future__ import annotations

import copy
import zlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import torch
from transformers import DynamicCache, GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

FIRST_STAGE = 32
"""Tokens of the first stage of generation; each later stage is twice as long."""


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


def in_stages(
    prompts: Sequence[list[int]],
    extend: Callable[[list[list[int]], int], list[list[int]]],
    max_new_tokens: int,
    eos: Collection[int],
    first_stage: int | None = None,
) -> list[list[int]]:
    """Responses to ``prompts`` (token ids), each up to and with its end token or of ``max_new_tokens`` tokens.

    ``extend(prefixes, length)`` samples up to ``length`` tokens after each prefix. Most responses are short and a batch
    takes as long as its longest, so the first stage is short and only what is unfinished goes on to a longer one.
    The distribution is that of one stage: the next token depends on the prefix alone.

    >>> in_stages([[1]], lambda prefixes, length: [[7] * length], 50, {9}) == [[7] * 50]
    True
    """
    responses: list[list[int]] = [[] for _ in prompts]
    unfinished, spent, length = list(range(len(prompts))), 0, first_stage or FIRST_STAGE
    while unfinished and spent < max_new_tokens:
        length = min(length, max_new_tokens - spent)
        tokens = extend([prompts[i] + responses[i] for i in unfinished], length)
        for i, new in zip(unfinished, tokens, strict=True):
            responses[i] += new
        unfinished = [i for i in unfinished if responses[i][-1] not in eos]
        spent, length = spent + length, 2 * length
    return responses


@torch.no_grad()
def sample(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    n: int,
    max_new_tokens: int,
    seed: int,
    temperature: float = 1.0,
    chunk: int = 128,
    progress: Callable[[int], None] | None = None,
) -> list[list[str]]:
    """``n`` completions for each prompt, decoded without special tokens; temperature 0 is greedy.

    ``chunk`` sequences of one prompt are generated side by side; ``progress`` is called with the prompts done.
    """
    eos = tokenizer.eos_token_id
    texts: list[list[str]] = []
    for prompt in prompts:
        torch.manual_seed(zlib.crc32(f"{seed} {prompt}".encode()))
        ids = encode_prompt(tokenizer, prompt)
        known = model(torch.tensor([ids[:-1]], device=model.device)).past_key_values if len(ids) > 1 else None

        def longer(
            prefixes: list[list[int]], length: int, prompt_cache: DynamicCache | None = known
        ) -> list[list[int]]:
            cache = _repeated(prompt_cache, len(prefixes))
            return extend(model, tokenizer, prefixes, length, temperature, cache)

        responses: list[list[int]] = []
        while len(responses) < n:
            rows = min(chunk, n - len(responses))
            responses += in_stages([ids] * rows, longer, max_new_tokens, {eos})
        texts.append(tokenizer.batch_decode(responses, skip_special_tokens=True))
        if progress:
            progress(len(texts))
    return texts


def extend(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prefixes: list[list[int]],
    length: int,
    temperature: float,
    cache: DynamicCache | None = None,
) -> list[list[int]]:
    """Up to ``length`` new tokens for each prefix (token ids); ``cache`` holds all of each prefix but its last token.

    Without one, prefixes that stand there more than once are read once: the rollouts of one problem share its prompt.
    """
    pad, eos = tokenizer.pad_token_id, tokenizer.eos_token_id
    width = max(map(len, prefixes))
    ids = torch.tensor([[pad] * (width - len(row)) + row for row in prefixes], device=model.device)
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in prefixes], device=model.device)
    if cache is None and width > 1 and len({*map(tuple, prefixes)}) <= len(prefixes) // 2:
        cache = _shared(model, ids, mask)
    settings = GenerationConfig(
        do_sample=temperature > 0,
        temperature=temperature or None,
        top_k=0 if temperature else None,
        max_new_tokens=length,
        eos_token_id=eos,
        pad_token_id=pad,
    )
    out = model.generate(input_ids=ids, attention_mask=mask, past_key_values=cache, generation_config=settings)
    new = out[:, width:].tolist()
    return [row[: row.index(eos) + 1] if eos in row else row for row in new]


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


def _repeated(cache: DynamicCache | None, rows: int) -> DynamicCache | None:
    """A copy of a one-row cache for ``rows`` sequences."""
    if cache is None:
        return None
    cache = copy.deepcopy(cache)  # generation extends it; its layers may be of several kinds, as with sliding windows
    cache.batch_repeat_interleave(rows)
    return cache


@torch.no_grad()
def sample_batch(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    max_new_tokens: int,
    seed: int,
    chunk: int = 128,
) -> list[Completion]:
    """One completion for each of many prompts at temperature 1, ``chunk`` prompts of like length side by side."""
    torch.manual_seed(seed)
    prompt_ids = [encode_prompt(tokenizer, prompt) for prompt in prompts]
    order = sorted(range(len(prompts)), key=lambda i: (len(prompt_ids[i]), i))

    def longer(prefixes: list[list[int]], length: int) -> list[list[int]]:
        return extend(model, tokenizer, prefixes, length, temperature=1.0)

    done: dict[int, Completion] = {}
    for start in range(0, len(order), chunk):
        rows = order[start : start + chunk]
        responses = in_stages([prompt_ids[i] for i in rows], longer, max_new_tokens, {tokenizer.eos_token_id})
        for i, ids in zip(rows, responses, strict=True):
            done[i] = Completion(prompt_ids[i], ids, tokenizer.decode(ids, skip_special_tokens=True))
    return [done[i] for i in range(len(prompts))]
