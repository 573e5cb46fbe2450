"""Sampling: from the model's own distribution, with or without cache and padding, in one stage or several."""

from __future__ import annotations

import copy
from collections import Counter
from functools import wraps

import numpy as np
import pytest
import torch

from azr import sampling
from azr.sampling import encode_prompt, respond, sample, sample_each

from .tiny import TOKENIZER, assert_drawn_from, probabilities_after, tiny_model

MODEL = tiny_model()
PROMPT = "predict the output\ndef f(x):\n    return x + 3\ninput 4\n"
PROMPTS = [PROMPT, "find an input\n", "x"]


def next_token_probabilities(prompt: str) -> np.ndarray:
    return probabilities_after(MODEL, encode_prompt(TOKENIZER, prompt))


def test_prompts_are_opened_once():
    ids = encode_prompt(TOKENIZER, PROMPT)
    assert ids[0] == TOKENIZER.bos_token_id
    assert TOKENIZER.decode(ids[1:]) == PROMPT
    assert encode_prompt(TOKENIZER, "<bos>x")[:2] == [TOKENIZER.bos_token_id, TOKENIZER.convert_tokens_to_ids("x")]


def texts_of(n: int, **settings) -> list[str]:
    return [completion.text for completion in sample(MODEL, TOKENIZER, [PROMPT] * n, **settings)]


def test_each_prompt_has_its_samples_whatever_is_sampled_beside_it():
    each = dict(sample_each(MODEL, TOKENIZER, PROMPTS, n=3, max_new_tokens=6, seed=5, chunk=6))
    assert sorted(each) == [0, 1, 2]
    for i, completions in each.items():
        assert [c.prompt_ids for c in completions] == [encode_prompt(TOKENIZER, PROMPTS[i])] * 3
    again, other = (
        dict(sample_each(MODEL, TOKENIZER, PROMPTS, n=3, max_new_tokens=6, seed=s, chunk=6)) for s in (5, 6)
    )
    assert again == each != other


def test_more_samples_of_a_prompt_than_fit_side_by_side_all_differ():
    ((_, completions),) = sample_each(MODEL, TOKENIZER, [PROMPT], n=10, max_new_tokens=8, seed=0, chunk=4)
    assert len({c.text for c in completions}) == 10


@pytest.mark.parametrize("stage", [32, 2])
@pytest.mark.parametrize("prompt", [*PROMPTS, ""])
def test_greedy_is_what_generate_gives_without_cache_and_stages(prompt, stage, monkeypatch):
    monkeypatch.setattr(sampling, "STAGE", stage)
    ids = torch.tensor([encode_prompt(TOKENIZER, prompt)])
    plain = MODEL.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=12)
    expected = TOKENIZER.decode(plain[0, ids.shape[1] :], skip_special_tokens=True)
    greedy = sample(MODEL, TOKENIZER, [prompt] * 2, max_new_tokens=12, seed=0, temperature=0)
    assert [completion.text for completion in greedy] == [expected] * 2


@pytest.mark.parametrize("chunk", [4000, 900])
def test_the_first_token_has_the_models_probabilities(chunk):
    texts = texts_of(4000, max_new_tokens=1, seed=3, chunk=chunk)
    probabilities = next_token_probabilities(PROMPT)
    named = {token: probabilities[id] for token, id in TOKENIZER.get_vocab().items() if id > 2}
    named[""] = probabilities[:3].sum()  # special tokens leave no text
    tokens = list(named)
    counts = np.array([texts.count(token) for token in tokens])
    assert counts.sum() == 4000
    assert_drawn_from(counts, np.array(list(named.values())))


def test_a_later_token_follows_from_what_was_sampled_before_it():
    """With the prompt's cache repeated, the second token's distribution is that after each row's own first."""
    texts = texts_of(3000, max_new_tokens=2, seed=1)
    firsts = next_token_probabilities(PROMPT)
    first = int(firsts[4:].argmax()) + 4
    word = TOKENIZER.convert_ids_to_tokens(first)
    ids = [TOKENIZER(text)["input_ids"] for text in texts]
    second = np.bincount([i[1] for i in ids if len(i) == 2 and i[0] == first], minlength=len(TOKENIZER))
    expected = next_token_probabilities(PROMPT + word)
    expected[:4] = 0
    assert second.sum() > 50
    top = int(expected.argmax())
    assert second[top] / second.sum() == pytest.approx(expected[top] / expected.sum(), abs=0.15)


