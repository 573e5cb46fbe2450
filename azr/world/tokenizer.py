"""The world's tokenizer: words of the grammar and of the compact style, and single characters for everything else.

``build_tokenizer()`` gives a transformers fast tokenizer (WordLevel behind a longest-match split, so that
``decode(encode(text)) == text`` for printable ASCII and newlines). Digits are tokens of their own: numbers are written
digit by digit. Anything outside ASCII becomes ``<unk>``.

>>> tokenizer = build_tokenizer()
>>> tokenizer.tokenize("    x = x + 12")
['    ', 'x', ' = ', 'x', ' + ', '1', '2']
"""

import re
import string

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from azr.prompts.compact import NEW, PROPOSE, SOLVE
from azr.world.arithmetic import WORDS as ARITHMETIC_WORDS
from azr.world.grammar import HINT_WORDS

SPECIAL = ("<pad>", "<bos>", "<eos>", "<unk>")
_CODE = (
    "def f(x):", "\n    ", "\n        ", "    ", "return ", "if ", "for i in range(", "for e in ", " for e in ", " if ",
    " in ", " = ", " + ", " - ", " * ", " % ", " > ", " == ", ", ", "):", "[::-1]", "[1:]", "[0]",
    "[-1]", ".count(", ".upper()", ".replace(", "max(", "str(", "len(", "sum(", "sorted(",
    "input ", "output ", "think ", "hint ",
)  # fmt: skip


def vocabulary() -> list[str]:
    """All tokens in a fixed order: specials, words, characters."""
    separated = [f", {digit}" for digit in string.digits]  # a list's next element is one token, as a letter is
    words = [*_CODE, *separated, *SOLVE.values(), *PROPOSE.values(), NEW, *HINT_WORDS, *ARITHMETIC_WORDS]
    characters = ["\n", *(c for c in string.printable if c.isprintable())]
    return list(dict.fromkeys([*SPECIAL, *words, *characters]))


def build_tokenizer() -> PreTrainedTokenizerFast:
    """The tokenizer; left padding, as generation wants it."""
    tokens = vocabulary()
    longest_first = sorted((t for t in tokens if t not in SPECIAL), key=lambda t: (-len(t), t))
    tokenizer = Tokenizer(models.WordLevel({t: i for i, t in enumerate(tokens)}, unk_token="<unk>"))
    pattern = "|".join(re.escape(t).replace("\\\n", "\n") for t in longest_first)
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(pattern), behavior="isolated")
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        bos_token="<bos>",
        eos_token="<eos>",
        unk_token="<unk>",
        padding_side="left",
        clean_up_tokenization_spaces=False,
        model_max_length=512,
    )
