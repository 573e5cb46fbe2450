"""The sampler: each row from the model's own distribution and its own random stream, whatever stands beside it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from tokenizers import Tokenizer
from tokenizers.models import BPE
from transformers import PreTrainedTokenizerFast

from azr.errors import UserError
from azr.models.sampling import Completion, Decoding, draw, encode_prompt, end_tokens, sample, sample_ids

from .tiny import BOS, CONFIGS, EOS, LETTERS, tiny_model, tiny_tokenizer

MODEL, TOKENIZER = tiny_model(), tiny_tokenizer()
ENDS = frozenset({EOS})
CHATML = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|> {% endfor %}"
FAST = "llama"
PROMPT = st.lists(st.integers(3, 14), min_size=1, max_size=9).map(lambda ids: [BOS, *ids])


def slowly(model, prompt: list[int], stream: tuple[int, ...], decoding: Decoding) -> list[int]:
    """One row alone, everything computed anew for each token."""
    ids = list(prompt)
    for uniform in np.random.default_rng(stream).random(decoding.max_new_tokens):
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits[:, -1]
        ids.append(int(draw(logits, torch.tensor([0]), torch.tensor([uniform]), decoding)[0]))
        if ids[-1] in ENDS:
            break
    return ids[len(prompt) :]


@given(st.lists(PROMPT, min_size=1, max_size=6), st.integers(1, 9), st.sampled_from([0.0, 0.7, 1.0]), st.data())
@settings(max_examples=6)
def test_a_row_is_what_it_is_alone_whatever_is_sampled_beside_it(prompts, chunk, temperature, data):
    order = data.draw(st.lists(st.integers(0, len(prompts) - 1), min_size=1, max_size=8))
    rows, streams = [prompts[i] for i in order], [(7, i, n) for n, i in enumerate(order)]
    decoding = Decoding(8, temperature, chunk=chunk)
    alone = [slowly(MODEL, row, stream, decoding) for row, stream in zip(rows, streams, strict=True)]
    assert sample_ids(MODEL, rows, decoding, streams, ENDS) == alone


@pytest.mark.parametrize("kind", [FAST, *(pytest.param(k, marks=pytest.mark.slow) for k in CONFIGS if k != FAST)])
def test_every_architecture_samples_and_is_greedy_as_transformers_is(kind):
    model = tiny_model(kind)
    rng = np.random.default_rng(1)
    prompts = [[BOS, *rng.integers(3, 15, size).tolist()] for size in (2, 20, 9, 2, 14)] * 2
    streams = [(3, i) for i in range(len(prompts))]
    decoding = Decoding(50, chunk=4)
    alone = [slowly(model, row, stream, decoding) for row, stream in zip(prompts, streams, strict=True)]
    assert sample_ids(model, prompts, decoding, streams, ENDS) == alone
    greedy = sample_ids(model, prompts[:5], Decoding(20, temperature=0, chunk=4), streams[:5], ENDS)
    for row, ids in zip(prompts[:5], greedy, strict=True):
        plain = model.generate(torch.tensor([row]), do_sample=False, max_new_tokens=20, eos_token_id=EOS)
        assert ids == plain[0, len(row) :].tolist()


def test_tokens_are_as_frequent_as_the_model_says():
    prompt, n = [BOS, 5, 9, 4], 4000
    drawn = sample_ids(MODEL, [prompt] * n, Decoding(2, chunk=700), [(1, i) for i in range(n)], ENDS)
    with torch.no_grad():
        p = torch.softmax(MODEL(torch.tensor([prompt])).logits[0, -1].double(), -1).numpy()
    first = np.bincount([ids[0] for ids in drawn], minlength=len(p))
    assert stats.chisquare(first, n * p / p.sum()).pvalue > 1e-3
    top = int(np.argmax(np.where(np.arange(len(p)) == EOS, 0, p)))
    with torch.no_grad():
        after = torch.softmax(MODEL(torch.tensor([[*prompt, top]])).logits[0, -1].double(), -1).numpy()
    second = np.bincount([ids[1] for ids in drawn if ids[0] == top], minlength=len(p))
    assert stats.chisquare(second, second.sum() * after / after.sum()).pvalue > 1e-3


@given(st.lists(st.floats(-4, 4), min_size=2, max_size=8), st.floats(0, 1, exclude_max=True), st.floats(0.05, 1))
def test_top_p_keeps_the_fewest_likeliest_tokens_that_reach_it(logits, uniform, top_p):
    p = torch.softmax(torch.tensor([logits]), -1)[0].numpy()
    uniforms = torch.tensor([uniform], dtype=torch.float64)
    token = int(draw(torch.tensor([logits]), torch.tensor([0]), uniforms, Decoding(1, top_p=top_p)))
    assert p[p > p[token]].sum() < top_p + 1e-6


def test_inversion_meets_every_token_at_its_share():
    uniforms = torch.linspace(0, 0.9999, 1001, dtype=torch.float64)
    logits = torch.log(torch.tensor([[0.2, 0.0, 0.5, 0.3]]))
    drawn = draw(logits, torch.zeros(1001, dtype=int), uniforms, Decoding(1))
    assert np.bincount(drawn) == pytest.approx([200, 0, 500, 300], abs=2)


def test_completions_know_their_text_and_whether_they_ended():
    prompts = ["ab", "c", "ab"] * 20
    drawn = sample(MODEL, TOKENIZER, prompts, Decoding(10), [(0, i) for i in range(60)])
    assert {c.ended for c in drawn} == {True, False}
    for prompt, c in zip(prompts, drawn, strict=True):
        assert c.prompt_ids == encode_prompt(TOKENIZER, prompt)
        assert c.ended == (c.ids[-1] == EOS)
        assert len(c.ids) == 10 or c.ended
        assert EOS not in c.ids[:-1]
        assert c.text == TOKENIZER.decode(c.ids, skip_special_tokens=True)
    assert isinstance(drawn[0], Completion)


@pytest.mark.parametrize("ends_texts", [False, True])
@pytest.mark.parametrize("text", ["ab", "<s>ab", "ab</s>"])
def test_a_prompt_begins_once_and_does_not_end(text, ends_texts):
    ids = encode_prompt(tiny_tokenizer(ends_texts=ends_texts), text)
    assert ids == [BOS, 3 + LETTERS.index("a"), 3 + LETTERS.index("b")]


def test_a_begin_token_that_neither_tokenizer_nor_template_puts_is_left_out():
    chat = tiny_tokenizer(template="{{ bos_token }}{% for m in messages %}{{ m.content }}{% endfor %}")
    assert encode_prompt(chat, "ab") == [3, 4]
    assert encode_prompt(chat, chat.apply_chat_template([{"role": "user", "content": "ab"}], tokenize=False))[0] == BOS
    raw = Tokenizer(BPE({letter: i for i, letter in enumerate(["a", "b", "<s>"])}, []))
    assert encode_prompt(PreTrainedTokenizerFast(tokenizer_object=raw, bos_token="<s>"), "ab") == [0, 1]


def test_all_end_tokens_of_model_and_tokenizer_end_a_response():
    specials = ("<|user|>", "<|assistant|>", "<|end|>", "<other>")
    tokenizer = tiny_tokenizer(special=specials, template=CHATML)
    model = tiny_model(vocab_size=20, eos_token_id=[EOS, 5])
    model.generation_config.eos_token_id = [7]
    end = tokenizer.convert_tokens_to_ids("<|end|>")
    assert end_tokens(model, tokenizer) == {EOS, 5, 7, end}
    drawn = sample(model, tokenizer, ["ab"] * 40, Decoding(30), [(0, i) for i in range(40)])
    assert {c.ids[-1] for c in drawn if c.ended} >= {EOS, 5, 7, end} - {EOS}
    assert not any({EOS, 5, 7, end} & set(c.ids[:-1]) for c in drawn)


def test_a_template_that_ends_no_turn_adds_no_end():
    tokenizer = tiny_tokenizer(template="{% for m in messages %}{{ m.content }} {% endfor %}")
    assert end_tokens(MODEL, tokenizer) == {EOS}


def test_prompts_without_room_in_the_context_are_said_before_anything_is_sampled():
    model, tokenizer = tiny_model(), tiny_tokenizer()
    short, long = "a" * 10, "a" * 250
    with pytest.warns(UserWarning, match="1 of 2 prompts, up to 251 tokens long, .* context of 256"):
        sample(model, tokenizer, [short, long], Decoding(8), [(0,), (1,)])
    with pytest.raises(UserError, match="2 of 2 prompts"):
        sample(model, tokenizer, [long, long], Decoding(8), [(0,), (1,)])
