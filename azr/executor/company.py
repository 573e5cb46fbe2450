"""Which programs may follow one another in one process: those that can neither leave nor find a trace there.

    >>> import ast; from azr.executor.policy import nodes_of
    >>> may_share(nodes_of(ast.parse("def f(x): return sorted(x, key=lambda v: -v)[0]")))
    True
    >>> may_share(nodes_of(ast.parse("def f(x): return str(lambda: x)")))  # an address, so a trace of the heap
    False

A fork costs several times what a short program does, so such programs share one. To be among them a program may only
say what is listed here. It leaves no trace because it changes nothing but objects of its own: no classes, no assignment
to attributes, no module but some functions of a few, no handler that could catch a lack of memory or stack. It finds no
trace because it never holds a value whose text is an address, nor puts one in a set whose hash is: functions, methods
and iterators occur only where they are called or used up at once, and there is no ``is`` between values. Everything
else gets a process of its own, which costs time and nothing more.

Left out: any attempt to follow values; a NaN that comes of an overflow and is put in a set is not seen.
"""

from __future__ import annotations

import ast
import builtins
import math
from collections import Counter, OrderedDict, deque

from azr.executor.policy import FORBIDDEN_BUILTINS, words

_NODES = {
    getattr(ast, name)
    for name in words(
        """Module FunctionDef Return Assign AugAssign AnnAssign For While If Expr Pass Break Continue Assert Raise Try
        ExceptHandler Lambda ListComp DictComp SetComp GeneratorExp comprehension BoolOp NamedExpr BinOp UnaryOp IfExp
        Dict Set Tuple List Compare Call FormattedValue JoinedStr Constant Attribute Subscript Starred Name Slice
        arguments arg keyword Delete Global Nonlocal Import ImportFrom alias"""
    )
}
_CAUGHT = words(
    """ArithmeticError AssertionError AttributeError IndexError KeyError LookupError OverflowError StopIteration
    TypeError ValueError ZeroDivisionError"""
)
_HASHED_BY_ADDRESS = _CAUGHT | words("Exception RuntimeError NotImplementedError float")  # a float may be NaN
_ITERATORS = words("enumerate filter iter map reversed zip")
_BUILTINS = _HASHED_BY_ADDRESS | words(
    """abs all any ascii bin bool chr complex dict divmod format frozenset hex int isinstance len list max min next oct
    ord pow print range repr round set slice sorted str sum tuple bytes bytearray"""
)
_OTHERS = frozenset(dir(builtins)) - _BUILTINS - _ITERATORS - FORBIDDEN_BUILTINS  # forbidden ones are not there at all
_METHODS = {
    name
    for kind in (str, bytes, bytearray, int, float, complex, list, dict, set, Counter, OrderedDict, deque)
    for name in dir(kind)
    if name[:1] != "_" and name not in words("format format_map elements encode decode")
}
"""Methods of built-in types, but for those that read attributes, give an iterator or load a codec."""
_MODULES = {
    "math": {name for name in dir(math) if name[:1] != "_" and name != "nan"},
    "collections": words("Counter OrderedDict defaultdict deque"),
    "re": words("escape findall split sub subn"),
}
"""Modules whose functions keep nothing that could be told from outside."""

_TAKE_FUNCTION = words("map filter")
_TAKE_KEY = words("sorted min max sort")
_USE_UP = words("all any bytes dict enumerate frozenset iter list max min next reversed set sorted sum tuple")
_USE_UP_ALL = words("zip extend fromkeys join update intersection union difference")
_SETS = words("frozenset hash set")
_VIEWS = words("items keys")
_OPERATORS = (ast.BitAnd, ast.BitOr, ast.BitXor, ast.Sub)


def depends_on_order(nodes: list[ast.AST]) -> bool:
    """Whether a program mentions sets or hashes, whose order or value changes with the hash seed."""
    kinds = {type(node) for node in nodes}
    names = {
        node.id if type(node) is ast.Name else node.attr for node in nodes if type(node) in (ast.Name, ast.Attribute)
    }
    if ast.Set in kinds or ast.SetComp in kinds or names & _SETS:
        return True
    return bool(names & _VIEWS) and any(type(node) is ast.BinOp and isinstance(node.op, _OPERATORS) for node in nodes)


