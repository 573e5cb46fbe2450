"""Programs, arguments and literals in text: what is read, what is not, and that nothing stands in for what was cut."""

import ast
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azr.prompts.parsing import MAX_CHARS, find_answer, find_program, read_arguments, read_literal, read_program
from azr.tasks import TaskType

PROGRAM = "def f(x):\n    return x"
DEDUCTION, ABDUCTION, INDUCTION = TaskType


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (" 42  # six times seven\n", "42"),
        ("1, 'a'", "(1, 'a')"),
        ("{\n  'a': 1,\n  'b': [2],\n}", "{'a': 1, 'b': [2]}"),
        ("-1.5", "-1.5"),
        ("6 * 7", None),
        ("f(3)", None),
        ("gold", None),
        ("true", None),
        ("[1, ..., 9]", None),
        ("{[]: 1}", None),
        ("type('A', (), {'__eq__': lambda s, o: True})()", None),
        ("", None),
        ("9," * MAX_CHARS, None),
        ("(" * 5000 + ")" * 5000, None),
    ],
)
def test_literals(text, value):
    assert read_literal(text) == value


@pytest.mark.parametrize(
    ("text", "parameters", "arguments"),
    [
        ("3,\n'a',  # text\n", None, "3, 'a'"),
        ("f(3, [1, 2])", None, "3, [1, 2]"),
        ("(3, 'a')", None, "(3, 'a')"),
        ("numbers = [2, 8]", None, "[2, 8]"),
        ("b=2, a=1", ("a", "b"), "1, 2"),
        ("1, b=2", ("a", "b"), "1, 2"),
        ("num = 1", ("a",), "1"),
        ("a=1, c=3", ("a", "b", "c"), None),
        ("1, a=2", ("a", "b"), None),
        ("f(3) + f(33)", None, None),
        ("3) or (True", None, None),
        ("3) == 7 or f(3", None, None),
        ("3)(4", None, None),
        ("*[3, 4]", None, None),
        ("**{'a': 3}", None, None),
        ("open('x')", None, None),
        ("f()", ("a",), None),
        ("", None, None),
        ("f()", (), ""),
        ("", (), ""),
    ],
)
def test_arguments(text, parameters, arguments):
    assert read_arguments(text, parameters) == arguments


def test_a_call_by_the_entrys_own_name_is_a_call():
    assert read_arguments("walk(3)", ("n",), entry="walk") == "3"
    assert read_arguments("walk(3)", ("n",)) is None


@pytest.mark.parametrize(
    ("text", "program", "parameters"),
    [
        (PROGRAM, PROGRAM, ("x",)),
        ("    def f(x):\n        return x\n", PROGRAM, ("x",)),
        ("def f(a, /, b=2): return a", "def f(a, /, b=2): return a", ("a", "b")),
        ("f = lambda a, b: a", None, ()),
        (f"{PROGRAM}\ndef g(y):\n    return y", f"{PROGRAM}\ndef g(y):\n    return y", ("x",)),
        ("def help(x): return x\ndef walk(n): return walk(help(n))",
         "def help(x): return x\ndef walk(n): return walk(help(n))\n\nf = walk", ("n",)),
        ("f = 3\ndef go(go): return f", "f = 3\ndef go(go): return f\n\nf = go", ("go",)),
        ("class A:\n    def f(self, x):\n        return x", None, ()),
        ("def f(x)\n    return x", None, ()),
        (f"{PROGRAM}\n...and so on", None, ()),
        (PROGRAM + "\n" + "#" * MAX_CHARS, None, ()),
    ],
)  # fmt: skip
def test_programs(text, program, parameters):
    read = read_program(text, rename=True)
    assert (read.program, read.parameters, read.reason == "") == (program, parameters, program is not None)


def test_a_solvers_program_must_define_f():
    assert read_program("def walk(x):\n    return x", rename=False).program is None
    assert find_program(f"```python\n{PROGRAM}", proposed=True).program is None


FENCE = "```{}\n{}\n```\n"
OUTPUT, INPUT, PYTHON = (partial(FENCE.format, kind) for kind in ("output", "input", "python"))


@pytest.mark.parametrize(
    ("task_type", "text", "answer"),
    [
        (DEDUCTION, "42", "42"),
        (DEDUCTION, f"The result:\n{OUTPUT('42')}as 6 * 7 is 42.", "42"),
        (DEDUCTION, OUTPUT("41") + "No, wait:\n" + OUTPUT("42"), "42"),
        (DEDUCTION, OUTPUT("42") + OUTPUT("unknown"), None),
        (DEDUCTION, OUTPUT("42") + "```output\n4", None),
        (DEDUCTION, PYTHON(PROGRAM) + OUTPUT("42"), "42"),
        (DEDUCTION, "```json\n[1, 2]\n```", "[1, 2]"),
        (DEDUCTION, PYTHON("42") + INPUT("3"), "42"),
        (DEDUCTION, INPUT("3"), None),
        (DEDUCTION, "I do not know", None),
        (ABDUCTION, INPUT("3, 'a'"), "3, 'a'"),
        (ABDUCTION, "f(3)", "3"),
        (ABDUCTION, INPUT("3") + "better:\n" + INPUT("4"), "4"),
        (ABDUCTION, OUTPUT("7"), None),
        (ABDUCTION, INPUT("3") + "```input\n[3, 4", None),
        (INDUCTION, PROGRAM, PROGRAM),
        (INDUCTION, PYTHON("def f(x):\n    return 0") + "better:\n" + PYTHON(PROGRAM), PROGRAM),
        (INDUCTION, PYTHON(PROGRAM) + "Try:\n" + PYTHON("print(f(3))"), PROGRAM),
        (INDUCTION, FENCE.format("", PROGRAM), PROGRAM),
        (INDUCTION, PYTHON(PROGRAM) + "```python\ndef f(x):\n    ret", None),
        (INDUCTION, "```js\nfunction f(x) { return x }\n```", None),
    ],
)
def test_answers(task_type, text, answer):
    assert find_answer(task_type, text) == answer


literals = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)


@given(st.lists(literals, min_size=1, max_size=4))
def test_every_list_of_literals_survives_reading(values):
    text = ", ".join(map(repr, values))
    assert ast.literal_eval(f"[{read_arguments(text)}]") == values
    assert read_arguments(f"f({text})") == read_arguments(text)
    assert ast.literal_eval(read_literal(repr(values[0]))) == values[0]
