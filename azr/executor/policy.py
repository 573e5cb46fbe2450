"""What a program may say: an allow-list of modules, no special names, no dynamic code.

    >>> violation(nodes_of(ast.parse("import os")))
    'import os'
    >>> violation(nodes_of(ast.parse("def f(x): return [x]"))) is None
    True

This is the first layer, over the syntax tree. It is no wall by itself (``sandbox`` is): it turns away what has no place
in a task and makes the rest predictable. Left out: what a program does at run time, see ``namespace``.
"""

import ast


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())


IMPORTS = words(
    """__future__ abc array bisect cmath collections collections.abc copy dataclasses decimal enum fractions functools
    heapq itertools math numbers operator queue re statistics string sys textwrap typing"""
)
"""Modules a program may import. Each is given as a copy with only its public names: see ``namespace``."""

FORBIDDEN_BUILTINS = words(
    """breakpoint compile copyright credits delattr dir eval exec exit globals help id input license locals memoryview
    open quit vars"""
)
SCRIPT_BUILTINS = words("eval input")
"""Of these, what a script may call: ``eval`` of an expression under this same policy, and its standard input."""
FORBIDDEN_ATTRIBUTES = words(
    """ag_await ag_code ag_frame cr_await cr_code cr_frame cr_origin f_back f_builtins f_code f_globals f_lasti f_lineno
    f_locals f_trace gi_code gi_frame gi_yieldfrom mro tb_frame tb_lasti tb_lineno tb_next with_traceback"""
)
METHODS = words(
    """__init__ __new__ __post_init__ __repr__ __str__ __format__ __bytes__ __hash__ __bool__ __int__ __float__
    __complex__ __index__ __round__ __floor__ __ceil__ __trunc__ __abs__ __neg__ __pos__ __invert__ __lt__ __le__
    __eq__ __ne__ __gt__ __ge__ __len__ __iter__ __next__ __reversed__ __contains__ __getitem__ __setitem__
    __delitem__ __missing__ __call__ __enter__ __exit__ __copy__ __deepcopy__ __getattr__ __slots__"""
) | {
    f"__{side}{name}__"
    for name in words("add sub mul matmul truediv floordiv mod divmod pow lshift rshift and or xor")
    for side in ("", "r", "i")
}
"""Special methods that a class may define and call by name; no other dunder name may appear, but ``__name__``."""


def nodes_of(tree: ast.AST) -> list[ast.AST]:
    """Every node of the tree but contexts and operators, parents before children."""
    nodes = [tree]
    for node in nodes:  # grows while it is read
        for field in node._fields:
            value = getattr(node, field)
            nodes += [item for item in (value if type(value) is list else (value,)) if type(item) in _NODES]
    return nodes


_KINDS = (ast.expr, ast.stmt, ast.arguments, ast.arg, ast.keyword, ast.comprehension, ast.excepthandler)
_KINDS += (ast.match_case, ast.pattern, ast.alias, *((ast.type_param,) if hasattr(ast, "type_param") else ()))
_NODES = frozenset(kind for kind in vars(ast).values() if isinstance(kind, type) and issubclass(kind, _KINDS))
_BINDERS = {
    **dict.fromkeys((ast.FunctionDef, ast.ClassDef, ast.ExceptHandler, ast.MatchAs, ast.MatchStar), "name"),
    **dict.fromkeys(getattr(ast, "type_param", type(None)).__subclasses__(), "name"),
    ast.arg: "arg",
    ast.MatchMapping: "rest",
}
"""Kinds of nodes that bind a name -> the field with the name; imports and targets of assignments aside."""


def violation(nodes: list[ast.AST], imports: frozenset[str] = IMPORTS, script: bool = False) -> str | None:
    """The name of the rule that a program breaks, or None. A script may call ``SCRIPT_BUILTINS``."""
    bound: set[str] = set()
    used: set[str] = set()
    for node in nodes:
        if type(node) in _BINDERS:
            bound.add(getattr(node, _BINDERS[type(node)]) or "")
        match node:
            case ast.Name(id=name):
                (used if type(node.ctx) is ast.Load else bound).add(name)
            case ast.Attribute(attr=name):
                if is_out_of_reach(name):
                    return f"attribute {name}"
            case ast.Import(names=aliases):
                for alias in aliases:
                    if alias.name not in imports:
                        return f"import {alias.name[:80]}"
                    bound.add(alias.asname or alias.name.partition(".")[0])
            case ast.ImportFrom(module=module, names=aliases, level=level):
                if level or module not in imports:
                    return f"import {'.' * min(level, 3)}{module or ''}"[:88]
                for alias in aliases:
                    if alias.name[:1] == "_":
                        return f"import {module}.{alias.name}"[:88]
                    bound.add(alias.asname or alias.name)
            case ast.ClassDef(keywords=[_, *_]):
                return "class keyword"
            case ast.MatchClass(kwd_attrs=names):
                if hidden := [name for name in names if is_out_of_reach(name)]:
                    return f"attribute {hidden[0]}"
            case ast.AsyncFunctionDef() | ast.AsyncFor() | ast.AsyncWith() | ast.Await():
                return "async"
            case ast.comprehension(is_async=1):
                return "async"
    if hidden := [name for name in used | bound if is_hidden(name)]:
        return f"name {min(hidden)}"
    forbidden = (used - bound) & FORBIDDEN_BUILTINS - (SCRIPT_BUILTINS if script else frozenset())
    return f"name {min(forbidden)}" if forbidden else None


def is_hidden(name: str) -> bool:
    """Whether a name or attribute is a dunder that programs may not mention. ``__`` and longer ones are names."""
    return name[:2] == "__" == name[-2:] and name not in METHODS and name != "__name__" and name.strip("_") != ""


def is_out_of_reach(attribute: str) -> bool:
    """Whether programs may not read or set this attribute."""
    return attribute in FORBIDDEN_ATTRIBUTES or is_hidden(attribute)
