"""How long programs are."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azr.metrics import statement_count

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


@pytest.mark.parametrize("broken", ["def f(x:", "\x00", "(" * 5000 + ")" * 5000, "-" * 200_000 + "1"])
def test_text_that_does_not_parse_has_no_count_and_does_no_harm(broken):
    assert math.isnan(statement_count(broken))


@given(st.text(max_size=60))
def test_arbitrary_text_never_raises(text):
    assert statement_count(text) >= 0 or math.isnan(statement_count(text))
