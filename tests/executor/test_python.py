"""What is allowed behaves as in CPython: modules, builtins, codecs, errors, standard streams, the main guard."""

from __future__ import annotations

import io
import sys
from contextlib import redirect_stderr, redirect_stdout
from types import ModuleType

import pytest

from azr.executor import Executor, Job, Script, Verdict, same_literal
from azr.executor.policy import IMPORTS

from .attacks import outcome

MORE = {"datetime", "random", "json", "hashlib", "calendar", "time"}


@pytest.fixture(scope="module")
def wide():
    """An executor with the modules of the code benchmarks."""
    with Executor(workers=1, wall_seconds=120, cpu_seconds=5, max_output_chars=50_000, policy=IMPORTS | MORE) as wide:
        yield wide


def in_python(program: str) -> str:
    """What Python itself makes of it, a value or the class of an error; the programs are ours."""
    module = ModuleType("program")
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        patch.setitem(sys.modules, "program", module)
        try:
            exec(program, vars(module))
            return repr(module.f())
        except Exception as error:
            return type(error).__name__


EXPRESSIONS = r"""
datetime: str(datetime.datetime.strptime('2021/02/28', '%Y/%m/%d'))
datetime: datetime.datetime.strptime('2021/02/30', '%Y/%m/%d')
datetime: datetime.datetime.strptime('x', '%q')
datetime: str(datetime.datetime.strptime('5 May 2020 PM 3', '%d %B %Y %p %I'))
datetime: str(datetime.datetime.strptime('2020-W05-3 +0130', '%G-W%V-%u %z'))
datetime: datetime.datetime(2020, 1, 2).strftime('%a %A %b %B %c %x %X %j %U')
time: time.strptime('2020', '%Y')[:3], time.strftime('%Y %b', time.gmtime(0))
calendar: calendar.month(2020, 2)
random: random.Random(1).sample(range(100), 5)
hashlib: [hashlib.new(name, b'a').hexdigest() for name in ('md5', 'sha1', 'sha256', 'sha3_256', 'blake2b')]
hashlib: hashlib.pbkdf2_hmac('sha256', b'a', b'b', 3)
hashlib: hashlib.new('nope')
json: json.loads(json.dumps({'a': [1, None, 2.5]}, indent=1, sort_keys=True))
json: json.loads('{')
re: re.sub(r'(?P<a>\w)\N{BULLET}?', lambda m: m['a'] * 2, 'ab')
string: string.Template('$a').substitute(a=1)
statistics: statistics.NormalDist(1, 2).cdf(1.5), statistics.quantiles([1, 2, 3])
decimal: f"{decimal.Decimal('12345.6'):,.2f} {decimal.Decimal('1234.5'):n}", str(decimal.getcontext().prec)
copy, array, fractions: copy.deepcopy({1: array.array('i', [1])})[1].tolist(), str(copy.copy(fractions.Fraction(1, 3)))
queue: queue.Queue().get_nowait()
sys: sys.set_int_max_str_digits(0), len(str(10**6000)), int('9' * 5000) % 7, sys.set_int_max_str_digits(4300)
sys: str(10**6000)
sys: print(1, file=sys.stderr), sys.stdout.write('more'), print('x', flush=True)
sys: sys.maxunicode, sys.getsizeof([]), sys.version_info[:2], sys.platform, sys.exc_info()[0]
math: '\N{GREEK SMALL LETTER ALPHA}', 'ǆ'.title() + 'ß'.casefold(), f'{12345:>10,}', 'é'.encode('idna')
math: 'a'.encode('nope')
math: [('a\u20ac'.encode(name, 'replace')) for name in ('ascii', 'latin-1', 'utf-16', 'cp1252', 'punycode')]
math: isinstance(int, type), isinstance(5, type), isinstance(5, (type, int)), callable(type)
math: type(int) is type, type(type) is type, type(5) is int, type(5).__name__
math: hasattr(5, 'real'), hasattr(5, 'foo'), hasattr([], '__iter__'), hasattr(5, '__foo__')
math: getattr(5, 'foo', 7), getattr(5, '__foo__', None), getattr([1], '__len__')()
math: getattr(5, 'foo')
math: getattr(5, 3)
math: math.nope
math: ___ + __
"""
CLASSES = """
from __future__ import annotations
from dataclasses import dataclass, field, asdict, replace
from typing import ClassVar, Generic, NamedTuple, Optional, Protocol, TypedDict, TypeVar, runtime_checkable
import abc, collections, enum, functools
@dataclass(order=True, frozen=True)
class A:
    x: int
    y: list[int] = field(default_factory=list, compare=False)
    z: ClassVar[int] = 3
@dataclass(slots=True)
class B:
    a: A
    b: Optional[str] = None
class N(NamedTuple):
    a: int
    b: str = "x"
class Box(Generic[TypeVar("T")]):
    def __init__(self, v): self.v = v
class D(TypedDict): a: int
@runtime_checkable
class Goes(Protocol):
    def go(self) -> int: ...
class Goer:
    def go(self): return 1
class Color(enum.Enum):
    R = 1
    G = enum.auto()
class K(abc.ABC):
    @functools.cached_property
    def p(self): return 4
def f():
    match int:
        case type(): matched = True
    return (repr(A(1, [2])), asdict(B(A(1))), str(replace(A(1), x=5)), str(N(1)), N(1)._asdict(), Box[int](3).v,
            matched, D(a=1), isinstance(Goer(), Goes), isinstance(3, Goes), str(Color.R), [c.name for c in Color],
            K().p, A(1) < A(2), str(Optional[int]), str(collections.namedtuple("P", "x y")(1, 2)))
"""


