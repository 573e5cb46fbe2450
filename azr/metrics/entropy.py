"""Entropy of a policy in nats: of each next token from its logits, and over whole answers.

At temperature 1 without truncation, the mean of -log pi of the sampled tokens (the paper's estimator) has the same
expectation and more noise; with top-p, top-k or another temperature it has not, because the logits are then not those
of the distribution that was sampled from. Left out: running a model (``azr.models.scoring``).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def token_entropy(logits: torch.Tensor) -> torch.Tensor:
    """Entropy of the next-token distribution at each position.

    Args:
        logits: [..., vocab], any floating dtype; -inf marks a token that cannot occur.

    Returns:
        Nats, [...], float32 (float64 for float64 logits), between 0 and log(vocab). A row that is -inf throughout is no
        distribution and gives NaN.

    >>> import torch
    >>> round(float(token_entropy(torch.tensor([0.0, 0.0, float("-inf")]))), 4)  # log 2
    0.6931
    """
    import torch

    return torch.special.entr(torch.softmax(logits if logits.dtype == torch.float64 else logits.float(), -1)).sum(-1)


def answer_entropy(answers: Iterable[Hashable]) -> float:
    """Entropy over the distinct final answers of one problem, from samples.

    Token entropy can stay while answers narrow (arXiv 2507.14843), so both are looked at.

    Args:
        answers: the answers of n samples of one problem, compared by equality; None is an answer like any other.

    Returns:
        Nats: the plug-in estimate plus (distinct - 1) / 2n for its bias (Miller 1955), at most log n. 0 for one answer
        n times; NaN for no answers.

    >>> round(answer_entropy(["4"] * 8), 4)
    0.0
    >>> round(answer_entropy(["4", "5"] * 50), 4)
    0.6981
    """
    counts = Counter(answers)
    n = counts.total()
    if n == 0:
        return math.nan
    plug_in = -sum(count / n * math.log(count / n) for count in counts.values())
    return min(abs(plug_in) + (len(counts) - 1) / (2 * n), math.log(n))
