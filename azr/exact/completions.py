"""What a model may answer, with its probability, the most probable first: best-first enumeration of completions.

    found = enumerate_completions(model, tokenizer, style.solve(task), max_new_tokens=96, expansions=2000)
    sum(map(exp, found.log_probs.values())) + found.truncated + found.unexplored    # 1.0

A prefix is expanded by one forward pass for its next token. Prefixes share the cache of keys and values of what they
have in common: the tokens of a batch are one sequence, and an attention mask shows each its own ancestors, so that a
model of a million weights expands about seven thousand prefixes a second on one core. Probabilities are those of
sampling at temperature 1 without truncation, exact up to the model's own float32 arithmetic. Left out: other
temperatures, and models whose attention has a window or is not masked by four-dimensional masks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from transformers import DynamicCache, PreTrainedModel, PreTrainedTokenizerBase

from azr.sampling import encode_prompt

SMALLEST_BATCH, LARGEST_BATCH, SHARE = 16, 128, 8
"""A batch has the best n / SHARE prefixes when n were expanded: a wide one early would take much that is improbable."""

Ids = tuple[int, ...]


@dataclass(frozen=True)
class Completions:
    """Responses of one prompt; the probabilities of all of them, ``truncated`` and ``unexplored`` add up to 1."""

    log_probs: dict[Ids, float]
    """Of each finished response (token ids without the end token): log p in nats, its end token included."""
    truncated: float
    """Probability of responses that have no end token within the limit of tokens, as far as they were explored."""
    unexplored: float
    """Probability of what begins with a prefix that was not expanded."""
    expansions: int


@dataclass
class _Frontier:
    """Prefixes that wait: log-probability, node of all but the last token (-1: the prompt), last token; each [F]."""

    log_p: np.ndarray
    parent: np.ndarray
    token: np.ndarray

    def add(self, log_p: np.ndarray, nodes: np.ndarray) -> None:
        """Children of ``nodes`` [B], log_p [B, V]; impossible ones are left out."""
        row, token = np.nonzero(log_p > -np.inf)
        self.log_p = np.concatenate([self.log_p, log_p[row, token]])
        self.parent = np.concatenate([self.parent, nodes[row]])
        self.token = np.concatenate([self.token, token])

    def take(self, most: int) -> _Frontier:
        """Remove the ``most`` most probable."""
        if len(self.log_p) <= most:
            best, rest = np.arange(len(self.log_p)), np.arange(0)
        else:
            order = np.argpartition(-self.log_p, most - 1)
            best, rest = order[:most], order[most:]
        taken = _Frontier(self.log_p[best], self.parent[best], self.token[best])
        self.log_p, self.parent, self.token = self.log_p[rest], self.parent[rest], self.token[rest]
        return taken

    def mass(self) -> float:
        """Probability of everything that begins with a waiting prefix."""
        return float(np.exp(self.log_p).sum())


class _Tree:
    """The prompt and every expanded prefix, with the keys and values of each one's last token."""

    def __init__(self, model: PreTrainedModel, prompt: list[int], capacity: int) -> None:
        self.model, self.prompt = model, len(prompt)
        self.ancestors: dict[int, np.ndarray] = {-1: np.zeros(0, dtype=np.int64)}
        """By node: the nodes of its prefix, itself included."""
        self.ids: dict[int, Ids] = {-1: ()}
        out = model(torch.tensor([prompt], device=model.device), logits_to_keep=1)
        self.root = _log_softmax(out.logits[0, -1:])
        self.cache = []
        for layer in out.past_key_values.layers:
            rows, heads, _, width = layer.keys.shape
            shape = (rows, heads, self.prompt + capacity, width)
            room = layer.keys.new_empty(shape), layer.values.new_empty(shape)
            room[0][:, :, : self.prompt], room[1][:, :, : self.prompt] = layer.keys, layer.values
            self.cache.append(room)

    def expand(self, batch: _Frontier) -> tuple[np.ndarray, np.ndarray]:
        """Make nodes of the prefixes: their numbers [B], and log-probabilities of every next token [B, V]."""
        nodes = np.arange(len(batch.token)) + len(self.ids) - 1
        before = [self.ancestors[parent] for parent in batch.parent.tolist()]
        for node, parent, token, path in zip(
            nodes.tolist(), batch.parent.tolist(), batch.token.tolist(), before, strict=True
        ):
            self.ancestors[node] = np.append(path, node)
            self.ids[node] = (*self.ids[parent], token)
        # Only nodes that someone in the batch descends from are shown to the model, each to its descendants.
        shown = np.unique(np.concatenate(before))
        mask = np.full((len(nodes), self.prompt + len(shown) + len(nodes)), -np.inf, dtype=np.float32)
        mask[:, : self.prompt] = 0
        for row, path in enumerate(before):
            mask[row, self.prompt + np.searchsorted(shown, path)] = 0
        mask[np.arange(len(nodes)), self.prompt + len(shown) + np.arange(len(nodes))] = 0

        device = self.model.device
        index = torch.from_numpy(np.concatenate([np.arange(self.prompt), self.prompt + shown])).to(device)
        positions = self.prompt + np.array([len(path) for path in before])
        out = self.model(
            input_ids=torch.from_numpy(batch.token)[None].to(device),
            position_ids=torch.from_numpy(positions)[None].to(device),
            attention_mask=torch.from_numpy(mask)[None, None].to(device, self.model.dtype),
            past_key_values=DynamicCache([(k.index_select(2, index), v.index_select(2, index)) for k, v in self.cache]),
        )
        own = slice(self.prompt + int(nodes[0]), self.prompt + int(nodes[-1]) + 1)
        for (keys, values), layer in zip(self.cache, out.past_key_values.layers, strict=True):
            keys[:, :, own], values[:, :, own] = layer.keys[:, :, -len(nodes) :], layer.values[:, :, -len(nodes) :]
        return nodes, batch.log_p[:, None] + _log_softmax(out.logits[0])


