"""Sample completions from a causal language model: the one sampler of training, evaluation and every command.

    decoding = Decoding(max_new_tokens=8)
    sample(model, tokenizer, ["input 1\\n"] * 4, decoding, streams=[(0, 0, i) for i in range(4)])

Each row draws from a random stream of its own, so a completion does not depend on what is sampled beside it (but for
rounding). Rows that have said the same so far share one pass through the model, keys and values are written in place,
and where responses have ended others begin. Left out: penalties, beams, models with a recurrent state, vLLM.
"""

import inspect
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from tokenizers.models import WordLevel
from transformers import Cache, DynamicCache, DynamicLayer, PreTrainedModel, PreTrainedTokenizerBase

from azr.errors import UserError

READ = 32
"""Prompts that are read in one forward pass."""
FREE = 1 / 2
"""The share of a batch's rows whose end is waited for before others begin."""


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
    """Token ids of a prompt, with no end token last and no begin token twice.

    It begins with one where the tokenizer or the chat template has put it there, and where tokens are words and there
    is no template: the built-in models' tokenizer leaves it to us.
    """
    ids = list(tokenizer(prompt)["input_ids"])
    begin, end = tokenizer.bos_token_id, tokenizer.eos_token_id
    while ids and ids[-1] == end:
        ids.pop()
    backend = getattr(tokenizer, "backend_tokenizer", None)
    ours = backend is not None and isinstance(backend.model, WordLevel) and not tokenizer.chat_template
    begins = begin is not None and (ours or ids[:1] == [begin])
    while begins and ids[:1] == [begin]:
        ids.pop(0)
    return [begin, *ids] if begins else ids


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


def check_room(model: PreTrainedModel, prompts: Sequence[Sequence[int]], longest: int) -> None:
    """Warn of prompts that leave the model's context no room for ``longest`` tokens; UserError where all do."""
    context = getattr(model.config.get_text_config(), "max_position_embeddings", None) or math.inf
    over = [len(prompt) for prompt in prompts if len(prompt) + longest > context]
    text = f"{len(over)} of {len(prompts)} prompts, up to {max(over, default=0)} tokens long, do not fit the model's "
    text += f"context of {context} tokens with responses of {longest}: allow shorter ones, or show fewer references."
    if over and len(over) == len(prompts):
        raise UserError(text)
    if over:
        warnings.warn(text, stacklevel=2)


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
    check_room(model, rows, decoding.max_new_tokens)
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
    """A response to each prompt, in order (token ids), up to its first token of ``ends`` or ``max_new_tokens``.

    Args:
        model: any causal model whose state is a cache of keys and values, in evaluation mode.
        prompts: token ids, at least one each.
        streams: a name for the random stream of each row: integers of at least 0, equally many for all.
    """
    waiting = sorted(range(len(prompts)), key=lambda i: (len(prompts[i]), prompts[i], -i))  # the longest begin
    responses: list[list[int]] = [[] for _ in prompts]
    most = min(decoding.chunk, len(prompts))
    batch = _Batch(model, decoding, ends, most)
    while waiting or len(batch.row):
        free = most - len(batch.row)
        if waiting and free >= FREE * most:
            begin = [waiting.pop() for _ in range(min(len(waiting), free))]
            batch.enter(begin, [prompts[i] for i in begin], [streams[i] for i in begin])
        for row, ids in batch.step():
            responses[row] = ids
    return responses