def may_share(nodes: list[ast.AST]) -> bool:
    """Whether a program that the policy lets pass may share a process. ``nodes`` as ``policy.nodes_of`` gives them."""
    if not {type(node) for node in nodes} <= _NODES:
        return False
    names = {node.id for node in nodes if type(node) is ast.Name}
    bound = {node.id for node in nodes if type(node) is ast.Name and type(node.ctx) is not ast.Load}
    bound |= {node.arg for node in nodes if type(node) is ast.arg}
    bound |= {node.name for node in nodes if type(node) is ast.ExceptHandler and node.name}
    functions = {node.name for node in nodes if type(node) is ast.FunctionDef}
    modules = {a.asname or a.name: a.name for node in nodes if type(node) is ast.Import for a in node.names}
    # A name with two meanings would make the checks below look at the wrong thing.
    if (names | bound | functions) & _OTHERS or (bound | functions) & (modules.keys() | _CAUGHT | _ITERATORS):
        return False
    if bound & functions or (depends_on_order(nodes) and names & _HASHED_BY_ADDRESS):
        return False
    called: set[ast.AST] = set()  # where functions and methods may stand, and iterators' names
    taken: set[ast.AST] = set()  # where functions and methods may stand
    used_up: set[ast.AST] = set()  # where iterators may stand
    qualifiers: set[ast.AST] = set()  # where modules may stand
    for node in nodes:  # parents first: they say what may stand below them
        match node:
            case ast.Name(id=name):
                if name in _ITERATORS or name in functions:
                    fits = node in called or (name in functions and node in taken)
                else:
                    fits = name not in modules or node in qualifiers
            case ast.Attribute(value=ast.Name(id=name)) if name in modules:
                qualifiers.add(node.value)
                fits = node.attr in _MODULES.get(modules[name], ()) and type(node.ctx) is ast.Load
            case ast.Attribute(attr=name):
                fits = name in _METHODS and (node in called or node in taken)
            case ast.Call(func=function, args=arguments, keywords=keywords):
                called.add(function)
                name = getattr(function, "attr", getattr(function, "id", ""))
                if name in bound or name in functions:
                    name = ""
                if name in _TAKE_FUNCTION:
                    taken.update(arguments[:1])
                    used_up.update(arguments[1:])
                elif name in _USE_UP_ALL or name in _USE_UP:
                    used_up.update(arguments if name in _USE_UP_ALL else arguments[:1])
                if name in _TAKE_KEY:
                    taken.update(keyword.value for keyword in keywords if keyword.arg == "key")
                fits = name not in _ITERATORS or node in used_up
            case ast.Lambda():
                fits = node in called or node in taken
            case ast.GeneratorExp():
                fits = node in used_up
            case ast.For(iter=used) | ast.comprehension(iter=used) | ast.Starred(value=used):
                used_up.add(used)
                fits = True
            case ast.ExceptHandler(type=kind):
                kinds = kind.elts if isinstance(kind, ast.Tuple) else [kind]
                fits = all(isinstance(kind, ast.Name) and kind.id in _CAUGHT for kind in kinds)
            case ast.Compare(ops=operators, comparators=[*_, right]):  # None, True and False are no traces
                constant = len(operators) == 1 and type(getattr(right, "value", 0)) in (bool, type(None))
                fits = constant or not any(isinstance(operator, ast.Is | ast.IsNot) for operator in operators)
            case ast.FunctionDef(decorator_list=[_, *_]) | ast.Try(finalbody=[_, *_]):
                fits = False
            case ast.Import(names=aliases):
                fits = all(alias.name in _MODULES for alias in aliases)
            case ast.ImportFrom(module=module, names=aliases):
                fits = all(alias.name in _MODULES.get(module, ()) and not alias.asname for alias in aliases)
            case _:
                fits = True
        if not fits:
            return False
    return True