@torch.no_grad()
def enumerate_completions(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompt: str,
    max_new_tokens: int,
    expansions: int,
    bound: float = 0.0,
) -> Completions:
    """Expand the most probable prefix, again and again.

    Args:
        model: a causal language model in evaluation mode.
        tokenizer: its tokenizer; the end token ends a response.
        prompt: text of the prompt.
        max_new_tokens: longest response, its end token included.
        expansions: most prefixes to expand; the prompt does not count.
        bound: stop when at most this much probability is unexplored.

    Returns:
        Completions. With more expansions no response is lost and ``unexplored`` does not grow.
    """
    tree = _Tree(model, encode_prompt(tokenizer, prompt), expansions)
    eos, done, truncated, dropped = tokenizer.eos_token_id, 0, 0.0, 0.0
    log_probs: dict[Ids, float] = {}
    frontier = _Frontier(np.zeros(0), np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))
    nodes, log_p = np.array([-1]), tree.root
    while True:
        for node, ended in zip(nodes.tolist(), log_p[:, eos].tolist(), strict=True):
            log_probs[tree.ids[node]] = ended
        log_p[:, eos] = -np.inf
        full = np.array([len(tree.ids[node]) + 1 >= max_new_tokens for node in nodes.tolist()])
        truncated += float(np.exp(log_p[full]).sum())
        frontier.add(log_p[~full], nodes[~full])
        left = expansions - done
        # What is not among the best ``left`` has no turn any more.
        kept = frontier.take(left) if left else _Frontier(frontier.log_p[:0], frontier.parent[:0], frontier.token[:0])
        dropped += frontier.mass()
        frontier = kept
        unexplored = dropped + frontier.mass()
        if not len(frontier.log_p) or unexplored <= bound:
            return Completions(log_probs, truncated, unexplored, done)
        batch = frontier.take(min(left, max(SMALLEST_BATCH, min(LARGEST_BATCH, done // SHARE))))
        nodes, log_p = tree.expand(batch)
        done += len(nodes)


@torch.no_grad()
def response_log_probs(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    pairs: Sequence[tuple[str, str]],
    max_new_tokens: int,
    chunk: int = 32,
) -> np.ndarray:
    """log p of given responses, each with its end token: shape (pairs,), in nats.

    Args:
        model: a causal language model in evaluation mode.
        tokenizer: its tokenizer.
        pairs: (prompt, response) texts, scored ``chunk`` at a time.
        max_new_tokens: longest response, its end token included.
        chunk: pairs of a forward pass.

    A response that is longer, or has characters that the tokenizer does not know, cannot be sampled: -inf.
    """
    encoded = [(encode_prompt(tokenizer, p), [*response_ids(tokenizer, r), tokenizer.eos_token_id]) for p, r in pairs]
    result = np.full(len(pairs), -np.inf)
    texts = tokenizer.batch_decode([response for _, response in encoded], skip_special_tokens=True)
    order = [i for i, (_, ids) in enumerate(encoded) if len(ids) <= max_new_tokens and texts[i] == pairs[i][1]]
    order.sort(key=lambda i: sum(map(len, encoded[i])))
    for start in range(0, len(order), chunk):
        rows = [encoded[i] for i in order[start : start + chunk]]
        width = max(len(p) + len(r) for p, r in rows)
        ids = torch.full((len(rows), width), tokenizer.pad_token_id)
        for row, (prompt, response) in enumerate(rows):  # padding stands behind, where nothing attends to it
            ids[row, : len(prompt) + len(response)] = torch.tensor(prompt + response)
        logits = model(ids.to(model.device)).logits
        for row, (prompt, response) in enumerate(rows):
            log_p = _log_softmax(logits[row, len(prompt) - 1 : len(prompt) + len(response) - 1])
            result[order[start + row]] = log_p[np.arange(len(response)), response].sum()
    return result


def response_ids(tokenizer: PreTrainedTokenizerBase, response: str) -> Ids:
    """Token ids of a response without special tokens."""
    return tuple(tokenizer(response, add_special_tokens=False)["input_ids"])


def _log_softmax(logits: torch.Tensor) -> np.ndarray:
    """In double precision, so that the probabilities of each row add up to 1 to fifteen digits."""
    return torch.log_softmax(logits.double(), dim=-1).cpu().numpy()
