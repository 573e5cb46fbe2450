"""Score given completions with a model: per-token entropies, and the probability of a right answer.

    numbers = token_statistics(model, [(c.prompt_ids, c.ids) for c in completions], chunk=64)
    nll, entropy = numbers[0]                                    # of the first completion, each [tokens], in nats
    answer_probabilities(model, [(prompt, trace, answer + [end])], chunk=64)

Over the full vocabulary, at temperature 1 unless said. Left out: scores of prompts.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn
from transformers import Cache, DynamicCache, PreTrainedModel

TOKENS, LOGITS = 1 << 13, 1 << 27
"""Most tokens in a forward pass, whose states a processor's cache holds, and most logits: half a gigabyte of them."""

Row = tuple[Sequence[int], Sequence[int]]
"""Token ids of what stands there and of what is scored after it, at least one each."""


def token_scores(
    model: nn.Module, rows: Sequence[Row], temperature: float = 1.0, past: Cache | None = None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """log p of each token of the completions, its row, and the entropy of the whole distribution there; each [tokens].

    All in one forward pass and with gradients, but for the entropies (nats). Rows are padded on the right, where a
    causal model does not look, so that no mask is needed; logits are computed in the columns of completions alone.
    ``past`` holds keys and values of what stands before all that, of as many tokens in each row.
    """
    whole = [[*prompt, *completion] for prompt, completion in rows]
    width, device = max(map(len, whole)), next(model.parameters()).device
    ids = torch.tensor([row + [0] * (width - len(row)) for row in whole], device=device)
    places = [(i, t) for i, (prompt, _) in enumerate(rows) for t in range(len(prompt), len(whole[i]))]
    row, place = torch.tensor(places, device=device).T
    columns, column = torch.unique(place - 1, return_inverse=True)
    states = {"use_cache": False} if past is None else {"use_cache": True, "past_key_values": past}
    logits = model(input_ids=ids, logits_to_keep=columns, **states).logits[row, column].float()
    log_p = torch.log_softmax(logits / temperature, dim=-1)
    with torch.no_grad():
        entropies = torch.cat([torch.special.entr(part.exp()).sum(-1) for part in log_p.split(1024)])
    return log_p.gather(-1, ids[row, place, None])[:, 0], row, entropies


@torch.no_grad()
def token_statistics(model: PreTrainedModel, rows: Sequence[Row], chunk: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """-log p of each token of each row's completion, and the entropy of the full vocabulary there, [tokens], in nats.

    Args:
        model: a causal language model in evaluation mode.
        chunk: most rows in one forward pass; fewer where the vocabulary or the rows are large. A prompt is read once
            for its rows in a pass.
    """
    found: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    for block in _blocks(rows, chunk, model.config.get_text_config().vocab_size):
        prompts = [tuple(rows[i][0]) for i in block]
        place = {prompt: i for i, prompt in enumerate(dict.fromkeys(prompts))}
        past = DynamicCache()
        before = torch.tensor([prompt[:-1] for prompt in place], device=model.device)
        if before.numel():
            model(input_ids=before, past_key_values=past, use_cache=True, logits_to_keep=1)
            past.batch_select_indices(torch.tensor([place[prompt] for prompt in prompts], device=model.device))
        log_p, _, entropy = token_scores(model, [(rows[i][0][-1:], rows[i][1]) for i in block], past=past)
        sizes = [len(rows[i][1]) for i in block]
        parts = zip((-log_p).cpu().split(sizes), entropy.cpu().split(sizes), strict=True)
        found |= {i: (nll.numpy(), own.numpy()) for i, (nll, own) in zip(block, parts, strict=True)}
    return [found[i] for i in range(len(rows))]


def answer_probabilities(model: PreTrainedModel, rows: Sequence[Row], chunk: int) -> np.ndarray:
    """The probability of each row's answer, given what stands before it [rows].

    A row is (ids of the prompt; of a sampled trace, up to where the answer begins; of the right answer and end token).
    Where exactly one text is right, the mean of these over a problem's samples estimates the probability of a right
    response as the share of right samples does, with no more variance: a sample's value is the expectation of its being
    right given its trace (Rao-Blackwell). A sample that never reaches an answer, or whose right answer would not fit
    into the longest response, counts 0; it is the caller's to add.
    """
    numbers = token_statistics(model, [(prompt, (*trace, *answer)) for prompt, trace, answer in rows], chunk)
    answers = [len(answer) for _, _, answer in rows]
    return np.exp([-nll[-size:].sum(dtype=float) for (nll, _), size in zip(numbers, answers, strict=True)])


def _blocks(rows: Sequence[Row], chunk: int, vocabulary: int) -> list[list[int]]:
    """Indices of rows, those with one prompt together and only prompts of one length, as many as the bounds allow."""
    blocks: list[list[int]] = []
    longest = before = 0
    for i in sorted(range(len(rows)), key=lambda i: (len(rows[i][0]), tuple(rows[i][0]), len(rows[i][1]))):
        prompt, completion = map(len, rows[i])
        longest = max(longest, completion)
        most = min(chunk, TOKENS // (prompt + longest), LOGITS // (longest * vocabulary))
        if not blocks or prompt != before or len(blocks[-1]) >= most:
            blocks.append([])
            longest, before = completion, prompt
        blocks[-1].append(i)
    return blocks
