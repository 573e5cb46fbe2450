"""The world's tokenizer: nothing is lost, numbers are digits, words of the grammar are tokens."""

import string

from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from azr.world.tokenizer import SPECIAL, build_tokenizer, vocabulary

TOKENIZER = build_tokenizer()
PRINTABLE = "".join(map(chr, range(32, 127))) + "\n"
WORDS = [token for token in vocabulary() if token not in SPECIAL]


@given(st.one_of(st.text(PRINTABLE), st.lists(st.sampled_from(WORDS)).map("".join)))
def test_every_ascii_text_comes_back(text):
    ids = TOKENIZER(text)["input_ids"]
    assert TOKENIZER.decode(ids) == text
    assert TOKENIZER.batch_decode([ids], skip_special_tokens=True) == [text]
    assert TOKENIZER.unk_token_id not in ids


@given(st.integers())
def test_numbers_are_written_digit_by_digit(number):
    assert TOKENIZER.tokenize(str(number)) == list(str(number))


def test_the_longest_word_wins():
    assert TOKENIZER.tokenize("def f(x):\n    return x[::-1]") == ["def f(x):", "\n    ", "return ", "x", "[::-1]"]
    assert TOKENIZER.tokenize("[1, 2]") == ["[", "1", ", 2", "]"]


def test_specials_come_first_and_no_token_twice():
    assert tuple(vocabulary()[:4]) == SPECIAL == ("<pad>", "<bos>", "<eos>", "<unk>")
    assert len(set(vocabulary())) == len(vocabulary()) == len(TOKENIZER)
    assert set(string.ascii_letters + string.digits + string.punctuation) <= set(vocabulary())
    assert set(TOKENIZER("é日\t")["input_ids"]) == {TOKENIZER.unk_token_id}


def test_a_saved_tokenizer_is_the_same(tmp_path):
    TOKENIZER.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    text = "predict the output\ndef f(x):\n    y = [e + 1 for e in x]\n    return sum(y)\ninput [1, 20]\n"
    assert loaded(text)["input_ids"] == TOKENIZER(text)["input_ids"]
    assert loaded.decode(loaded(text)["input_ids"]) == text
    assert (loaded.pad_token_id, loaded.bos_token_id, loaded.eos_token_id) == (0, 1, 2)
