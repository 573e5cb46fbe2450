"""The world's programs: real Python functions of one argument over integers, lists of integers and strings.

``generate(rng)`` draws a function ``f`` of one to six statements together with inputs on which every step stays small
enough to write down; ``Program.trace(value)`` gives the value after each executed statement without running any code,
and the text of the program gives the same values under plain Python (tested). What it leaves out: several arguments,
nesting deeper than one level, floats and dictionaries. A proposer may write these; the corpus does not.

>>> program = Program((Statement("x", "x", ADD, 3), Statement(RETURN, "x", MULTIPLY, 2)))
>>> print(program.text)
def f(x):
    x = x + 3
    return x * 2
>>> program.trace(5)
([8], 16)
"""

import hashlib
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import yaml

Value = int | str | list[int]
Kind = Literal["int", "list", "str"]
Split = Literal["train", "validation", "tuning", "test"]
Perturb = Callable[[int, Value], Value]

STATEMENT_WEIGHTS = {1: 14, 2: 20, 3: 22, 4: 20, 5: 14, 6: 10}
"""How often a program of so many statements (AST statements inside ``f``) is drawn."""
MAX_STATEMENTS = max(STATEMENT_WEIGHTS)
LETTERS = "abcdefgh"
MAX_INT, MAX_LIST, MAX_STR = 99, 6, 8
RETURN = "return"
"""The target of a program's last statement."""


class OutOfWorldError(Exception):
    """A step has no value, or one too large to write down."""


@dataclass(frozen=True)
class Op:
    """One expression on a variable ``{v}`` and a constant ``{c}``, with the word by which a hint names it."""

    word: str
    takes: Kind
    gives: Kind
    text: str
    constants: Sequence[Any] = (None,)

    @cached_property
    def apply(self) -> Callable[[Any, Any], Any]:
        """The value of the expression, given those of the variable and the constant."""
        return eval("lambda v, c: " + re.sub(r"{(.+?)(!r)?}", r"\1", self.text))  # ours, from the table


KINDS: tuple[Kind, ...] = ("int", "list", "str")
_TABLE = yaml.safe_load(Path(__file__).with_name("operations.yaml").read_text(encoding="utf-8"))
OPS, CONDITIONS, _JOINS = (tuple(Op(*row) for row in _TABLE[name]) for name in ("operations", "conditions", "joins"))
ADD, MULTIPLY = OPS[:2]
OPS_BY_KIND = {kind: [op for op in OPS if op.takes == kind] for kind in KINDS}
JOINS = {kind: [op for op in _JOINS if op.takes == kind] for kind in KINDS}
LOOPED = ("add", "subtract", "multiply", "append", "prepend", "rest")
HINT_WORDS = tuple(dict.fromkeys([*(o.word for o in OPS), "join", "if", "loop"]))


@dataclass(frozen=True)
class Statement:
    """``target = op(source)`` or a return of it: alone, under an ``if`` that looks at the source, or in a loop."""

    target: str
    source: str
    op: Op
    constant: Any = None
    other: str | None = None
    """A variable in the constant's place."""
    condition: Op | None = None
    threshold: Any = None
    """The condition's constant."""
    times: int = 0
    """Turns of the loop; 0 for none."""

    def lines(self) -> list[str]:
        """Python source; with an ``if`` or a loop two lines."""
        value = self.op.text.format(v=self.source, c=self.other or self.constant)
        line = f"return {value}" if self.target == RETURN else f"{self.target} = {value}"
        if self.condition:
            return [f"if {self.condition.text.format(v=self.source, c=self.threshold)}:", f"    {line}"]
        return [f"for i in range({self.times}):", f"    {line}"] if self.times else [line]

    def words(self) -> list[str]:
        """The words by which a hint names it."""
        return [*(["if"] if self.condition else ["loop"] if self.times else []), self.op.word]

    def value(self, env: dict[str, Value]) -> Value:
        """What the target is after it, or after one turn of its loop, where the variables are ``env``."""
        source = env[self.source]
        if self.condition and not self.condition.apply(source, self.threshold):
            return env[self.target]
        try:
            value = self.op.apply(source, env[self.other] if self.other else self.constant)
        except (IndexError, ValueError, TypeError, AttributeError) as error:
            raise OutOfWorldError(str(error)) from None
        if not in_bounds(value):
            raise OutOfWorldError("value too large to write down")
        return value


@dataclass(frozen=True)
class Program:
    """The statements of ``f``; the last is the return."""

    body: tuple[Statement, ...]

    @property
    def text(self) -> str:
        """Python source, four spaces a level, no final newline."""
        return "def f(x):\n" + "\n".join("    " + line for statement in self.body for line in statement.lines())

    @property
    def statements(self) -> int:
        """Number of AST statements inside ``f`` (an ``if`` or a loop counts its body too)."""
        return sum(len(statement.lines()) for statement in self.body)

    @property
    def words(self) -> list[str]:
        """The operations in order, by the words that hints use."""
        return [word for statement in self.body for word in statement.words()]

    def trace(self, value: Value, perturb: Perturb | None = None) -> tuple[list[Value], Value]:
        """Values after each executed statement, and the returned value.

        ``perturb(step, value)`` may replace the value of a step; what follows is computed from the replacement.
        Raises OutOfWorldError where a step fails or leaves the world's bounds.
        """
        values: list[Value] = []
        env: dict[str, Value] = {"x": value}
        for statement in self.body:
            for _ in range(statement.times or 1):
                right = statement.value(env)
                values.append(perturb(len(values), right) if perturb else right)
                env[statement.target] = values[-1]
        return values[:-1], values[-1]


