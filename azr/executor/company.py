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
and iterators occur only where they are called or used up at once. Everything else gets a process of its own, which
costs time and nothing more.

Left out: any attempt to follow values; a NaN that comes of an overflow and is put in a set is not seen.
"""

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
_ATTRIBUTES = _METHODS.union(*_MODULES.values())
_NUMBERS = words("e inf pi tau")
"""Attributes that are neither functions nor methods."""

_USE_UP_ALL = words("filter map zip")
_USE_UP = _USE_UP_ALL | words(
    """all any bytes dict difference enumerate extend frozenset fromkeys intersection iter join list max min next
    reversed set sort sorted sum tuple union update"""
)
"""Functions and methods that keep no hold of their (first) argument, and call what is given as ``key``."""
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
    # A name with two meanings would make the checks below look at the wrong thing.
    if (names | bound | functions) & _OTHERS or (bound | functions) & (_CAUGHT | _ITERATORS) or bound & functions:
        return False
    if depends_on_order(nodes) and names & _HASHED_BY_ADDRESS:
        return False
    called: set[ast.AST] = set()
    used_up: set[ast.AST] = set()
    for node in nodes:  # parents first: they say what may stand below them
        match node:
            case ast.Name(id=name):
                fits = node in called or not (name in _ITERATORS or (name in functions and node not in used_up))
            case ast.Attribute(attr=name):
                fits = name in _NUMBERS or (name in _ATTRIBUTES and (node in called or node in used_up))
                fits = fits and type(node.ctx) is ast.Load
            case ast.Call(func=function, args=arguments, keywords=keywords):
                called.add(function)
                name = getattr(function, "attr", getattr(function, "id", ""))
                if name in _USE_UP and name not in bound and name not in functions:
                    used_up.update(arguments if name in _USE_UP_ALL else arguments[:1])
                    used_up.update(keyword.value for keyword in keywords if keyword.arg == "key")
                fits = name not in _ITERATORS or node in used_up
            case ast.Lambda():
                fits = node in called or node in used_up
            case ast.GeneratorExp():
                fits = node in used_up
            case ast.For(iter=used) | ast.comprehension(iter=used) | ast.Starred(value=used):
                used_up.add(used)
                fits = True
            case ast.ExceptHandler(type=kind):
                kinds = kind.elts if isinstance(kind, ast.Tuple) else [kind]
                fits = all(isinstance(kind, ast.Name) and kind.id in _CAUGHT for kind in kinds)
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
