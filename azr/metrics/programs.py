"""What proposals look like and how far apart they are: statement count, operations, distance between syntax trees.

>>> shape = program_shape("def f(x):\\n    y = x + 1\\n    return len(str(y))")
>>> shape.statements, shape.operations
(2, ('+', 'len', 'str'))

Programs are parsed, never run. Left out: what a program computes; two programs with the same syntax tree up to names
and constants have distance 0 whatever they return.
"""

from __future__ import annotations

import ast
import math
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache

_SYMBOLS = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%", ast.Pow: "**",
    ast.MatMult: "@", ast.LShift: "<<", ast.RShift: ">>", ast.BitOr: "|", ast.BitXor: "^", ast.BitAnd: "&",
    ast.And: "and", ast.Or: "or", ast.Not: "not", ast.UAdd: "+x", ast.USub: "-x", ast.Invert: "~",
    ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=",
    ast.Is: "is", ast.IsNot: "is not", ast.In: "in", ast.NotIn: "not in",
    ast.If: "if", ast.IfExp: "if", ast.For: "for", ast.While: "while", ast.comprehension: "for",
    ast.Subscript: "[]", ast.Slice: "[:]",
}  # fmt: skip


@dataclass(frozen=True)
class ProgramShape:
    """The syntax of a program, without its names and constants."""

    statements: int
    """Statements inside functions, bodies of ``if`` and loops included, docstrings, inner ``def`` and imports not."""
    operations: tuple[str, ...]
    """Distinct operators, keywords, called functions (``len``) and methods (``.append``), sorted."""
    nodes: tuple[str, ...]
    """Node types of the syntax tree in depth-first order."""


@lru_cache(maxsize=65536)
def program_shape(program: str) -> ProgramShape | None:
    """The shape of a program's text; None where it does not parse.

    >>> program_shape("def f(x:") is None
    True
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # "\d" in a proposal is its author's business
            tree = ast.parse(program)
        nodes = list(_depth_first(tree))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    inside = (n for f in nodes if isinstance(f, ast.FunctionDef | ast.AsyncFunctionDef) for n in _depth_first(f))
    statements = {id(node) for node in inside if _counts(node)}
    operations = {name for node in nodes if (name := _operation(node))}
    return ProgramShape(len(statements), tuple(sorted(operations)), tuple(type(node).__name__ for node in nodes))


def statement_count(program: str) -> float:
    """Statements inside the program's functions; NaN where it does not parse.

    >>> statement_count("def f(x):\\n    if x:\\n        x = 2\\n    return x")
    3.0
    """
    shape = program_shape(program)
    return math.nan if shape is None else float(shape.statements)


def ast_distance(one: str, other: str) -> float:
    """1 - the difflib ratio of two programs' sequences of syntax node types.

    Returns:
        0 for the same tree up to names and constants, towards 1 for trees with little in common; symmetric; NaN where
        either does not parse.

    >>> ast_distance("def f(x):\\n    return x + 1", "def f(y):\\n    return y + 7")
    0.0
    """
    a, b = program_shape(one), program_shape(other)
    if a is None or b is None:
        return math.nan
    if a.nodes == b.nodes:
        return 0.0
    # difflib's ratio depends on the order of its arguments; a fixed order makes it a symmetric number.
    first, second = sorted((a.nodes, b.nodes))
    return 1.0 - SequenceMatcher(None, first, second, autojunk=False).ratio()


def ast_novelty(program: str, references: Iterable[str]) -> float:
    """Distance from a program to the closest of its references: 0 for a copy up to names and constants.

    Args:
        program: text of the proposal.
        references: texts of the programs it was shown, or of any other set.

    Returns:
        In [0, 1]; NaN where the program does not parse or no reference does.

    >>> ast_novelty("def f(x):\\n    return x", ["def f(x):\\n    return x + 1", "def f(a):\\n    return a"])
    0.0
    """
    distances = [ast_distance(program, reference) for reference in references]
    return min((distance for distance in distances if not math.isnan(distance)), default=math.nan)


def _depth_first(node: ast.AST) -> Iterable[ast.AST]:
    stack = [node]
    while stack:
        current = stack.pop()
        if isinstance(current, ast.expr_context):
            continue
        yield current
        stack.extend(reversed(list(ast.iter_child_nodes(current))))


def _counts(node: ast.AST) -> bool:
    """Whether a node is a statement that does something: not a definition, an import or a bare string."""
    if not isinstance(node, ast.stmt):
        return False
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom):
        return False
    return not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))


def _operation(node: ast.AST) -> str | None:
    if isinstance(node, ast.Call):
        if isinstance(node.func, ast.Name):
            return node.func.id
        return f".{node.func.attr}" if isinstance(node.func, ast.Attribute) else None
    return _SYMBOLS.get(type(node))
