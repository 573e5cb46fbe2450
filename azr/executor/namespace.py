"""What a program finds when it runs: reduced builtins and copies of the allowed modules.

    load_modules(["math"]); exec(code, fresh_globals())

A copied module holds public names only: no way from ``statistics`` to ``sys``. What CPython itself loads on first use
is loaded beforehand, since a program finds no files. Left out: protection from a program that changes what it finds
here, which gets a process of its own; and of the built-in types, which CPython gives.
"""

import ast
import builtins
import contextlib
import importlib
import io
import sys
from collections.abc import Iterable
from types import GenericAlias, ModuleType
from typing import Any

from azr.executor import policy

_HIDDEN = {
    # What would evaluate text, read attributes by name, or build classes from data.
    "abc": {"ABCMeta", "update_abstractmethods", "get_cache_token"},
    "dataclasses": {"make_dataclass"},
    "enum": {"EnumMeta", "EnumType", "global_enum", "global_enum_repr", "global_flag_repr", "global_str"},
    "functools": {"singledispatch", "singledispatchmethod", "update_wrapper"},
    "operator": {"attrgetter", "methodcaller"},
    "re": {"template", "purge"},
    "string": {"Formatter"},
    "typing": {"ForwardRef", "evaluate_forward_ref", "get_type_hints"},
}
_SYS_NAMES = policy.words(
    """byteorder exc_info exit float_info get_int_max_str_digits getrecursionlimit getsizeof hash_info hexversion
    implementation int_info intern maxsize maxunicode platform set_int_max_str_digits setrecursionlimit version
    version_info"""
)
_ON_FIRST_USE = policy.words(
    """_pylong _sha2 _strptime annotationlib ast calendar copyreg decimal inspect locale random string.templatelib
    stringprep traceback types typing unicodedata warnings weakref encodings.ascii encodings.cp1252 encodings.cp437
    encodings.hex_codec encodings.idna encodings.latin_1 encodings.punycode encodings.raw_unicode_escape
    encodings.rot_13 encodings.unicode_escape encodings.utf_16 encodings.utf_16_be encodings.utf_16_le encodings.utf_32
    encodings.utf_7 encodings.utf_8_sig"""
)
"""What allowed modules import when some function of theirs is called, in any version of Python from 3.11 on, and the
codecs that programs have."""

_MODULES: dict[str, ModuleType] = {}


def load_modules(names: Iterable[str]) -> None:
    """Import the allowed modules and what they need later, before the sandbox closes; ready a copy of each."""
    for name in _ON_FIRST_USE:
        with contextlib.suppress(ImportError):  # another version's
            importlib.import_module(name)
    for name in sorted(names):
        _MODULES[name] = _copy(importlib.import_module(name), name)
        parent, _, child = name.rpartition(".")
        if parent in _MODULES:
            setattr(_MODULES[parent], child, _MODULES[name])


def _copy(module: ModuleType, name: str) -> ModuleType:
    public = getattr(module, "__all__", None) or [key for key in vars(module) if key[:1] != "_"]
    if name == "sys":
        public = [key for key in _SYS_NAMES if hasattr(module, key)]
    values = {key: getattr(module, key) for key in public if key not in _HIDDEN.get(name, ())}
    values = {key: value for key, value in values.items() if not isinstance(value, ModuleType)}
    copied = ModuleType(name)
    vars(copied).clear()
    vars(copied).update(values, __name__=name, __all__=list(values))
    return copied


def fresh_globals() -> dict[str, Any]:
    """The namespace of a new module, known as ``program`` to what asks for the module of a class (dataclasses)."""
    module = sys.modules["program"] = ModuleType("program")
    space = vars(module)
    space.clear()
    space |= {"__name__": "program", "__builtins__": _BUILTINS}
    return space


class _Nowhere(io.StringIO):
    """A stream that keeps nothing."""

    def write(self, text: str, /) -> int:
        return str.__len__(text)


def connect() -> None:
    """Give ``print`` and ``sys`` standard streams: an empty input, and outputs that keep nothing."""
    sys.stdout = sys.stderr = _Nowhere()
    if "sys" in _MODULES:
        streams = {"stdin": io.StringIO(), "stdout": sys.stdout, "stderr": sys.stderr}
        vars(_MODULES["sys"]).update(streams, argv=["program"])


def allow_eval(imports: frozenset[str]) -> None:
    """Give this process an ``eval`` of expressions that the policy lets pass; they find what the program finds."""

    def evaluate(source: Any, globals: Any = None, locals: Any = None, /) -> Any:
        if type(source) is not str:
            raise TypeError("eval() arg 1 must be a string")
        tree = ast.parse(source.lstrip(" \t"), "<string>", mode="eval")
        rule = policy.violation(policy.nodes_of(tree), imports, script=True)
        if rule:
            raise (AttributeError if rule.startswith("attribute") else NameError)(rule)
        frame = sys._getframe(1)
        if globals is None:
            globals, locals = frame.f_globals, frame.f_locals if locals is None else locals
        space = {**globals, "__builtins__": _BUILTINS}  # a dict of its own, which cannot lie
        return eval(compile(tree, "<string>", "eval", dont_inherit=True), space, locals)

    _BUILTINS["eval"] = evaluate


def _input(prompt: object = "", /) -> str:
    raise EOFError("EOF when reading a line")


def _import(name: str, globals: object = None, locals: object = None, fromlist: Any = (), level: int = 0) -> ModuleType:
    if type(fromlist) is list:  # no statement gives a list: it is CPython's own C code that needs a module
        return __import__(name)
    if name not in _MODULES:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    first = name.partition(".")[0]
    return _MODULES[name if fromlist or first not in _MODULES else first]


def _may_see(name: Any) -> bool:
    if type(name) is not str:
        raise TypeError("attribute name must be string")
    return not policy.is_out_of_reach(name)


def _getattr(thing: Any, name: Any, /, *default: Any) -> Any:
    if _may_see(name):
        return getattr(thing, name, *default)
    return getattr(None, "not available", *default)


def _setattr(thing: Any, name: Any, value: Any, /) -> None:
    setattr(thing if _may_see(name) else None, name, value)  # None has no attribute that could be set


def _hasattr(thing: Any, name: Any, /) -> bool:
    return _may_see(name) and hasattr(thing, name)


class _TypeOfTypes(type):
    """Makes ``_Type`` behave as ``type`` does, but for making classes out of data."""

    def __call__(cls, *arguments: Any) -> Any:
        if len(arguments) != 1:
            raise TypeError("type() with other than one argument is not available")
        kind = type(arguments[0])
        return _Type if issubclass(kind, type) else kind

    def __instancecheck__(cls, thing: Any) -> bool:
        return isinstance(thing, type)


class _Type(metaclass=_TypeOfTypes):
    __class_getitem__ = classmethod(GenericAlias)


_BUILTINS: dict[str, Any] = {
    name: value for name, value in vars(builtins).items() if name[:1] != "_" and name not in policy.FORBIDDEN_BUILTINS
} | {
    "__build_class__": builtins.__build_class__,
    "__import__": _import,
    "__name__": "builtins",
    "input": _input,
    "getattr": _getattr,
    "setattr": _setattr,
    "hasattr": _hasattr,
    "type": _Type,
}
for _name in ("getattr", "setattr", "hasattr", "type"):
    _BUILTINS[_name].__name__ = _BUILTINS[_name].__qualname__ = _name
    _BUILTINS[_name].__module__ = "builtins"