def in_bounds(value: Value) -> bool:
    """Whether a value is small enough for the world."""
    if isinstance(value, int):
        return abs(value) <= MAX_INT
    if isinstance(value, str):
        return len(value) <= MAX_STR
    return len(value) <= MAX_LIST and all(abs(e) <= MAX_INT for e in value)


def draw_input(kind: Kind, rng: random.Random) -> Value:
    """A fresh argument: an integer in -9..20, or 2 to 4 different digits or letters."""
    if kind == "int":
        return rng.randint(-9, 20) if rng.random() < 0.3 else rng.randint(0, 12)
    if kind == "list":
        return rng.sample(range(10), rng.randint(2, 4))
    return "".join(rng.sample(LETTERS, rng.randint(2, 4)))


def split_of(text: str) -> Split:
    """Which set a program belongs to, by a hash of its text: 5 % test, 2.5 % each validation (the curve of a run) and
    tuning (by which hyperparameters are chosen; no figure shows it), the rest is for the corpus and for training."""
    bucket, half = hashlib.sha256(text.encode()).digest()[:2]
    held_out: dict[int, Split] = {0: "test", 1: "validation" if half < 128 else "tuning"}
    return held_out.get(bucket % 20, "train")


def _draw_op(kind: Kind, rng: random.Random, same_kind: bool = False) -> tuple[Op, Any]:
    op = rng.choice(OPS_BY_KIND[kind])
    while same_kind and op.gives != kind:
        op = rng.choice(OPS_BY_KIND[kind])
    return op, rng.choice(op.constants)


def _draw_statement(kinds: dict[str, Kind], current: str, room: int, rng: random.Random) -> Statement:
    """One statement that fits into ``room`` AST statements; ``kinds`` maps the variables so far to their kinds."""
    kind = kinds[current]
    roll = rng.random()
    if room >= 2 and roll < 0.14:
        condition = rng.choice([c for c in CONDITIONS if c.takes == kind])
        op, constant = _draw_op(kind, rng, same_kind=True)
        threshold = rng.choice(condition.constants)
        return Statement(current, current, op, constant, condition=condition, threshold=threshold)
    if room >= 2 and roll < 0.22:
        op = rng.choice([o for o in OPS_BY_KIND[kind] if o.word in LOOPED and o.gives == kind])
        times = rng.randint(2, 3)
        return Statement(current, current, op, rng.choice(op.constants), times=times)
    others = [name for name, k in kinds.items() if name != current and k == kind]
    if others and roll < 0.45:
        op = rng.choice(JOINS[kind])
        return Statement(current, current, op, other=rng.choice(others))
    op, constant = _draw_op(kind, rng)
    target = "y" if "y" not in kinds and rng.random() < 0.25 else current
    return Statement(target, current, op, constant)


def _draw_return(kinds: dict[str, Kind], current: str, rng: random.Random) -> Statement:
    others = [name for name, k in kinds.items() if name != current and k == kinds[current]]
    if others and rng.random() < 0.6:
        other = rng.choice(others)
        return Statement(RETURN, current, rng.choice(JOINS[kinds[current]]), other=other)
    op, constant = _draw_op(kinds[current], rng)
    return Statement(RETURN, current, op, constant)


def _draw_program(statements: int, kind: Kind, rng: random.Random) -> Program:
    kinds: dict[str, Kind] = {"x": kind}
    current, room, body = "x", statements - 1, []
    while room:
        statement = _draw_statement(kinds, current, room, rng)
        body.append(statement)
        room -= len(statement.lines())
        current = statement.target
        kinds[current] = statement.op.gives
    return Program((*body, _draw_return(kinds, current, rng)))


def generate(
    rng: random.Random,
    num_inputs: int = 1,
    split: Split = "train",
    statements: int | None = None,
    most: int = MAX_STATEMENTS,
) -> tuple[Program, list[Value]]:
    """A program of the given split and ``num_inputs`` distinct inputs on which it stays in bounds.

    It has ``statements`` statements, or a number drawn by STATEMENT_WEIGHTS of at most ``most``.
    """
    counts = [n for n in STATEMENT_WEIGHTS if n <= most]
    weights = [STATEMENT_WEIGHTS[n] for n in counts]
    while True:
        n = statements or rng.choices(counts, weights)[0]
        kind = rng.choice(KINDS)
        program = _draw_program(n, kind, rng)
        if split_of(program.text) != split:
            continue
        inputs: list[Value] = []
        for _ in range(num_inputs * 3):
            value = draw_input(kind, rng)
            try:
                program.trace(value)
            except OutOfWorldError:
                continue
            if value not in inputs:
                inputs.append(value)
            if len(inputs) == num_inputs:
                return program, inputs
