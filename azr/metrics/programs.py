"""How long a program is, in statements.

>>> statement_count("def f(x):\\n    if x:\\n        x = 2\\n    return x")
3.0

Programs are parsed, never run. Left out: what a program computes, and how far apart two programs are.
"""

import ast
import math
import warnings
from functools import lru_cache

_NOTHING_DONE = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom


@lru_cache(maxsize=65536)
def statement_count(program: str) -> float:
    """Statements inside the program's functions; NaN where it does not parse.

    Bodies of ``if`` and of loops count, definitions, imports and bare strings do not.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # "\\d" in a proposal is its author's business
            tree = ast.parse(program)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return math.nan
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    inside = {node for function in functions for node in ast.walk(function) if isinstance(node, ast.stmt)}
    acting = [node for node in inside if not isinstance(node, _NOTHING_DONE)]
    bare = [node for node in acting if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)]
    return float(len(acting) - len(bare))
