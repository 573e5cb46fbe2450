r"""Python literals as data: read arguments, write values, compare. Nothing is ever evaluated.

    >>> parse_arguments("[1, 2], 'a'")
    ([1, 2], 'a')
    >>> same_literal("{1: 2, 3: 4}", "{3:4, 1:2}"), same_literal("1", "True")
    (True, False)

A literal is what ``ast.literal_eval`` gives back from its own text: None, bool, int, float, complex, str, bytes, and
tuples, lists, sets and dicts of these; of exactly these types, finite numbers only. Left out: frozenset, Ellipsis and
subclasses (Counter, namedtuple, IntEnum), whose repr is no literal; and threads with a stack so small (half a megabyte,
as macOS has them) that CPython's parser can overrun it.
"""

import ast
import warnings
from cmath import isfinite
from typing import Any

MAX_LITERAL_CHARS = 100_000
"""Longer text is refused before it is parsed."""
MAX_DEPTH = 90
"""Containers inside containers."""

_FILE = "<literal>"
warnings.filterwarnings("ignore", module=_FILE)  # an invalid escape sequence is the writer's business, not our user's
_BRACKETS = {list: "[]", tuple: "()", dict: "{}", set: "{}"}
_IN_SETS = {int, float, complex, str, bytes, bool, type(None), tuple}


class NotALiteralError(ValueError):
    """The value has no literal; the message names the type in the way."""


class TooLargeError(ValueError):
    """The literal would be longer than allowed."""


def parse_literal(text: str) -> Any:
    """The value of one literal.

    Raises ValueError for anything else, text over ``MAX_LITERAL_CHARS`` included.
    """
    return _read(text.strip())[1]


def parse_arguments(text: str) -> tuple[Any, ...]:
    """The positional arguments in ``text``: literals with commas between them, the last comma optional.

    Raises ValueError for anything that is not that: keyword arguments, stars, comments, names, ``1), (2``.
    """
    text = text.strip()
    if not text:
        return ()
    # With a comma at its end the text is one tuple without brackets, from its first character to its last, or no
    # sequence of literals at all. Nothing is put before the text or around it, so it has nothing to close.
    if not text.endswith(","):
        text += ","
    node, value = _read(text)
    lines = text.encode("utf-8", "surrogatepass").split(b"\n")
    place = (node.lineno, node.col_offset, node.end_lineno, node.end_col_offset)
    if not isinstance(node, ast.Tuple) or place != (1, 0, len(lines), len(lines[-1])):
        raise ValueError("the input is no sequence of literals")
    return value


def same_literal(a: str, b: str) -> bool:
    """Whether two texts are literals of equal value and equal types all the way down; False if one is no literal."""
    try:
        return typed_key(parse_literal(a)) == typed_key(parse_literal(b))
    except ValueError:
        return False


def typed_key(value: Any) -> Any:
    """A hashable stand-in for a literal value; two are equal if and only if values and all types are."""
    kind = type(value)
    if kind is list or kind is tuple:
        return kind, tuple([typed_key(item) for item in value])
    if kind is dict:
        return kind, frozenset([(typed_key(key), typed_key(item)) for key, item in value.items()])
    if kind is set:
        return kind, frozenset([typed_key(item) for item in value])
    return kind, value


def literal_text(value: Any, max_chars: int) -> str:
    """The literal of ``value``: its repr, with the elements of sets in sorted order.

    Calls no method of the value but of built-in types themselves, so that a lying ``__repr__`` is never asked. Raises
    NotALiteralError or TooLargeError (over ``max_chars`` characters).
    """
    text = _text(value, [max_chars], 0)
    if len(text) > max_chars:
        raise TooLargeError
    return text


def _text(value: Any, budget: list[int], depth: int) -> str:
    """The text of ``value``; ``budget`` has the characters left."""
    kind = type(value)
    if kind in _BRACKETS:
        return _container_text(kind, value, budget, depth)
    too_large = False
    if kind is int:
        too_large = value.bit_length() > min(4 * budget[0] + 8, 14_000)  # 4,300 digits are CPython's limit
    elif kind is str or kind is bytes:
        too_large = len(value) > budget[0]
    elif kind is float and not isfinite(value):
        raise NotALiteralError(repr(value))
    elif kind is complex and (not isfinite(value) or repr(ast.literal_eval(repr(value))) != repr(value)):
        raise NotALiteralError("complex")
    elif kind not in (bool, type(None), float, complex):
        raise NotALiteralError(_type_name(kind))
    text = "" if too_large else repr(value)
    budget[0] -= len(text)
    if too_large or budget[0] < 0:
        raise TooLargeError
    return text


def _container_text(kind: type, value: Any, budget: list[int], depth: int) -> str:
    budget[0] -= 2 * max(1, len(value))  # brackets and commas, so that a wide or self-repeating value stops early
    if budget[0] < 0:
        raise TooLargeError
    if depth >= MAX_DEPTH:
        raise NotALiteralError("nesting")
    kinds = {type(item) for item in value}
    if kind is set and not kinds <= _IN_SETS:
        raise NotALiteralError("set of " + ", ".join(sorted(map(_type_name, kinds))))
    if kind is set and not value:
        return "set()"
    texts = [_text(item, budget, depth + 1) for item in value]
    if kind is dict:
        texts = [f"{key}: {_text(item, budget, depth + 1)}" for key, item in zip(texts, value.values(), strict=True)]
    elif kind is set:
        ordered = len(kinds) == 1 and not kinds & {complex, tuple, type(None)}  # else their texts are
        texts = [text for _, text in sorted(zip(value if ordered else texts, texts, strict=True))]
    comma = "," if kind is tuple and len(texts) == 1 else ""
    return _BRACKETS[kind][0] + ", ".join(texts) + comma + _BRACKETS[kind][1]


def _type_name(kind: type) -> str:
    return type.__dict__["__name__"].__get__(kind)[:80]


def _read(text: str) -> tuple[ast.expr, Any]:
    """The syntax tree of a literal and its value."""
    if len(text) > MAX_LITERAL_CHARS:
        raise ValueError(f"the text has {len(text)} characters, over {MAX_LITERAL_CHARS}")
    try:
        node = ast.parse(text, _FILE, mode="eval").body
        value = ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError, OverflowError) as error:
        raise ValueError(f"no literal: {type(error).__name__}") from None
    if "..." in text and any(isinstance(n, ast.Constant) and n.value is Ellipsis for n in ast.walk(node)):
        raise ValueError("no literal: Ellipsis")  # literal_eval lets it pass
    return node, value
