"""The policy over syntax trees, and which programs may share a process. Attacks on both: test_promises.py."""

from __future__ import annotations

import ast

import pytest

from azr.executor.company import depends_on_order, may_share
from azr.executor.policy import nodes_of, violation


def nodes(program: str) -> list[ast.AST]:
    return nodes_of(ast.parse(program))


@pytest.mark.parametrize(
    "program",
    [
        "from collections import Counter, defaultdict\ndef f(x): return dict(Counter(x))",
        "import collections.abc\nfrom typing import List\ndef f(x: List[int]) -> int: return x[0]",
        "class P:\n    def __init__(self, a): self.a = a\n    def __eq__(self, o): return 1\ndef f(x): return P(x).a",
        "class Q(dict):\n    def __init__(self): super().__init__()\ndef f(): return len(Q())",
        "if __name__ == '__main__':\n    print(1)",
        "def f(id, input, open): return id + input + open",
        "def f(x):\n    match x:\n        case [a, *b]: return b\n        case {'k': v, **rest}: return rest",
        "from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int = 0",
        "def f(pairs): return {__: n for __, n in pairs}",
        "def f(x, _=0, __=1, ___=2):\n    for ____ in x: __ += ____\n    return _ + __ + ___",
        "class A:\n    def g(self): self.__ = self._ = self.__x = 1\ndef f(x): return A().__",
        "import math as __\ndef f(x):\n    global ___\n    ___ = __.floor(x)\n    return ___",
        "def f(x):\n    match x:\n        case [_, *__]: return __",
    ],
)
def test_ordinary_programs_pass(program):
    assert violation(nodes(program)) is None


def test_the_allow_list_is_the_callers():
    assert violation(nodes("import random"), frozenset({"random"})) is None
    assert violation(nodes("import math"), frozenset()) == "import math"
    assert violation(nodes("import collections.abc"), frozenset({"collections"})) == "import collections.abc"


COMPANY = [
    "def f(x): return x + 1",
    "def f(x):\n    out = []\n    for i, v in enumerate(x):\n        out.append(v * i)\n    return out",
    "def f(s): return ''.join(sorted(s, key=lambda c: -ord(c)))",
    "def f(x): return {k: v for k, v in zip(x, x[1:]) if k is not None}",
    "def f(s): return f'{s!r}: {len(s):>5}' + '%d' % 3",
    "def f(x): return sum(i for i in x if i % 2) or list(map(str, x))",
    "def f(d): return max(d, key=d.get), next((k for k in d), None), [*map(str.upper, d)]",
    "def f(n, acc=0): return acc if n == 0 else f(n - 1, acc + n)",
    "import math\nfrom collections import Counter, deque\ndef f(x): return math.gcd(*x), dict(Counter(x)), deque(x)[0]",
    "def f(x): return sorted(set(x))",
    "def f(x):\n    try: return int(x)\n    except (ValueError, TypeError): return -1",
    "import re\ndef f(s): return re.sub('a+', 'b', s)",
]
ALONE = [
    "class A: pass\ndef f(x): return 1",
    "def f(x):\n    f.count = 1\n    return 1",
    "import math\nmath.pi = 3\ndef f(x): return 1",
    "import math\ndef f(x):\n    del math.pi\n    return 1",
    "import collections\ndef f(x): return str([collections.Counter.update])",
    "def f(x): return str(sum([], f)), str(next(iter([]), f)), str(max(f, f, key=bool))",
    "import sys\ndef f(x): return sys.maxsize",
    "import decimal\ndef f(x): return 1",
    "from math import *\ndef f(x): return 1",
    "def f(x): return hash(x)",
    "def f(x): return getattr(x, 'y')",
    "def f(x):\n    try: return x * 10**10\n    except MemoryError: return 1",
    "def f(x):\n    try: return x\n    except: return 1",
    "def f(x):\n    try: return x\n    except Exception: return 1",
    "def f(x):\n    ValueError = MemoryError\n    return 1",
    "ValueError = TypeError\ndef f(x):\n    try: return x\n    except ValueError: return 1",
    "def f(x):\n    try: return x\n    finally: print(x)",
    "def g():\n    try: yield 1\n    except ValueError: pass\ndef f(x): return 1",
    "def d(g): return g\n@d\ndef f(x): return 1",
    "def f(x): return '{0.__class__}'.format(x)",
    "def f(x): return x.encode('utf-8')",
    "def f(x):\n    with x: pass",
    # Addresses turned into text, or into an order.
    "def f(x): return str(f)",
    "def f(x): return str(lambda: 1)",
    "def f(x): return '%s' % map(str, x)",
    "def f(x):\n    m = map(abs, x)\n    return f'{m}'",
    "def f(x):\n    g = (i for i in x)\n    return repr(g)",
    "def f(x): return str(x.append)",
    "def g(): yield 1\ndef f(x): return str(g())",
    "import itertools\ndef f(x): return str(itertools.chain(x))",
    "from itertools import chain as c\ndef f(x):\n    d = c\n    return str(d(x))",
    "def f(x): return str(list(map(enumerate, [x])))",
    "def f(x): return str(max([], default=lambda: 1))",
    "def f(x): return str(dict(a=lambda: 1))",
    "from collections import Counter\ndef f(x): return str(Counter(x).elements())",
    "from collections import defaultdict\ndef f(x): return str(defaultdict(lambda: 1))",
    "def f(x): return list({f, lambda: 1})",
    "def sorted(x): return str(x)\ndef f(x): return sorted(lambda: 1)",
    "def f(x):\n    try: x()\n    except TypeError as e: return len({e})",
    "def f(x): return len({ValueError(), TypeError()})",
    "def f(x): return list({float('nan'), 1})",
    "import re\ndef f(x): return len({re.match('a', 'a')})",
]


@pytest.mark.parametrize("program", COMPANY)
def test_programs_that_keep_company(program):
    assert violation(nodes(program)) is None
    assert may_share(nodes(program))


@pytest.mark.parametrize("program", ALONE)
def test_programs_that_need_a_process_of_their_own(program):
    assert not may_share(nodes(program))


def test_order_dependence_is_suspected_where_sets_are():
    for program in ("{1}", "{i for i in x}", "set(x)", "frozenset(x)", "hash(x)", "a.keys() & b.keys()"):
        assert depends_on_order(nodes(program))
    for program in ("x - 1", "x.keys()", "{1: 2}", "[1]"):
        assert not depends_on_order(nodes(program))
