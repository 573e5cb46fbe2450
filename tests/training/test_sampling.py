"""Sampling: from the model's own distribution, by prompt and seed alone, with or without cache and padding."""

from __future__ import annotations

from collections import Counter
from functools import wraps

import numpy as np
import pytest
import torch

from azr import sampling
from azr.sampling import encode_prompt, in_stages, sample, sample_batch

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


def test_samples_of_a_prompt_do_not_depend_on_the_other_prompts():
    together = sample(MODEL, TOKENIZER, PROMPTS, n=3, max_new_tokens=6, seed=5)
    assert [len(texts) for texts in together] == [3, 3, 3]
    for prompt, texts in zip(PROMPTS, together, strict=True):
        assert sample(MODEL, TOKENIZER, [prompt], n=3, max_new_tokens=6, seed=5) == [texts]
    assert sample(MODEL, TOKENIZER, PROMPTS, n=3, max_new_tokens=6, seed=6) != together


def test_samples_of_one_prompt_differ_also_across_chunks():
    (texts,) = sample(MODEL, TOKENIZER, [PROMPT], n=10, max_new_tokens=8, seed=0, chunk=4)
    assert len(set(texts)) == 10


@pytest.mark.parametrize("first_stage", [32, 2])
@pytest.mark.parametrize("prompt", [*PROMPTS, ""])
def test_greedy_is_what_generate_gives_without_cache_and_stages(prompt, first_stage, monkeypatch):
    monkeypatch.setattr(sampling, "FIRST_STAGE", first_stage)
    ids = torch.tensor([encode_prompt(TOKENIZER, prompt)])
    plain = MODEL.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=12)
    expected = TOKENIZER.decode(plain[0, ids.shape[1] :], skip_special_tokens=True)
    assert sample(MODEL, TOKENIZER, [prompt], n=2, max_new_tokens=12, seed=0, temperature=0) == [[expected] * 2]


@pytest.mark.parametrize("chunk", [4000, 900])
def test_the_first_token_has_the_models_probabilities(chunk):
    (texts,) = sample(MODEL, TOKENIZER, [PROMPT], n=4000, max_new_tokens=1, seed=3, chunk=chunk)
    probabilities = next_token_probabilities(PROMPT)
    named = {token: probabilities[id] for token, id in TOKENIZER.get_vocab().items() if id > 2}
    named[""] = probabilities[:3].sum()  # special tokens leave no text
    tokens = list(named)
    counts = np.array([texts.count(token) for token in tokens])
    assert counts.sum() == 4000
    assert_drawn_from(counts, np.array(list(named.values())))


def test_a_later_token_follows_from_what_was_sampled_before_it():
    """With the prompt's cache repeated, the second token's distribution is that after each row's own first."""
    (texts,) = sample(MODEL, TOKENIZER, [PROMPT], n=3000, max_new_tokens=2, seed=1)
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
    completions = sample_batch(MODEL, TOKENIZER, prompts, max_new_tokens=1, seed=2, chunk=5000)
    counts = np.bincount([c.ids[0] for c in completions[:3000]], minlength=len(TOKENIZER))
    assert_drawn_from(counts, next_token_probabilities("find an input\n"))


def test_a_batch_keeps_the_order_of_its_prompts_and_repeats_with_its_seed():
    prompts = [PROMPT, "x", "find an input\n", "x"] * 3
    first, again, other = (
        sample_batch(MODEL, TOKENIZER, prompts, max_new_tokens=5, seed=s, chunk=5) for s in (0, 0, 1)
    )
    assert [c.prompt_ids for c in first] == [encode_prompt(TOKENIZER, prompt) for prompt in prompts]
    assert first == again != other


def test_a_completion_ends_with_its_first_end_token_and_the_text_leaves_it_out():
    completions = sample_batch(MODEL, TOKENIZER, ["x"] * 400, max_new_tokens=10, seed=0)
    eos = TOKENIZER.eos_token_id
    ended = [c for c in completions if eos in c.ids]
    assert ended
    assert all(c.ids.index(eos) == len(c.ids) - 1 for c in ended)
    assert all(len(c.ids) == 10 for c in completions if eos not in c.ids)
    assert all(c.text == TOKENIZER.decode(c.ids, skip_special_tokens=True) for c in completions)