def test_a_batch_with_padding_draws_from_each_prompts_own_distribution():
    """Short prompts sit beside a long one and are padded; what they sample must not notice."""
    prompts = ["find an input\n"] * 3000 + [PROMPT]
    completions = sample(MODEL, TOKENIZER, prompts, max_new_tokens=1, seed=2, chunk=5000)
    counts = np.bincount([c.ids[0] for c in completions[:3000]], minlength=len(TOKENIZER))
    assert_drawn_from(counts, next_token_probabilities("find an input\n"))


def test_a_batch_keeps_the_order_of_its_prompts_and_repeats_with_its_seed():
    prompts = [PROMPT, "x", "find an input\n", "x"] * 3
    first, again, other = (sample(MODEL, TOKENIZER, prompts, max_new_tokens=5, seed=s, chunk=5) for s in (0, 0, 1))
    assert [c.prompt_ids for c in first] == [encode_prompt(TOKENIZER, prompt) for prompt in prompts]
    assert first == again != other


def test_a_completion_ends_with_its_first_end_token_and_the_text_leaves_it_out():
    completions = sample(MODEL, TOKENIZER, ["x"] * 400, max_new_tokens=10, seed=0)
    eos = TOKENIZER.eos_token_id
    ended = [c for c in completions if eos in c.ids]
    assert ended
    assert all(c.ids.index(eos) == len(c.ids) - 1 for c in ended)
    assert all(len(c.ids) == 10 for c in completions if eos not in c.ids)
    assert all(c.text == TOKENIZER.decode(c.ids, skip_special_tokens=True) for c in completions)


@pytest.mark.parametrize("stage", [1, 4, 100])
def test_greedy_responses_of_a_batch_are_those_of_each_prompt_alone(stage, monkeypatch):
    """Rows leave the batch as they end, and what goes on has lost nothing."""
    ids = [encode_prompt(TOKENIZER, prompt) for prompt in PROMPTS]
    monkeypatch.setattr(sampling, "STAGE", 100)
    plain = [respond(MODEL, TOKENIZER, [row], 20, temperature=0)[0] for row in ids]
    ending = copy.deepcopy(TOKENIZER)
    ending.eos_token = TOKENIZER.convert_ids_to_tokens(plain[0][6])  # the first prompt's response now ends early
    eos = ending.eos_token_id
    monkeypatch.setattr(sampling, "STAGE", stage)
    cut = [row[: row.index(eos) + 1] if eos in row else row for row in plain]
    assert respond(MODEL, ending, ids, 20, temperature=0) == cut
    assert respond(MODEL, ending, [ids[1], *[ids[0]] * 3], 20, temperature=0) == [cut[1], *[cut[0]] * 3]
    assert len({len(row) for row in cut}) > 1


def test_a_padded_batch_in_stages_has_the_distribution_of_its_prefixes(monkeypatch):
    """Second tokens, drawn in a stage of their own beside longer prompts, are those that follow the first ones."""
    monkeypatch.setattr(sampling, "STAGE", 1)
    short = "find an input\n"
    completions = sample(MODEL, TOKENIZER, [short] * 4000 + [PROMPT], max_new_tokens=2, seed=4, chunk=5000)
    firsts = Counter(c.ids[0] for c in completions[:-1])
    first, count = next((token, n) for token, n in firsts.most_common() if token != TOKENIZER.eos_token_id)
    seconds = np.bincount([c.ids[1] for c in completions[:-1] if c.ids[0] == first], minlength=len(TOKENIZER))
    expected = probabilities_after(MODEL, [*encode_prompt(TOKENIZER, short), first])
    assert seconds.sum() == count > 60
    top = int(expected.argmax())
    assert seconds[top] / count == pytest.approx(expected[top], abs=4 * (expected[top] / count) ** 0.5)


def test_prompts_that_repeat_are_read_once_and_give_the_same_samples(monkeypatch):
    prompts = [PROMPT] * 3 + ["x"] * 5 + ["find an input\n"] * 4
    shared = sample(MODEL, TOKENIZER, prompts, max_new_tokens=8, seed=7)
    widths = []
    forward = MODEL.forward

    @wraps(forward)  # generation looks at the signature
    def counted(*args, **kwargs):
        ids = kwargs.get("input_ids", args[0] if args else None)
        widths.append(tuple(ids.shape))
        return forward(*args, **kwargs)

    monkeypatch.setattr(MODEL, "forward", counted)
    assert sample(MODEL, TOKENIZER, prompts, max_new_tokens=8, seed=7) == shared
    assert widths[0][0] == 3  # the three distinct prompts
    assert all(width == 1 for _, width in widths[1:8])
    monkeypatch.setattr(sampling, "_shared", lambda model, ids, mask: None)
    assert sample(MODEL, TOKENIZER, prompts, max_new_tokens=8, seed=7) == shared
