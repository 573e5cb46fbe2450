"""What a program finds when it runs: reduced builtins and copies of the allowed modules.

    load_modules(["math"]); exec(code, fresh_globals())

A copied module holds public names only: no way from ``statistics`` to ``sys``. What CPython itself loads on first use
is loaded beforehand, since a program finds no files. Left out: protection from a program that changes what it finds
here, which gets a process of its own; and of the built-in types, which CPython gives.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import encodings
import importlib.util
import io
import marshal
import pkgutil
import sys
from collections.abc import Iterable
from importlib.machinery import ModuleSpec
from types import GenericAlias, ModuleType
from typing import Any, ClassVar

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
    """_codecs_cn _codecs_hk _codecs_iso2022 _codecs_jp _codecs_kr _codecs_tw _multibytecodec _pylong _sha2 _strptime
    annotationlib ast calendar copyreg decimal inspect locale random string.templatelib stringprep traceback types
    typing unicodedata warnings weakref"""
)
"""What allowed modules import when some function of theirs is called, in any version of Python from 3.11 on."""

_MODULES: dict[str, ModuleType] = {}


def load_modules(names: Iterable[str]) -> None:
    """Import the allowed modules and what they need later, before the sandbox closes; ready a copy of each."""
    for name in _ON_FIRST_USE:
        with contextlib.suppress(ImportError):  # another version's
            importlib.import_module(name)
    for _, name, _ in pkgutil.iter_modules(encodings.__path__, "encodings."):
        if name not in sys.modules:
            _CodecsInMemory.code[name] = marshal.dumps(importlib.util.find_spec(name).loader.get_code(name))
    sys.meta_path.insert(0, _CodecsInMemory)
    for name in sorted(names):
        _MODULES[name] = _copy(importlib.import_module(name), name)
        parent, _, child = name.rpartition(".")
        if parent in _MODULES:
            setattr(_MODULES[parent], child, _MODULES[name])


class _CodecsInMemory:
    """Finds and loads modules by code that is kept in one piece: loaded, all codecs would slow down every fork."""

    code: ClassVar[dict[str, bytes]] = {}

    @classmethod
    def find_spec(cls, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        return ModuleSpec(name, cls) if name in cls.code else None

    @staticmethod
    def create_module(spec: ModuleSpec) -> None:
        return None

    @classmethod
    def exec_module(cls, module: ModuleType) -> None:
        exec(marshal.loads(cls.code[module.__name__]), vars(module))


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


def fresh_globals(name: str = "program") -> dict[str, Any]:
    """The namespace of a new module ``name``, known under it to what asks for the module of a class (dataclasses)."""
    module = sys.modules[name] = ModuleType(name)
    space = vars(module)
    space.clear()
    space |= {"__name__": name, "__builtins__": _BUILTINS}
    return space


def connect(stdin: str = "", max_chars: int = 0, strict: bool = False) -> Printed:
    """Give ``input`` and ``sys`` what a process has for standard input and output; the latter is returned."""
    source = io.StringIO(stdin)
    printed = sys.stdout = sys.stderr = Printed(max_chars, strict)

    def read_line(prompt: object = "", /) -> str:
        print(prompt, end="")
        line = source.readline()
        if not line:
            raise EOFError("EOF when reading a line")
        return line.removesuffix("\n")

    _BUILTINS["input"] = read_line
    if "sys" in _MODULES:
        vars(_MODULES["sys"]).update(stdin=source, stdout=printed, stderr=printed, argv=["program"])
    return printed


def allow_eval(imports: frozenset[str]) -> None:
    """Give this process an ``eval`` of expressions that the policy lets pass; they find what the program finds."""

    def evaluate(source: Any, globals: Any = None, locals: Any = None, /) -> Any:
        if type(source) is not str:
            raise TypeError("eval() arg 1 must be a string")
        tree = ast.parse(source.lstrip(" \t"), "<string>", mode="eval")
        rule = policy.violation(policy.nodes_of(tree), imports, script=True)
        if rule:
            raise (AttributeError if rule.startswith("attribute") else NameError)(rule)
        if globals is None:
            frame = sys._getframe(1)
            globals, locals = frame.f_globals, frame.f_locals if locals is None else locals
        elif not isinstance(globals, dict):
            raise TypeError("globals must be a dict")
        dict.setdefault(globals, "__builtins__", _BUILTINS)  # else it would be given the real ones
        return eval(compile(tree, "<string>", "eval", dont_inherit=True), globals, locals)

    _BUILTINS["eval"] = evaluate


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

    def __call__(cls, *arguments: Any, **keywords: Any) -> Any:
        if len(arguments) != 1 or keywords:
            raise TypeError("type() with other than one argument is not available")
        kind = type(arguments[0])
        if kind is type or kind is _TypeOfTypes:
            return _Type
        if issubclass(kind, type):  # a metaclass would build classes
            raise TypeError("the type of this class is not available")
        return kind

    def __instancecheck__(cls, thing: Any) -> bool:
        return isinstance(thing, type)

    def __subclasscheck__(cls, kind: Any) -> bool:
        return issubclass(kind, type)

    def __repr__(cls) -> str:
        return "<class 'type'>"


class _Type(metaclass=_TypeOfTypes):
    def __init_subclass__(cls, **keywords: Any) -> None:
        raise TypeError("metaclasses are not available")

    def __class_getitem__(cls, item: Any) -> Any:
        return GenericAlias(cls, item)


class TooMuchPrintedError(BaseException):
    """A program has printed more than it may; no ``except Exception`` of its own catches this."""


class Printed(io.StringIO):
    """A stream that keeps what is printed up to a limit. Past it text is lost, or the program ends if ``strict``."""

    def __init__(self, max_chars: int, strict: bool) -> None:
        super().__init__()
        self._room = max_chars
        self._strict = strict

    def write(self, text: str, /) -> int:
        """Keep ``text`` while there is room for it."""
        size = str.__len__(text)
        self._room -= size
        if self._room >= 0:
            super().write(text)
        elif self._strict:
            raise TooMuchPrintedError
        return size


_BUILTINS: dict[str, Any] = {
    name: value for name, value in vars(builtins).items() if name[:1] != "_" and name not in policy.FORBIDDEN_BUILTINS
} | {
    "__build_class__": builtins.__build_class__,
    "__import__": _import,
    "__name__": "builtins",
    "getattr": _getattr,
    "setattr": _setattr,
    "hasattr": _hasattr,
    "type": _Type,
}
for _name in ("getattr", "setattr", "hasattr", "type"):
    _BUILTINS[_name].__name__ = _BUILTINS[_name].__qualname__ = _name
    _BUILTINS[_name].__module__ = "builtins"
