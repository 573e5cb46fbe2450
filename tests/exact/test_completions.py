"""Enumerated completions: all of them where they can be counted, the most probable ones where they cannot."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from training.tiny import TOKENIZER, tiny_model

from azr.exact.completions import enumerate_completions, response_log_probs
from azr.models import load_model
from azr.prompts.compact import CompactStyle
from azr.sampling import encode_prompt
from azr.tasks import TaskType
from azr.world.problems import problems

from .small import all_completions, small_model, small_tokenizer, total

SMALL = small_tokenizer()
PROMPT, LONGEST = "output 12", 4


@pytest.mark.parametrize("seed", [0, 1])
def test_with_enough_expansions_every_completion_is_found_with_its_probability(seed):
    model = small_model(seed)
    expected, _ = all_completions(model, SMALL, PROMPT, LONGEST)
    found = enumerate_completions(model, SMALL, PROMPT, LONGEST, expansions=10_000)
    assert set(found.log_probs) == set(expected)
    assert found.expansions == len(expected) - 1  # the empty response needs no expansion
    assert found.unexplored == 0
    assert found.truncated == pytest.approx(1 - sum(expected.values()), abs=1e-6)
    for ids, p in expected.items():
        assert np.exp(found.log_probs[ids]) == pytest.approx(p, rel=1e-4)


@settings(max_examples=15)
@given(st.integers(0, 5), st.lists(st.integers(0, 250), min_size=2, max_size=4))
def test_probabilities_add_up_and_more_expansions_only_add(seed, budgets):
    model = small_model(seed)
    runs = [enumerate_completions(model, SMALL, PROMPT, LONGEST, budget) for budget in sorted(budgets)]
    for run, budget in zip(runs, sorted(budgets), strict=True):
        assert total(run.log_probs.values()) + run.truncated + run.unexplored == pytest.approx(1, abs=1e-9)
        assert run.expansions <= budget
    for less, more in pairwise(runs):
        assert less.log_probs.keys() <= more.log_probs.keys()
        assert more.unexplored <= less.unexplored + 1e-6


def test_the_most_probable_prefixes_are_expanded_first():
    model = small_model(3)
    _, prefixes = all_completions(model, SMALL, PROMPT, LONGEST)
    found = enumerate_completions(model, SMALL, PROMPT, LONGEST, expansions=16)
    best = sorted((ids for ids in prefixes if len(ids) == 2), key=prefixes.__getitem__)[-10:]
    # The first batch has all six prefixes of one token, the second the best ten of what follows.
    assert {ids for ids in found.log_probs if len(ids) == 2} == set(best)
    assert len(found.log_probs) == 1 + 6 + 10


def test_enumeration_stops_at_the_bound():
    model = small_model(0)
    found = enumerate_completions(model, SMALL, PROMPT, LONGEST, expansions=10_000, bound=0.2)
    assert 0 < found.unexplored <= 0.2
    assert found.expansions < 200


def test_a_shared_cache_gives_the_probabilities_of_a_plain_forward_pass():
    model, tokenizer = load_model("nano")
    problem = problems("test", TaskType.DEDUCTION, 3)[2]
    prompt = CompactStyle().solve(problem.task)
    found = enumerate_completions(model, tokenizer, prompt, 96, expansions=400)
    start = encode_prompt(tokenizer, prompt)
    longest = sorted(found.log_probs, key=len)[-10:]
    for ids in longest:
        whole = torch.tensor([[*start, *ids, tokenizer.eos_token_id]])
        with torch.no_grad():
            log_p = torch.log_softmax(model(whole).logits[0].double(), -1)
        steps = range(len(start), whole.shape[1])
        plain = float(sum(log_p[i - 1, whole[0, i]] for i in steps))
        assert found.log_probs[ids] == pytest.approx(plain, abs=1e-3)
    texts = [tokenizer.decode(ids) for ids in longest]
    scores = response_log_probs(model, tokenizer, [(prompt, text) for text in texts], 96, chunk=4)
    canonical = [i for i, (ids, text) in enumerate(zip(longest, texts, strict=True)) if _written_as(text) == ids]
    assert canonical
    assert [found.log_probs[longest[i]] for i in canonical] == pytest.approx(scores[canonical].tolist(), abs=1e-3)


def _written_as(text: str) -> tuple[int, ...]:
    return tuple(TOKENIZER(text)["input_ids"])


def test_scores_do_not_depend_on_what_they_are_batched_with():
    model = tiny_model()
    pairs = [("input 1\n", "output 2"), ("input [1, 2]\n", "think 3\noutput 'ab'"), ("", "output 0")]
    together = response_log_probs(model, TOKENIZER, pairs, 20)
    alone = [response_log_probs(model, TOKENIZER, [pair], 20)[0] for pair in pairs]
    assert together == pytest.approx(alone, abs=1e-4)


def test_a_response_longer_than_the_limit_has_no_probability():
    pair = ("input 1\n", "output 22")  # four tokens with the end token
    assert response_log_probs(tiny_model(), TOKENIZER, [pair], 3)[0] == -np.inf
    assert np.isfinite(response_log_probs(tiny_model(), TOKENIZER, [pair], 4)[0])