def test_expressions_give_what_python_gives(wide):
    rows = [line.split(": ", 1) for line in EXPRESSIONS.strip().splitlines()]
    programs = [f"import {modules}\ndef f(): return {expression}" for modules, expression in rows]
    for program, execution in zip(programs, wide.run_many([Job(program, "") for program in programs]), strict=True):
        expected = in_python(program)
        assert outcome(execution)[1] == expected or same_literal(execution.output or "", expected), program


def test_classes_give_what_python_gives(wide):
    assert same_literal(wide.run(Job(CLASSES, "")).output or "", in_python(CLASSES))


@pytest.mark.parametrize(
    "program",
    [
        "f = lambda x: x + 1",
        "from functools import partial\nfrom operator import add\nf = partial(add, 1)",
        "class A:\n    def __call__(self, x): return x + 1\nf = A()",
        "class f(int):\n    def __new__(cls, x): return x + 1",
        "def g(x): return x + 1\nf = g",
        "if True:\n    def f(x): return x + 1\nelse: f = None",
        "def make():\n    global f\n    def f(x): return x + 1\nmake()",
        "for f in [lambda x: x + 1]: pass",
        "from functools import cache\n@cache\ndef f(x): return x + 1",
    ],
)
def test_any_way_of_binding_the_name_is_a_function(executor, program):
    assert outcome(executor.run(Job(program, "41"))) == (Verdict.OK, "42")


TRIPLE = "def triple(n):\n    return 3 * n"
GUARD = "\nif __name__ == '__main__':\n    "


@pytest.mark.parametrize(
    "program",
    [
        TRIPLE,
        TRIPLE.replace("return", "print('triple of', n, 'x' * 3000)\n    return"),
        "import sys\n"
        + TRIPLE.replace("return", "print(n, file=sys.stderr); sys.stdout.write('y' * 5000)\n    return"),
        TRIPLE + GUARD + "print(triple(int(input('n = '))))",
        TRIPLE + GUARD + "import sys\n    sys.exit(triple(1))",
        TRIPLE + GUARD + "while True: pass",
        "triple = lambda n: eval('3 * n')",
        "def triple(n): return eval('k * n + x', {'n': n, 'k': 3}, {'x': 0})",
    ],
)
def test_output_and_the_main_guard_decide_nothing_under_tests(wide, program):
    assert wide.run(Script(program, tests="for n in range(200): assert triple(n) == 3 * n")).ok
    wrong = program.replace("3 *", "4 *").replace("'k': 3", "'k': 4")
    assert outcome(wide.run(Script(wrong, tests="assert triple(2) == 6"))) == (Verdict.EXCEPTION, "AssertionError")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("().__class__", "AttributeError"),
        ("__import__('os')", "NameError"),
        ("open('x')", "NameError"),
        ("[g.gi_frame for g in [(i for i in [1])]]", "AttributeError"),
        ("getattr(1, '__cl' + 'ass__')", "AttributeError"),
        ("exec('1')", "NameError"),
        ("x = 1", "SyntaxError"),
        ("import os", "SyntaxError"),
        ("(", "SyntaxError"),
        ("type('A', (), {})", "TypeError"),
    ],
)
def test_eval_gives_a_script_nothing_else(executor, text, error):
    for call in (f"eval({text!r})", f"eval({text!r}, {{}})", f"[*map(eval, [{text!r}])]"):
        assert outcome(executor.run(Script(f"x = {call}"))) == (Verdict.EXCEPTION, error)
    cheat = "class D(dict):\n    def setdefault(self, *x): pass\n"
    assert outcome(executor.run(Script(f"{cheat}x = eval({text!r}, D())"))) == (Verdict.EXCEPTION, error)
    assert outcome(executor.run(Job(f"def f(): return eval({text!r})", ""))) == (Verdict.REJECTED, "name eval")
