"""Sample completions from a causal language model: the one sampler of training, evaluation and every command.

    decoding = Decoding(max_new_tokens=8)
    sample(model, tokenizer, ["input 1\\n"] * 4, decoding, streams=[(0, 0, i) for i in range(4)])

Each row draws from a random stream of its own, so a completion does not depend on what is sampled beside it (but for
rounding). A prompt is read once for the samples of it that begin together, keys and values are written in place, and
where responses have ended others begin. Left out: penalties, beams, models with a recurrent state, vLLM.
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
ENDED, FREE = 1 / 8, 1 / 2
"""Shares of a batch: of its rows, which leave it together; of its slots, which are filled together."""


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
        named = config.eos_token_id
        ends.update(named if isinstance(named, list) else [named])
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
    texts = [tokenizer.decode(ids, skip_special_tokens=True) for ids in said]
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
        prompts: token ids, at least one each.
        decoding: temperature, top-p, the longest response, and how many rows are sampled side by side.
        streams: a name for the random stream of each row: integers of at least 0, equally many for all.
        ends: tokens that end a response.

    Returns:
        token ids, in the order of ``prompts``.
    """
    waiting = sorted(range(len(prompts)), key=lambda i: (len(prompts[i]), prompts[i], -i))  # the longest begin
    responses: list[list[int]] = [[] for _ in prompts]
    slots = min(decoding.chunk, len(prompts))
    batch = _Batch(model, decoding, ends, slots)
    while waiting or batch.rows:
        free = slots - batch.rows
        if waiting and free >= FREE * slots:
            begin = [waiting.pop() for _ in range(min(len(waiting), free))]
            batch.enter(begin, [prompts[i] for i in begin], [streams[i] for i in begin])
        for row, ids in batch.run():
            responses[row] = ids
    return responses


