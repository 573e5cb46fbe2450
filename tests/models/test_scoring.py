"""Scores of given tokens against one forward pass a token, and answers' probabilities against enumeration."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from azr.models import scoring
from azr.models.sampling import Decoding, sample_ids
from azr.models.scoring import answer_probabilities, token_statistics

from .tiny import BOS, EOS, tiny_model

MODEL = tiny_model()
IDS = st.lists(st.integers(3, 14), min_size=1, max_size=7)


def next_token(prefix: list[int]) -> np.ndarray:
    with torch.no_grad():
        return torch.softmax(MODEL(torch.tensor([prefix])).logits[0, -1].double(), -1).numpy()


@given(st.lists(IDS, min_size=1, max_size=3), st.data(), st.integers(1, 4), st.sampled_from([1 << 27, 300]))
@settings(max_examples=12)
def test_each_token_is_scored_by_what_stands_before_it(prompts, data, chunk, logits):
    rows = data.draw(st.lists(st.tuples(st.sampled_from(prompts), IDS), max_size=6))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scoring, "LOGITS", logits)
        numbers = token_statistics(MODEL, rows, chunk)
    assert len(numbers) == len(rows)
    for (prompt, completion), (nll, entropy) in zip(rows, numbers, strict=True):
        before = [next_token([*prompt, *completion[:i]]) for i in range(len(completion))]
        assert nll == pytest.approx([-np.log(p[t]) for p, t in zip(before, completion, strict=True)], abs=1e-4)
        assert entropy == pytest.approx([-(p * np.log(p)).sum() for p in before], abs=1e-4)


def test_a_uniform_model_has_the_entropy_of_its_vocabulary():
    model = tiny_model()
    torch.nn.init.zeros_(model.lm_head.weight)
    nll, entropy = token_statistics(model, [([BOS], [5, 6, EOS])], 8)[0]
    assert nll == pytest.approx([np.log(16)] * 3)
    assert entropy == pytest.approx([np.log(16)] * 3)


MARK, RIGHT, LONGEST, WORDS = 3, [4, EOS], 4, 7
"""A response is a trace without MARK, then MARK, then an answer: at most four of seven tokens."""


def test_the_mean_over_traces_is_the_enumerated_probability_with_less_variance():
    model, prompt, n = tiny_model(vocab_size=WORDS, initializer_range=0.15), [BOS, 5, 4], 4000
    traces = [
        [*trace, MARK]
        for size in range(LONGEST - len(RIGHT))
        for trace in product([w for w in range(WORDS) if w not in (MARK, EOS)], repeat=size)
    ]
    exact = answer_probabilities(model, [(prompt, [], trace + RIGHT) for trace in traces], 64).sum()

    drawn = sample_ids(model, [prompt] * n, Decoding(LONGEST), [(0, i) for i in range(n)], frozenset({EOS}))
    counted = np.array([ids in [trace + RIGHT for trace in traces] for ids in drawn], float)
    reached = [ids[: ids.index(MARK) + 1] if MARK in ids else [] for ids in drawn]
    fits = [0 < len(trace) <= LONGEST - len(RIGHT) for trace in reached]
    scored = np.zeros(n)
    rows = [(prompt, trace, RIGHT) for trace, fit in zip(reached, fits, strict=True) if fit]
    scored[fits] = answer_probabilities(model, rows, 256)

    assert 0.001 < exact < 0.5
    assert abs(counted.mean() - exact) < 4 * counted.std() / np.sqrt(n)
    assert abs(scored.mean() - exact) < 4 * scored.std() / np.sqrt(n)
    assert scored.var() < counted.var() / 2


def test_nothing_to_score():
    assert token_statistics(MODEL, [], 4) == []
    assert len(answer_probabilities(MODEL, [], 4)) == 0
