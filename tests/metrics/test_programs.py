"""Shapes of programs and distances between them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azr.metrics import ast_distance, program_shape, statement_count

ADD = "def f(x):\n    return x + 1"
LOOP = "def f(x):\n    for i in range(3):\n        x = x + i\n    return x"
SORT = "def f(x):\n    y = sorted(x)\n    y.append(0)\n    return y[::-1]"


@pytest.mark.parametrize(
    ("program", "count"),
    [
        (ADD, 1),
        (LOOP, 3),
        (SORT, 3),
        ("def f(x):\n    'what it does'\n    return x", 1),
        ("import math\ny = 3\ndef f(x):\n    return x", 1),
        ("def f(x):\n    def g(y):\n        return y\n    return g(x)", 2),
        ("def f(x):\n    import math\n    if x > 0:\n        x -= 1\n    else:\n        pass\n    return x", 4),
        ("class A:\n    def m(self):\n        return 1\ndef f(x):\n    return A().m()", 2),
        ("x = 1", 0),
    ],
)
def test_statement_count(program, count):
    assert statement_count(program) == count


def test_operations_are_named_as_written():
    assert program_shape(SORT).operations == ("-x", ".append", "[:]", "[]", "sorted")
    assert program_shape("def f(x):\n    return x if x in (1, 2) and not x else x ** 2").operations == (
        "**",
        "and",
        "if",
        "in",
        "not",
    )


def test_names_and_constants_do_not_count():
    renamed = "def g(value):\n    return value + 999"
    assert ast_distance(ADD, renamed) == 0
    assert ast_distance(ADD, "def f(x):\n    return x * 1") > 0


def test_distance_is_one_minus_the_share_of_matching_nodes():
    # Module FunctionDef arguments arg Return, then BinOp Name Add Constant against Name: 9 and 6 nodes, 6 in common.
    assert ast_distance(ADD, "def f(x):\n    return x") == pytest.approx(1 - 2 * 6 / (9 + 6))


PROGRAMS = st.sampled_from([ADD, LOOP, SORT, "def f(x):\n    return x", "def f(x):\n    return [a for a in x if a]"])


@given(PROGRAMS, PROGRAMS)
def test_distance_is_symmetric_in_range_and_zero_for_itself(one, other):
    assert ast_distance(one, one) == 0
    assert ast_distance(one, other) == ast_distance(other, one)
    assert 0 <= ast_distance(one, other) < 1


@pytest.mark.parametrize("broken", ["def f(x:", "\x00", "(" * 5000 + ")" * 5000, "-" * 200_000 + "1"])
def test_text_that_does_not_parse_has_no_shape_and_does_no_harm(broken):
    assert program_shape(broken) is None
    assert math.isnan(statement_count(broken))
    assert math.isnan(ast_distance(broken, ADD))


@given(st.text(max_size=60))
def test_arbitrary_text_never_raises(text):
    assert ast_distance(text, text) == 0 or math.isnan(ast_distance(text, text))
