"""Sample completions from a causal language model: the one sampler of training, evaluation and every command.

    decoding = Decoding(max_new_tokens=8)
    sample(model, tokenizer, ["input 1\\n"] * 4, decoding, streams=[(0, 0, i) for i in range(4)])

Each row draws from a random stream of its own, so a completion does not depend on what is sampled beside it (but for
rounding). A prompt is read once for all its samples, keys and values are written in place, and where responses have
ended waiting ones take their place. Left out: penalties, beams, models with a recurrent state, vLLM.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch
from transformers import Cache, DynamicCache, DynamicLayer, PreTrainedModel, PreTrainedTokenizerBase

READ = 32
"""Prompts that are read in one forward pass."""


@dataclass(frozen=True)
class Completion:
    """A sampled response: token ids of its prompt and of itself, its text, and whether it stopped at an end token.

    ``ids`` hold the end token, ``text`` does not.
    """

    prompt_ids: list[int]
    ids: list[int]
    text: str
    ended: bool


@dataclass(frozen=True)
class Decoding:
    """How to sample; temperature 0 is greedy."""

    max_new_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    chunk: int = 256
    """Rows side by side."""


def encode_prompt(tokenizer: PreTrainedTokenizerBase, prompt: str) -> list[int]:
    """Token ids of a prompt: one begin token first where the tokenizer has any, and no end token last."""
    ids = list(tokenizer(prompt)["input_ids"])
    begin, end = tokenizer.bos_token_id, tokenizer.eos_token_id
    while ids and ids[-1] == end:
        ids.pop()
    if begin is None:
        return ids
    while ids and ids[0] == begin:
        ids.pop(0)
    return [begin, *ids]


def end_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """All tokens at which a response ends: of the model, its generation config, its tokenizer, its chat's turns."""
    ends = {tokenizer.eos_token_id}
    for config in (model.config.get_text_config(), model.generation_config):
        own = config.eos_token_id
        ends.update(own if isinstance(own, list | tuple) else [own])
    if tokenizer.chat_template:
        turns = [{"role": "user", "content": "question"}, {"role": "assistant", "content": "the-whole-answer"}]
        rest = tokenizer.apply_chat_template(turns, tokenize=False).rpartition("the-whole-answer")[2].lstrip()
        after = tokenizer(rest, add_special_tokens=False)["input_ids"][:1]
        ends.update(token for token in after if token in tokenizer.added_tokens_decoder)
    return frozenset(ends - {None})


def sample(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    decoding: Decoding,
    streams: Sequence[tuple[int, ...]],
) -> list[Completion]:
    """One completion for each prompt, in their order; row i's random numbers are those named by ``streams[i]``."""
    encoded = {prompt: encode_prompt(tokenizer, prompt) for prompt in dict.fromkeys(prompts)}
    ends = end_tokens(model, tokenizer)
    rows = [encoded[prompt] for prompt in prompts]
    responses = sample_ids(model, rows, decoding, streams, ends)
    ended = [ids[-1] in ends for ids in responses]
    said = [ids[:-1] if end else ids for ids, end in zip(responses, ended, strict=True)]
    texts = tokenizer.batch_decode(said, skip_special_tokens=True)
    return [Completion(*parts) for parts in zip(rows, responses, texts, ended, strict=True)]


@torch.no_grad()
def sample_ids(
    model: PreTrainedModel,
    prompts: Sequence[list[int]],
    decoding: Decoding,
    streams: Sequence[tuple[int, ...]],
    ends: frozenset[int],
) -> list[list[int]]:
    """A response to each prompt (token ids), up to and with its first token of ``ends`` or of ``max_new_tokens``.

    Args:
        model: any causal model whose state is a cache of keys and values, in evaluation mode.
        prompts: token ids, at least one each; equal ones are read once.
        decoding: temperature, top-p, the longest response, and how many rows are sampled side by side.
        streams: a name for the random stream of each row: integers of at least 0, equally many for all.
        ends: tokens that end a response.

    Returns:
        token ids, in the order of ``prompts``.
    """
    waiting = sorted(range(len(prompts)), key=lambda i: (len(prompts[i]), prompts[i], -i))  # the longest leave first
    responses: list[list[int]] = [[] for _ in prompts]
    batch = _Batch(model, decoding, ends, min(decoding.chunk, len(prompts)))
    while waiting or batch.alive.any():
        free = len(batch.alive) - int(batch.alive.sum())
        taken = [waiting.pop() for _ in range(min(len(waiting), free))]
        if taken:
            batch.enter(taken, [prompts[i] for i in taken], [streams[i] for i in taken])
        batch.close_ranks()
        for slot in batch.run():
            responses[batch.row[slot]] = batch.tokens[slot, : batch.drawn[slot]].tolist()
    return responses


