"""Score given completions with a model: per-token entropies, and the probability of a right answer.

    numbers = token_statistics(model, [(c.prompt_ids, c.ids) for c in completions], chunk=64)
    nll, entropy = numbers[0]                                    # of the first completion, each [tokens], in nats
    answer_probabilities(model, [(prompt + trace, answer + [end])], chunk=64)

All at temperature 1, over the full vocabulary. Left out: gradients, and scores of prompts.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from transformers import PreTrainedModel

LOGITS = 1 << 27
"""Most logits held at once: half a gigabyte in float32."""

Row = tuple[Sequence[int], Sequence[int]]
"""Token ids of what stands there and of what is scored after it, at least one each."""


@torch.no_grad()
def token_statistics(model: PreTrainedModel, rows: Sequence[Row], chunk: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Of each token of each row's completion: -log p and the entropy of the distribution that it was drawn from.

    Args:
        model: a causal language model in evaluation mode.
        rows: (prompt ids, completion ids).
        chunk: most rows in one forward pass; fewer where the vocabulary or the rows are large.

    Returns:
        for each row two arrays [tokens], in nats: the -log p of its tokens and the entropy of the full vocabulary.
    """
    found: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    for block in _blocks(rows, chunk, model.config.get_text_config().vocab_size):
        width = max(len(rows[i][0]) + len(rows[i][1]) for i in block)
        padded = [[*rows[i][0], *rows[i][1]] for i in block]
        ids = torch.tensor([row + [0] * (width - len(row)) for row in padded], device=model.device)
        kept = width - min(len(rows[i][0]) for i in block) + 1  # no row sees its padding, which is on its right
        log_p = model(ids, use_cache=False).logits[:, -kept:-1].float().log_softmax(-1)
        nll = -log_p.gather(-1, ids[:, 1 - kept :, None])[..., 0].cpu().numpy()
        entropy = torch.special.entr(log_p.exp()).sum(-1).cpu().numpy()
        for i, *parts in zip(block, nll, entropy, strict=True):
            start = len(rows[i][0]) - (width - kept + 1)
            found[i] = tuple(part[start : start + len(rows[i][1])] for part in parts)
    return [found[i] for i in range(len(rows))]


def answer_probabilities(model: PreTrainedModel, rows: Sequence[Row], chunk: int) -> np.ndarray:
    """The probability of each row's answer, given what stands before it [rows].

    A row is (ids of prompt and sampled trace, up to where the answer begins; ids of the right answer and end token).
    Where exactly one text is right, the mean of these over a problem's samples estimates the probability of a right
    response as the share of right samples does, with no more variance: a sample's value is the expectation of its being
    right given its trace (Rao-Blackwell). A sample that never reaches an answer, or whose right answer would not fit
    into the longest response, counts 0; it is the caller's to add.
    """
    return np.exp([-nll.sum(dtype=float) for nll, _ in token_statistics(model, rows, chunk)])


def _blocks(rows: Sequence[Row], chunk: int, vocabulary: int) -> list[list[int]]:
    """Indices of rows of like length, as many together as ``chunk`` and ``LOGITS`` allow."""
    lengths = [len(prompt) + len(completion) for prompt, completion in rows]
    blocks: list[list[int]] = []
    for i in sorted(range(len(rows)), key=lambda i: (lengths[i], len(rows[i][0]))):
        most = min(chunk, max(1, LOGITS // (lengths[i] * vocabulary)))
        if not blocks or len(blocks[-1]) >= most:
            blocks.append([])
        blocks[-1].append(i)
    return blocks