class _Layer(DynamicLayer):
    """Keys and values of one layer [slots, heads, columns, size], written in place into columns kept free for them."""

    def __init__(self, batch: "_Batch", keys: torch.Tensor, values: torch.Tensor) -> None:
        super().__init__()
        self.batch, self.keys, self.values, self.is_initialized = batch, keys, values, True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: object, **kwargs: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write those of one token [prefixes, heads, 1, size], and return all that the batch looks at."""
        used, begin, end = len(self.batch.length), self.batch.begin, self.batch.end
        self.keys[:used, :, end] = key_states[:, :, 0]
        self.values[:used, :, end] = value_states[:, :, 0]
        return self.keys[:used, :, begin : end + 1], self.values[:used, :, begin : end + 1]

    def get_seq_length(self) -> int:
        """How many tokens a prefix is taken to have, its padding included."""
        return self.batch.end - self.batch.begin


class _Batch:
    """Rows that are sampled side by side, and the distinct prefixes (prompt and response so far) that they share.

    Prefix i has slot i of the cache. All have their latest token in the same column of it, the last before ``end``, and
    none reaches back before ``begin``; what lies there of others is masked. So windows of attention are those of the
    tokens.
    """

    def __init__(self, model: PreTrainedModel, decoding: Decoding, ends: frozenset[int], most: int) -> None:
        self.model, self.decoding, self.ends, self.most = model, decoding, np.array(sorted(ends)), most
        self.accepted = inspect.signature(model.forward).parameters.keys()
        self.begin = self.end = self.columns = self.slots = 0
        self.row, self.drawn, self.prefix = np.zeros((3, 0), int)
        self.tokens = np.zeros((0, decoding.max_new_tokens), int)
        self.uniforms = np.zeros((0, decoding.max_new_tokens))
        self.length = np.zeros(0, int)
        self.logits = torch.zeros(0, 0)
        self.cache: Cache | None = None

    def enter(self, rows: list[int], prompts: list[list[int]], streams: list[tuple[int, ...]]) -> None:
        """Begin responses; each distinct prompt is read once."""
        distinct = {tuple(prompt): i for i, prompt in enumerate(dict.fromkeys(map(tuple, prompts)))}
        prefix = len(self.length) + np.array([distinct[tuple(prompt)] for prompt in prompts])
        uniforms = [np.random.default_rng(stream).random(self.decoding.max_new_tokens) for stream in streams]
        self.row, self.prefix = np.append(self.row, rows), np.append(self.prefix, prefix)
        self.drawn = np.append(self.drawn, np.zeros(len(rows), int))
        self.tokens = np.pad(self.tokens, ((0, len(rows)), (0, 0)))
        self.uniforms = np.concatenate([self.uniforms, uniforms])
        for start in range(0, len(distinct), READ):
            self._read(list(distinct)[start : start + READ])

    def _read(self, prompts: list[tuple[int, ...]]) -> None:
        """Keys, values and next logits of prompts, into the next slots."""
        width, device, used = max(map(len, prompts)), self.model.device, len(self.length)
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in prompts], device=device)
        ids = torch.tensor([[0] * (width - len(row)) + list(row) for row in prompts], device=device)
        read = DynamicCache()
        logits = self._forward(ids, mask, (mask.cumsum(1) - 1).clamp(min=0), read)
        self.logits = logits if self.cache is None else torch.cat([self.logits, logits])
        self.length = np.append(self.length, list(map(len, prompts)))
        if self.cache is None:
            self.cache = Cache(layers=[_Layer(self, layer.keys[:0], layer.values[:0]) for layer in read.layers])
        self._make_room(len(self.length))
        for ours, new in zip(self.cache.layers, read.layers, strict=True):
            ours.keys[used : used + len(prompts), :, self.end - width : self.end] = new.keys
            ours.values[used : used + len(prompts), :, self.end - width : self.end] = new.values

    def _forward(self, ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor, cache: Cache) -> torch.Tensor:
        """Logits [prefixes, vocabulary] behind the last tokens of ``ids`` [prefixes, tokens]."""
        optional = {"position_ids": positions, "logits_to_keep": 1}
        settings = {name: value for name, value in optional.items() if name in self.accepted}
        return self.model(ids, attention_mask=mask, past_key_values=cache, use_cache=True, **settings).logits[:, -1]

    def step(self) -> list[tuple[int, list[int]]]:
        """Draw a token for each row; the rows that ended by it, which leave, and their ids."""
        device, here = self.model.device, np.arange(len(self.row))
        uniforms = torch.from_numpy(self.uniforms[here, self.drawn]).to(device)
        drawn = draw(self.logits, torch.from_numpy(self.prefix).to(device), uniforms, self.decoding).cpu().numpy()
        self.tokens[here, self.drawn] = drawn
        self.drawn += 1
        alive = ~np.isin(drawn, self.ends) & (self.drawn < self.decoding.max_new_tokens)
        ended = [(int(self.row[i]), self.tokens[i, : self.drawn[i]].tolist()) for i in np.flatnonzero(~alive)]
        for name in ("row", "drawn", "prefix", "tokens", "uniforms"):
            setattr(self, name, getattr(self, name)[alive])
        if alive.any():
            self._advance(torch.from_numpy(self._branch(drawn[alive])).to(device))
        else:
            self.length, self.logits = self.length[:0], self.logits[:0]
        return ended

    def _branch(self, drawn: np.ndarray) -> np.ndarray:
        """Give each distinct prefix, grown by the token that its rows have drawn, a slot; the tokens [prefixes].

        One that grows from slot i stays there where it can, so that little of the cache is copied.
        """
        vocabulary = self.logits.shape[1]
        grown, which = np.unique(self.prefix * vocabulary + drawn, return_inverse=True)
        parents, tokens = np.divmod(grown, vocabulary)
        stays = (np.diff(parents, prepend=-1) > 0) & (parents < len(parents))
        slots = np.where(stays, parents, -1)
        slots[~stays] = np.setdiff1d(np.arange(len(parents)), slots)
        self._make_room(len(parents))
        begin, end = self.begin, self.end
        for layer in self.cache.layers:
            for states in (layer.keys, layer.values):
                states[slots[~stays], :, begin:end] = states[parents[~stays], :, begin:end]
        self.prefix, order = slots[which], np.argsort(slots)
        self.length = self.length[parents[order]]
        return tokens[order]

    def _advance(self, tokens: torch.Tensor) -> None:
        """Run the model over one more token of each prefix."""
        lengths = torch.from_numpy(self.length).to(tokens.device)
        self.begin = self.end - int(self.length.max())
        columns = torch.arange(self.begin, self.end + 1, device=tokens.device)
        mask = (columns >= self.end - lengths[:, None]).long()
        self.logits = self._forward(tokens[:, None], mask, lengths[:, None], self.cache)
        self.length, self.end = self.length + 1, self.end + 1

    def _make_room(self, slots: int) -> None:
        """Where slots or columns are lacking, move what is needed to the left ends of new tensors that have more."""
        if slots <= self.slots and self.end < self.columns:
            return
        width, left = int(self.length.max()), self.decoding.max_new_tokens - int(self.drawn.min())
        kept, self.columns = min(width, self.end), width + min(left, max(32, width // 2))
        self.slots = min(self.most, max(slots + slots // 2, self.slots))
        for layer in self.cache.layers:
            for name in ("keys", "values"):
                old = getattr(layer, name)[: len(self.length), :, self.end - kept : self.end]
                new = old.new_zeros(self.slots, old.shape[1], self.columns, old.shape[3])
                new[: len(old), :, width - kept : width] = old
                setattr(layer, name, new)
        self.begin, self.end = 0, width


def draw(logits: torch.Tensor, of: torch.Tensor, uniforms: torch.Tensor, decoding: Decoding) -> torch.Tensor:
    """The next token of each row [rows], from numbers in [0, 1) [rows] and row ``of[i]`` of logits [any, vocabulary].

    Inverts the cumulative distribution; with top-p below 1 that of the fewest likeliest tokens whose probabilities
    reach it (Holtzman et al. 2020, nucleus sampling).
    """
    if decoding.temperature == 0:
        return logits.argmax(-1)[of]
    p = torch.softmax(logits.float() / decoding.temperature, -1)
    if decoding.top_p < 1:
        high, order = p.sort(-1, descending=True)
        high = high.masked_fill(high.cumsum(-1) - high >= decoding.top_p, 0)
        p = torch.zeros_like(p).scatter(-1, order, high)
    cumulative = p.cumsum(-1, dtype=torch.float64)[of]
    found = torch.searchsorted(cumulative, uniforms[:, None] * cumulative[:, -1:], right=True)[:, 0]
    return found.clamp(max=p.shape[-1] - 1)