class _Layer(DynamicLayer):
    """Keys and values of one layer [slots, heads, columns, size], written in place into columns kept free for them."""

    def __init__(self, batch: _Batch, keys: torch.Tensor, values: torch.Tensor) -> None:
        super().__init__()
        self.batch, self.keys, self.values, self.is_initialized = batch, keys, values, True

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *args: object, **kwargs: object):
        """Write those of one token [rows, heads, 1, size], and return all that the batch looks at."""
        rows, begin, end = self.batch.rows, self.batch.begin, self.batch.end
        self.keys[:rows, :, end] = key_states[:, :, 0]
        self.values[:rows, :, end] = value_states[:, :, 0]
        return self.keys[:rows, :, begin : end + 1], self.values[:rows, :, begin : end + 1]

    def get_seq_length(self) -> int:
        return self.batch.end - self.batch.begin


class _Batch:
    """Rows that are sampled side by side, in slots: all have their last token in the same column of the cache.

    A slot whose response has ended is sampled on, unused, until another row takes it; the slots in use are the first
    ``rows``, and of the columns those from ``begin`` to before ``end``.
    """

    def __init__(self, model: PreTrainedModel, decoding: Decoding, ends: frozenset[int], slots: int) -> None:
        self.model, self.decoding, self.ends = model, decoding, np.array(sorted(ends))
        self.accepted = set(inspect.signature(model.forward).parameters)
        self.rows = self.begin = self.end = self.capacity = 0
        self.cache: Cache | None = None
        most = decoding.max_new_tokens
        self.alive = np.zeros(slots, bool)
        self.row, self.length, self.drawn = np.zeros((3, slots), int)
        self.tokens, self.uniforms = np.zeros((slots, most), int), np.zeros((slots, most))
        self.logits = torch.zeros(slots, 0)

    def enter(self, rows: list[int], prompts: list[list[int]], streams: list[tuple[int, ...]]) -> None:
        """New rows take free slots; equal prompts come one after the other and are read once."""
        slots = np.flatnonzero(~self.alive)[: len(rows)]
        self.alive[slots], self.row[slots], self.drawn[slots] = True, rows, 0
        self.length[slots] = [len(prompt) for prompt in prompts]
        for slot, stream in zip(slots, streams, strict=True):
            self.uniforms[slot] = np.random.default_rng(stream).random(self.decoding.max_new_tokens)
        self.rows = max(self.rows, int(slots[-1]) + 1)
        distinct = [(prompt, len(list(group))) for prompt, group in groupby(prompts)]
        for start in range(0, len(distinct), READ):
            block = distinct[start : start + READ]
            copies = np.repeat(np.arange(len(block)), [count for _, count in block])
            own, slots = slots[: len(copies)], slots[len(copies) :]
            self._read([prompt for prompt, _ in block], torch.from_numpy(copies), own)

    def _read(self, prompts: list[list[int]], copies: torch.Tensor, slots: np.ndarray) -> None:
        """Compute keys, values and next logits of prompts, and write the ``copies`` of them into ``slots``."""
        width = max(map(len, prompts))
        ids, mask = (torch.tensor(rows, device=self.model.device) for rows in (
            [[0] * (width - len(row)) + row for row in prompts], [[0] * (width - len(row)) + [1] * len(row) for row in prompts]))
        cache = DynamicCache()
        logits = self._forward(ids, mask, (mask.cumsum(1) - 1).clamp(min=0), cache)
        if self.cache is None:
            self.cache = Cache(layers=[_Layer(self, layer.keys[:0], layer.values[:0]) for layer in cache.layers])
            self.logits = logits.new_zeros(len(self.alive), logits.shape[1])
            self._lay_out()
        self.logits[slots] = logits[copies]
        for ours, read in zip(self.cache.layers, cache.layers, strict=True):
            ours.keys[slots, :, self.end - width : self.end] = read.keys[copies]
            ours.values[slots, :, self.end - width : self.end] = read.values[copies]

    def close_ranks(self) -> None:
        """Move the last rows to where others have ended, look at no more columns than needed, make room for more."""
        live = np.flatnonzero(self.alive)
        holes, movers = np.flatnonzero(~self.alive[: len(live)]), live[live >= len(live)]
        layers = [tensor for layer in self.cache.layers for tensor in (layer.keys, layer.values)]
        if len(holes):
            for state in (self.alive, self.row, self.length, self.drawn, self.tokens, self.uniforms, self.logits, *layers):
                state[holes] = state[movers]
            self.alive[len(live) :] = False
        self.rows = len(live)
        if self.end == self.capacity:
            self._lay_out()
        self.begin = self.end - int(self.length[: self.rows].max())
        columns = np.arange(self.capacity)
        self.mask = torch.from_numpy((columns >= self.end - self.length[: self.rows, None]).astype(int)).to(self.model.device)

    def _lay_out(self) -> None:
        """Move everything to the left into fresh columns, with room for more behind."""
        width = int(self.length[: self.rows].max())
        kept = min(width, self.end)
        capacity = width + max(32, width // 2)
        for layer in self.cache.layers:
            for name in ("keys", "values"):
                old = getattr(layer, name)
                new = old.new_zeros(len(self.alive), old.shape[1], capacity, old.shape[3])
                new[: len(old), :, width - kept : width] = old[:, :, self.end - kept : self.end]
                setattr(layer, name, new)
        self.end, self.capacity = width, capacity

    def _forward(self, ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor, cache: Cache) -> torch.Tensor:
        """Logits [rows, vocabulary] behind the last tokens of ``ids`` [rows, tokens]."""
        optional = {"position_ids": positions, "logits_to_keep": 1}
        settings = {name: value for name, value in optional.items() if name in self.accepted}
        output = self.model(ids, attention_mask=mask, past_key_values=cache, use_cache=True, **settings)
        return output.logits[:, -1]

    def run(self) -> np.ndarray:
        """Draw tokens until an eighth of the rows has ended or there is no column left; the slots that have ended."""
        rows, device = np.arange(self.rows), self.model.device
        while True:
            at = np.minimum(self.drawn[: self.rows], self.decoding.max_new_tokens - 1)
            uniforms = torch.from_numpy(self.uniforms[rows, at]).to(device)
            drawn = _draw(self.logits[: self.rows], uniforms, self.decoding)
            tokens = drawn.cpu().numpy()
            alive = self.alive[: self.rows]
            self.tokens[rows[alive], self.drawn[rows[alive]]] = tokens[alive]
            self.drawn[: self.rows] += alive
            alive &= ~np.isin(tokens, self.ends) & (self.drawn[: self.rows] < self.decoding.max_new_tokens)
            if not alive.any():
                break
            positions = torch.from_numpy(self.length[: self.rows, None]).to(device)
            mask = self.mask[:, self.begin : self.end + 1]
            self.logits[: self.rows] = self._forward(drawn[:, None], mask, positions, self.cache)
            self.length[: self.rows] += 1
            self.end += 1
            if self.end == self.capacity or 8 * (self.rows - alive.sum()) >= self.rows:
                break
        return np.flatnonzero(~self.alive[: self.rows])


def _draw(logits: torch.Tensor, uniforms: torch.Tensor, decoding: Decoding) -> torch.Tensor:
    """The next token of each row [rows] from logits [rows, vocabulary], by inversion of its cumulative probabilities."""
    if decoding.temperature == 0:
        return logits.argmax(-1)
    p = torch.softmax(logits.float() / decoding.temperature, -1)
    if decoding.top_p < 1:
        high, order = p.sort(-1, descending=True)
        high = high.masked_fill(high.cumsum(-1) - high >= decoding.top_p, 0)
        p = torch.zeros_like(p).scatter(-1, order, high)
    cumulative = p.cumsum(-1, dtype=torch.float64)
    return torch.searchsorted(cumulative, uniforms[:, None] * cumulative[:, -1:], right=True)[:, 0].clamp(max=p.shape[-1] - 1)
