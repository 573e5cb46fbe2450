"""Programs of the world: what their text does in Python is what their trace says, within the world's bounds."""

import ast
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azr.world.grammar import (
    ADD,
    HINT_WORDS,
    MAX_STATEMENTS,
    MULTIPLY,
    RETURN,
    OutOfWorldError,
    Program,
    Statement,
    generate,
    in_bounds,
    split_of,
)  # fmt: skip

SEEDS = st.integers(0, 10**9)


def run(text: str, value):
    """The program under plain Python: its text is ours."""
    namespace = {}
    exec(text, namespace)
    return namespace["f"](value)


@given(SEEDS)
def test_the_trace_has_the_values_that_the_variables_take_and_the_output(seed):
    program, (value,) = generate(random.Random(seed))
    values, output = program.trace(value)
    assert repr(run(program.text, value)) == repr(output)
    emitted = 0
    for count, statement in enumerate(program.body[:-1], 1):
        emitted += statement.times or 1
        lines = [line for s in program.body[:count] for line in s.lines()] + [f"return {statement.target}"]
        assert run("def f(x):\n" + "\n".join("    " + line for line in lines), value) == values[emitted - 1]
    assert emitted == len(values)


@given(SEEDS)
def test_statements_are_those_of_the_syntax_tree(seed):
    program, _ = generate(random.Random(seed))
    inside = [node for node in ast.walk(ast.parse(program.text)) if isinstance(node, ast.stmt)]
    assert program.statements == len(inside) - 1  # without the def itself
    assert 1 <= program.statements <= MAX_STATEMENTS
    assert set(program.words) <= set(HINT_WORDS)


@pytest.mark.parametrize("statements", range(1, MAX_STATEMENTS + 1))
def test_a_number_of_statements_can_be_asked_for(statements):
    rng = random.Random(0)
    assert {generate(rng, statements=statements)[0].statements for _ in range(20)} == {statements}
    assert max(generate(rng, most=statements)[0].statements for _ in range(20)) <= statements


@given(SEEDS, st.integers(1, 6))
def test_every_value_stays_in_bounds_and_inputs_are_distinct_and_of_one_kind(seed, count):
    program, inputs = generate(random.Random(seed), num_inputs=count)
    assert len({repr(value) for value in inputs}) == count
    assert len({type(value) for value in inputs}) == 1
    for value in inputs:
        values, output = program.trace(value)
        assert all(map(in_bounds, [value, *values, output]))


def test_bounds():
    assert all(map(in_bounds, [99, -99, [1] * 6, "a" * 8, "", []]))
    assert not any(map(in_bounds, [100, [1] * 7, [100], "a" * 9]))


def test_a_step_out_of_bounds_is_out_of_the_world_and_a_perturbed_one_carries_on():
    looped = Program((Statement("x", "x", MULTIPLY, 4, times=3), Statement(RETURN, "x", ADD, 1)))
    assert looped.text == "def f(x):\n    for i in range(3):\n        x = x * 4\n    return x + 1"
    assert looped.trace(1) == ([4, 16, 64], 65)
    assert looped.trace(1, lambda step, value: value - 1 if step == 0 else value) == ([3, 12, 48], 49)
    assert looped.trace(1, lambda step, value: 0 if step == 3 else value) == ([4, 16, 64], 0)
    with pytest.raises(OutOfWorldError, match="too large"):
        looped.trace(2)


def test_the_split_is_a_function_of_the_text_and_generate_keeps_to_it():
    for split in ("train", "validation", "tuning", "test"):
        rng = random.Random(1)
        assert {split_of(generate(rng, split=split)[0].text) for _ in range(20)} == {split}
    shares = Counter(split_of(f"text {n}") for n in range(8000))
    expected = {"test": 0.05, "validation": 0.025, "tuning": 0.025, "train": 0.9}
    assert {split: count / 8000 for split, count in shares.items()} == pytest.approx(expected, abs=0.01)
