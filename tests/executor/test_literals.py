"""Literals: reading, writing, comparing."""

from __future__ import annotations

import ast
import math
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from azr.executor import literals
from azr.executor.literals import literal_text, parse_arguments, parse_literal, same_literal, typed_key

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.complex_numbers(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.binary()
)
hashables = st.recursive(scalars, lambda inner: st.tuples(inner, inner) | st.tuples(inner), max_leaves=5)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner)
        | st.dictionaries(hashables, inner)
        | st.sets(hashables)
        | st.tuples(inner, inner)
    ),
    max_leaves=20,
)


@settings(max_examples=30)
@given(values)
def test_any_literal_survives_the_round_trip(value):
    try:
        text = literal_text(value, 10**6)
    except literals.NotALiteralError:
        assert "j" in repr(value)  # complex numbers with a negative zero do not
        return
    again = ast.literal_eval(text)
    assert typed_key(again) == typed_key(value)
    assert parse_literal(text) == value
    assert same_literal(text, repr(value))
    assert literal_text(again, 10**6) == text


@settings(max_examples=40)
@given(st.lists(values, max_size=4))
def test_any_arguments_survive_the_round_trip(arguments):
    text = ", ".join(map(repr, arguments))
    if "-0j" not in text and "(-0" not in text:
        assert typed_key(parse_arguments(text)) == typed_key(tuple(arguments))


@settings(max_examples=40)
@given(st.text(alphabet="0123456789.,+-ej[](){}:'\" \\nTrueFalsNo#_ab", max_size=40))
def test_reading_agrees_with_literal_eval(text):
    try:
        expected = ast.literal_eval(text.strip())
        if "Ellipsis" in repr(expected):
            raise ValueError
    except (ValueError, SyntaxError, TypeError, MemoryError):
        with pytest.raises(ValueError, match="no literal"):
            parse_literal(text)
    else:
        assert typed_key(parse_literal(text)) == typed_key(expected)


@pytest.mark.parametrize(
    "text",
    [
        "-" * 99_999 + "1",
        "not " * 25_000 + "1",
        "a" + "()" * 49_000,
        "1**" * 33_000 + "1",
        "(" * 99_999,
        "[" * 201 + "]" * 201,
        "'''\\" * 20_000,
        "1" * 100_001,
    ],
    ids=range(8),
)
def test_text_that_breaks_parsers_is_refused(text):
    for read in (parse_literal, parse_arguments):
        with pytest.raises(ValueError):  # noqa: PT011
            read(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ()),
        ("1", (1,)),
        ("(1, 2)", ((1, 2),)),
        ("(1, 2), 3", ((1, 2), 3)),
        ("{'a':\n 1}, [2,\n3]", ({"a": 1}, [2, 3])),
        ("'a,b', \"c)\"", ("a,b", "c)")),
        (" -1 , 2.5e-3 ", (-1, 0.0025)),
    ],
)
def test_arguments(text, expected):
    assert typed_key(parse_arguments(text)) == typed_key(expected)


@pytest.mark.parametrize(
    "text",
    ["1), (2", "x=1", "*[1]", "(1,2) # x", "1 #", "1,,", "1\n,2", "f(1)", "1;2", "...", "1 if 1 else 2", ",", "1 2"],
)
def test_no_arguments(text):
    with pytest.raises(ValueError, match=r"no literal|no sequence"):
        parse_arguments(text)


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        ("1", " 1 ", True),
        ("1", "1.0", False),
        ("1", "True", False),
        ("[1, (2,)]", "[1,(2,)]", True),
        ("{1: 2, 3: 4}", "{3: 4, 1: 2}", True),
        ("{1: 2}", "{True: 2}", False),
        ("{1, 2}", "{2, 1}", True),
        ("{1, 2}", "{2.0, 1}", False),
        ("'a'", '"a"', True),
        ("0.0", "-0.0", True),
        ("__import__('os')", "1", False),
    ],
)
def test_same_literal(a, b, same):
    assert same_literal(a, b) is same
    assert same_literal(b, a) is same


class Lying(int):
    def __repr__(self) -> str:
        return "42"


@pytest.mark.parametrize(
    ("value", "detail"),
    [
        (Lying(1), "Lying"),
        ([1, {2: Lying(1)}], "Lying"),
        (Counter("a"), "Counter"),
        (frozenset([1]), "frozenset"),
        ({frozenset([1])}, "set of frozenset"),
        (..., "ellipsis"),
        (math.inf, "inf"),
        (complex(1, math.inf), "complex"),
        (range(3), "range"),
    ],
)
def test_what_is_no_literal_is_named(value, detail):
    with pytest.raises(literals.NotALiteralError, match=f"^{detail}$"):
        literal_text(value, 1000)


def test_sets_are_written_in_one_order():
    assert literal_text({"b", "a", "c"}, 100) == "{'a', 'b', 'c'}"
    assert literal_text({10, 9, 1}, 100) == "{1, 9, 10}"
    assert literal_text({"b", 2, None, (1,)}, 100) == "{'b', (1,), 2, None}"


def test_cycles_and_deep_nesting_are_no_literals():
    cycle: list = []
    cycle.append(cycle)
    deep: list = []
    for _ in range(95):
        deep = [deep]
    for value in (cycle, deep):
        with pytest.raises(literals.NotALiteralError, match="nesting"):
            literal_text(value, 10**5)