class _Layer(DynamicLayer):
    """Keys and values of one layer [slots, heads, columns, size], written in place into columns kept free for them."""

    def __init__(self, batch: _Batch, keys: torch.Tensor, values: torch.Tensor) -> None:
        super().__init__()
        self.batch, self.keys, self.values, self.is_initialized = batch, keys, values, True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: object, **kwargs: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write those of one token [rows, heads, 1, size], and return all that the batch looks at."""
        rows, begin, end = self.batch.rows, self.batch.begin, self.batch.end
        self.keys[:rows, :, end] = key_states[:, :, 0]
        self.values[:rows, :, end] = value_states[:, :, 0]
        return self.keys[:rows, :, begin : end + 1], self.values[:rows, :, begin : end + 1]

    def get_seq_length(self) -> int:
        """How many tokens a row is taken to have, its padding included."""
        return self.batch.end - self.batch.begin


class _Batch:
    """Rows that are sampled side by side, in the first ``rows`` of all slots.

    All have their latest token in the same column of the cache, the last before ``end``, and none reaches back before
    ``begin``; what lies there in other rows is masked. So windows of attention are those of the tokens.
    """

    def __init__(self, model: PreTrainedModel, decoding: Decoding, ends: frozenset[int], slots: int) -> None:
        self.model, self.decoding, self.ends = model, decoding, np.array(sorted(ends))
        self.accepted = inspect.signature(model.forward).parameters.keys()
        self.rows = self.begin = self.end = self.capacity = 0
        self.row, self.length, self.drawn = np.zeros((3, slots), int)
        self.tokens = np.zeros((slots, decoding.max_new_tokens), int)
        self.uniforms = np.zeros((slots, decoding.max_new_tokens))
        self.logits = torch.zeros(slots, 0)
        self.cache: Cache | None = None

    def enter(self, rows: list[int], prompts: list[list[int]], streams: list[tuple[int, ...]]) -> None:
        """New rows take the next slots; equal prompts come one after the other and are read once."""
        slots = np.arange(self.rows, self.rows + len(rows))
        self.rows += len(rows)
        self.row[slots], self.length[slots], self.drawn[slots] = rows, list(map(len, prompts)), 0
        for slot, stream in zip(slots, streams, strict=True):
            self.uniforms[slot] = np.random.default_rng(stream).random(self.decoding.max_new_tokens)
        distinct = [(prompt, len(list(group))) for prompt, group in groupby(prompts)]
        for start in range(0, len(distinct), READ):
            block = distinct[start : start + READ]
            copies = np.repeat(np.arange(len(block)), [count for _, count in block])
            self._read([prompt for prompt, _ in block], torch.from_numpy(copies), slots[: len(copies)])
            slots = slots[len(copies) :]
        self._look()

    def _read(self, prompts: list[list[int]], copies: torch.Tensor, slots: np.ndarray) -> None:
        """Keys, values and next logits of prompts, of which ``copies`` [slots] go to ``slots``."""
        width = max(map(len, prompts))
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in prompts], device=self.model.device)
        ids = torch.tensor([[0] * (width - len(row)) + row for row in prompts], device=self.model.device)
        read = DynamicCache()
        logits = self._forward(ids, mask, (mask.cumsum(1) - 1).clamp(min=0), read)
        if self.cache is None:
            self.cache = Cache(layers=[_Layer(self, layer.keys[:0], layer.values[:0]) for layer in read.layers])
            self.logits = logits.new_zeros(len(self.row), logits.shape[1])
            self._lay_out()
        self.logits[slots] = logits[copies]
        for ours, new in zip(self.cache.layers, read.layers, strict=True):
            ours.keys[slots, :, self.end - width : self.end] = new.keys[copies]
            ours.values[slots, :, self.end - width : self.end] = new.values[copies]

    def _forward(self, ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor, cache: Cache) -> torch.Tensor:
        """Logits [rows, vocabulary] behind the last tokens of ``ids`` [rows, tokens]."""
        optional = {"position_ids": positions, "logits_to_keep": 1}
        settings = {name: value for name, value in optional.items() if name in self.accepted}
        return self.model(ids, attention_mask=mask, past_key_values=cache, use_cache=True, **settings).logits[:, -1]

    def run(self) -> list[tuple[int, list[int]]]:
        """Draw tokens until a share of the rows has ended or no column is left; the rows that ended and their ids."""
        slots, most, device = np.arange(self.rows), self.decoding.max_new_tokens, self.model.device
        alive = np.ones(self.rows, bool)
        while True:
            at = np.minimum(self.drawn[slots], most - 1)
            uniforms = torch.from_numpy(self.uniforms[slots, at]).to(device)
            new = draw(self.logits[: self.rows], uniforms, self.decoding)
            tokens = new.cpu().numpy()
            self.tokens[slots[alive], at[alive]] = tokens[alive]
            self.drawn[slots] += alive
            alive &= ~np.isin(tokens, self.ends) & (self.drawn[slots] < most)
            if not alive.any():
                break
            positions = torch.from_numpy(self.length[slots, None]).to(device)
            mask = self.mask[:, self.begin : self.end + 1]
            self.logits[slots] = self._forward(new[:, None], mask, positions, self.cache)
            self.length[slots] += 1
            self.end += 1
            if self.end == self.capacity or np.mean(alive) <= 1 - ENDED:
                break
        ended = [(int(self.row[i]), self.tokens[i, : self.drawn[i]].tolist()) for i in np.flatnonzero(~alive)]
        self._close_ranks(alive)
        return ended

    def _close_ranks(self, alive: np.ndarray) -> None:
        """The last rows take the slots of those that have ended."""
        self.rows = int(alive.sum())
        holes = np.flatnonzero(~alive[: self.rows])
        movers = self.rows + np.flatnonzero(alive[self.rows :])
        cached = [states for layer in self.cache.layers for states in (layer.keys, layer.values)]
        for states in (self.row, self.length, self.drawn, self.tokens, self.uniforms, self.logits, *cached):
            states[holes] = states[movers]
        if self.rows and self.end == self.capacity:
            self._lay_out()
        if self.rows:
            self._look()

    def _lay_out(self) -> None:
        """Move what is needed to the left ends of new tensors, with room for more tokens behind."""
        width, left = (
            int(self.length[: self.rows].max()),
            self.decoding.max_new_tokens - int(self.drawn[: self.rows].min()),
        )
        kept, self.capacity = min(width, self.end), width + min(left, max(32, width // 2))
        for layer in self.cache.layers:
            for name in ("keys", "values"):
                old = getattr(layer, name)
                new = old.new_zeros(len(self.row), old.shape[1], self.capacity, old.shape[3])
                new[: len(old), :, width - kept : width] = old[:, :, self.end - kept : self.end]
                setattr(layer, name, new)
        self.end = width

    def _look(self) -> None:
        """See to it that each row attends to its own tokens, and all to no more columns than needed."""
        lengths = torch.from_numpy(self.length[: self.rows]).to(self.model.device)
        self.begin = self.end - int(lengths.max())
        columns = torch.arange(self.capacity, device=lengths.device)
        self.mask = (columns >= self.end - lengths[:, None]).long()


def draw(logits: torch.Tensor, uniforms: torch.Tensor, decoding: Decoding) -> torch.Tensor:
    """The next token of each row [rows] from logits [rows, vocabulary] and numbers in [0, 1) [rows].

    Inverts the cumulative distribution; with top-p below 1 that of the fewest likeliest tokens whose probabilities
    reach it (Holtzman et al. 2020, nucleus sampling).
    """
    if decoding.temperature == 0:
        return logits.argmax(-1)
    p = torch.softmax(logits.float() / decoding.temperature, -1)
    if decoding.top_p < 1:
        high, order = p.sort(-1, descending=True)
        high = high.masked_fill(high.cumsum(-1) - high >= decoding.top_p, 0)
        p = torch.zeros_like(p).scatter(-1, order, high)
    cumulative = p.cumsum(-1, dtype=torch.float64)
    found = torch.searchsorted(cumulative, uniforms[:, None] * cumulative[:, -1:], right=True)[:, 0]
    return found.clamp(max=p.shape[-1] - 1)