@pytest.mark.parametrize(("most", "stages"), [(1, [1]), (4, [4]), (5, [4, 1]), (40, [4, 8, 16, 12])])
def test_stages_double_and_stop_at_the_longest_response(most, stages):
    asked = []

    def extend(prefixes, length):
        asked.append(length)
        return [list(range(prefix[-1] + 1, prefix[-1] + 1 + length)) for prefix in prefixes]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sampling, "FIRST_STAGE", 4)
        assert in_stages([[0], [100]], extend, most, eos={9999}) == [
            list(range(1, most + 1)), list(range(101, most + 101))
        ]  # fmt: skip
    assert asked == stages


def test_only_what_is_unfinished_goes_on_to_the_next_stage():
    lengths = {1: 3, 2: 40, 3: 32, 4: 200}  # of the response to each prompt, its end token included
    seen = []

    def extend(prefixes, length):
        seen.append([prefix[0] for prefix in prefixes])
        return [[*[7] * 200][: min(length, lengths[p[0]] - len(p))] + [9] * (lengths[p[0]] - len(p) < length)
                for p in prefixes]  # fmt: skip

    responses = in_stages([[n] for n in lengths], extend, 100, eos={9})
    assert [len(response) for response in responses] == [3, 40, 32, 100]
    assert [response[-1] for response in responses] == [9, 9, 9, 7]
    assert seen == [[1, 2, 3, 4], [2, 4], [4]]


def test_a_padded_batch_in_stages_has_the_distribution_of_its_prefixes(monkeypatch):
    """Second tokens, drawn in a stage of their own beside longer prompts, are those that follow the first ones."""
    monkeypatch.setattr(sampling, "FIRST_STAGE", 1)
    short = "find an input\n"
    completions = sample_batch(MODEL, TOKENIZER, [short] * 4000 + [PROMPT], max_new_tokens=2, seed=4, chunk=5000)
    firsts = Counter(c.ids[0] for c in completions[:-1])
    first, count = next((token, n) for token, n in firsts.most_common() if token != TOKENIZER.eos_token_id)
    seconds = np.bincount([c.ids[1] for c in completions[:-1] if c.ids[0] == first], minlength=len(TOKENIZER))
    expected = probabilities_after(MODEL, [*encode_prompt(TOKENIZER, short), first])
    assert seconds.sum() == count > 60
    top = int(expected.argmax())
    assert seconds[top] / count == pytest.approx(expected[top], abs=4 * (expected[top] / count) ** 0.5)


def test_progress_counts_prompts():
    seen = []
    sample(MODEL, TOKENIZER, PROMPTS, n=1, max_new_tokens=1, seed=0, progress=seen.append)
    assert seen == [1, 2, 3]


def test_prompts_that_repeat_are_read_once_and_give_the_same_samples(monkeypatch):
    prompts = [PROMPT] * 3 + ["x"] * 5 + ["find an input\n"] * 4
    shared = sample_batch(MODEL, TOKENIZER, prompts, max_new_tokens=8, seed=7)
    widths = []
    forward = MODEL.forward

    @wraps(forward)  # generation looks at the signature
    def counted(*args, **kwargs):
        ids = kwargs.get("input_ids", args[0] if args else None)
        widths.append(tuple(ids.shape))
        return forward(*args, **kwargs)

    monkeypatch.setattr(MODEL, "forward", counted)
    assert sample_batch(MODEL, TOKENIZER, prompts, max_new_tokens=8, seed=7) == shared
    assert widths[0][0] == 3  # the three distinct prompts
    assert all(width == 1 for _, width in widths[1:8])
    monkeypatch.setattr(sampling, "_shared", lambda model, ids, mask: None)
    assert sample_batch(MODEL, TOKENIZER, prompts, max_new_tokens=8, seed=7) == shared
