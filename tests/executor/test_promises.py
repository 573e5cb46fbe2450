"""What a program cannot do. Each promise of docs/executor.md has its attack here, layer by layer where layers overlap.

Attacks on the walls run as the trusted part of a script, where no policy and no reduced builtins are in their way: by
default behind all walls and without the filter of system calls; the other layers' turn is among the slow tests.
"""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import pytest

from azr.executor import Executor, Job, Script, Verdict, namespace
from azr.executor.policy import IMPORTS

from .attacks import attack, linux, needs, outcome, still_works

SECCOMP, ROOT, LIMITS = "seccomp filter", "empty root directory", "resource limits"
REFUSALS = {"PermissionError", "FileNotFoundError", "ProcessLookupError", "BlockingIOError", "OSError", "RuntimeError"}
REFUSED = [
    "open('/etc/hostname').read()",
    f"if os.listdir({str(Path.cwd())!r}): raise SystemExit(1)",
    "open('x', 'w')",
    "os.mkdir('x')",
    "os.symlink('a', 'b')",
    "os.mkdir('/tmp')",
    "os.mkdir('d'); os.chroot('d')",
    "os.chroot('.')",
    "os.fork()",
    "import _thread; _thread.start_new_thread(print, ())",
    "os.posix_spawn('/x', ['x'], {})",
    "os.pipe()",
    "for i in range(100): os.dup(i)",
    f"os.kill({os.getpid()}, 0)",
    "os.kill(-1, 9)",
]
LIBC = "import ctypes; libc = ctypes.CDLL(None); "
FAILING = [
    *(LIBC + f"assert libc.socket({family}, 1, 0) == -1" for family in (1, 2, 10, 16, 17)),
    LIBC + f"assert libc.ptrace(16, os.getppid(), 0, 0) == libc.ptrace(16, {os.getpid()}, 0, 0) == -1",
    LIBC + "b = ctypes.create_string_buffer(8); v = (ctypes.c_size_t * 2)(ctypes.addressof(b), 8)\n"
    f"for pid in (os.getppid(), {os.getpid()}): assert libc.process_vm_readv(pid, v, 1, v, 1, 0) == -1",
    LIBC + "assert os.getuid() and libc.setuid(0) == -1",
    "assert not os.environ and os.getenv('AZR_SECRET') is None",
]
AS_ROOT = ("socket", "setuid", "chroot", "fork", "thread", "spawn", "ptrace", "readv")


@linux
@pytest.mark.parametrize(
    ("without", "but"),
    [
        ((), ()),
        ((SECCOMP,), ("libc.socket",)),
        pytest.param((LIMITS,), (), marks=pytest.mark.slow),
        pytest.param((SECCOMP, LIMITS), ("socket", "fork", "thread", "spawn", "pipe", "dup"), marks=pytest.mark.slow),
        pytest.param((SECCOMP, ROOT), ("socket", "chroot", "mkdir", "symlink"), marks=pytest.mark.slow),
        pytest.param((SECCOMP, "unprivileged user", "no capabilities"), AS_ROOT, marks=pytest.mark.slow),
        pytest.param(("namespaces",), (), marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_cannot_reach_anything(stripped, monkeypatch, without, but):
    """Files, directories, processes, threads, signals, descriptors, sockets, memory of others, privileges, environment.

    ``but``: what these layers do not hold by themselves.
    """
    needs(SECCOMP, ROOT, "namespaces", "no new privileges", "unprivileged user")
    monkeypatch.setenv("AZR_SECRET", "secret")
    executor = stripped(*without)
    for code in REFUSED:
        if not any(word in code for word in but):
            execution = attack(executor, f"import os\n{code}")
            assert execution.verdict is Verdict.EXCEPTION, code
            assert execution.detail in REFUSALS, code
    for code in FAILING:
        if not any(word in code for word in but):
            assert attack(executor, f"import os\n{code}").ok, code


@linux
@pytest.mark.slow
def test_cannot_leave_a_process_behind_even_where_it_can_fork(stripped):
    needs("namespaces", SECCOMP)
    unlimited = stripped(SECCOMP, LIMITS)
    code = "import os\nif os.fork() == 0:\n    os.setsid()\n    while True: pass"
    assert attack(unlimited, code).ok
    assert attack(unlimited, "import os\nos.kill(-1, 0)").detail == "ProcessLookupError"


@linux
def test_cannot_open_a_socket_that_reaches_anything(stripped):
    needs(SECCOMP, "namespaces")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = socket.htons(server.getsockname()[1])
        code = f"import struct\naddress = struct.pack('=HH4s8x', 2, {port}, bytes([127, 0, 0, 1]))\n"
        code += LIBC + "assert libc.connect(libc.socket(2, 1, 0), address, 16) == -1"
        for without in ((), (SECCOMP,)):
            assert attack(stripped(*without), code).ok


# -- time, memory, size --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "program",
    [
        "def f():\n    while True: pass",
        "def f():\n    while True:\n        try: f()\n        except: pass",
        "def f(): return pow(3, 10**9) % 7",
        "import re\ndef f(): return re.match('(a+)+$', 'a' * 60 + 'b')",
        "class A:\n    def __repr__(self):\n        while True: pass\ndef f(): return str(A())",
        "def f():\n    while True: print('x' * 10**6)",
    ],
)
def test_cannot_run_longer_than_its_cpu_limit(executor, program):
    assert executor.run(Job(program, "")).verdict is Verdict.TIMEOUT


@linux
@pytest.mark.slow
def test_cannot_wait_longer_than_its_wall_limit(stripped):
    executor = stripped(SECCOMP, "no capabilities", wall_seconds=1)
    assert outcome(attack(executor, "import time\ntime.sleep(1000)")) == (Verdict.TIMEOUT, "wall")
    silent = attack(executor, "import os, time\nos.closerange(0, 100)\ntime.sleep(1000)")
    assert silent.verdict is Verdict.KILLED  # as soon as it can say no more
    assert still_works(executor)


@linux
def test_cannot_wait_in_a_queue_for_ever():
    with Executor(workers=1, wall_seconds=1) as executor:
        waiting = Job("import queue\ndef f(): return queue.Queue().get()", "")
        assert outcome(executor.run(waiting)) == (Verdict.TIMEOUT, "wall")


@linux
@pytest.mark.parametrize(
    "program",
    [
        "def f(): return len('x' * 10**10)",
        "def f():\n    x = [1]\n    while True: x += x",
        "def f(): return len('%1000000000d' % 1)",
        "def f(): return f'{1:>{10**10}}'",
    ],
)
def test_cannot_exhaust_memory(executor, program):
    assert executor.run(Job(program, "")).verdict is Verdict.OUT_OF_MEMORY


@pytest.mark.parametrize(
    "program",
    [
        "def f(): return 'x' * 10**7",
        "def f(): return 10**5000",
        "def f():\n    x = []\n    for i in range(60): x = [x, x]\n    return x",
        "def f(): return set(range(10**5))",
    ],
)
def test_cannot_return_gigabytes(executor, program):
    assert executor.run(Job(program, "")).verdict is Verdict.OUTPUT_TOO_LARGE


def test_cannot_print_gigabytes(executor):
    assert executor.run(Job("def f():\n    for i in range(10**4): print('x' * 1000)\n    return 1", "")).output == "1"


# -- the pool ------------------------------------------------------------------------------------------------------


@linux
@pytest.mark.parametrize(
    ("code", "verdict"),
    [
        ("import os\nos._exit(1)", Verdict.KILLED),
        ("import ctypes\nctypes.string_at(0)", Verdict.KILLED),
        ("import os\nos.closerange(0, 1000)", Verdict.KILLED),
        ("import os\nos.write(4, b'x' * 10**5)\nos._exit(0)", Verdict.KILLED),
        ("import os\nos.kill(os.getpid(), 9)", Verdict.EXCEPTION),  # the filter knows no kill
        ("import sys\nsys.setrecursionlimit(10**9)\ndef g(): g()\ng()", None),
        ("import sys\nsys.setrecursionlimit(10**9)\nx = []\nfor i in range(10**6): x = [x]\nrepr(x)", None),
    ],
)
def test_cannot_crash_the_pool(executor, code, verdict):
    execution = attack(executor, code)
    assert execution.verdict is verdict or (verdict is None and not execution.ok)
    assert still_works(executor)


@pytest.mark.parametrize(
    "program",
    [
        "(" * 50_000,
        "[" * 150 + "]" * 150,
        "-" * 150_000 + "1",
        "x = " + "1+" * 60_000 + "1",
        "def f():\n" + "".join(" " * i + "if 1:\n" for i in range(1, 150)),
        "x = '" + "\\N{BULLET}" * 10_000 + "'",
        "\0",
        "\ud800",
        "# coding: rot13\ndef f(): return 1",
        "f'{" * 500,
        "x" * 300_000,
    ],
    ids=range(11),
)
def test_cannot_crash_anything_at_parse_time(executor, program):
    execution = executor.run(Job(program, ""))
    assert execution.verdict in (Verdict.SYNTAX_ERROR, Verdict.REJECTED, Verdict.EXCEPTION, Verdict.KILLED, Verdict.OK)
    assert still_works(executor)


# -- the checker ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["__eq__", "__hash__", "__repr__", "__str__", "__len__", "__iter__", "__bool__"])
@pytest.mark.parametrize("base", ["", "(int)", "(str)", "(list)", "(dict)", "(tuple)"])
def test_lying_objects_are_no_literals(executor, method, base):
    program = f"class A{base}:\n    def {method}(self, *other): return 1\ndef f(): return "
    executions = executor.run_many([Job(program + value, "") for value in ("A()", "[1, (2, [A()])]")])
    assert list(map(outcome, executions)) == [(Verdict.NOT_A_LITERAL, "A")] * 2


@pytest.mark.parametrize("answer", ["1), (2", "1) or (1", "*[1]", "x=1", "**{}", "f", "(lambda: 1)()", "1 #", "1;2"])
def test_answers_are_data_never_code(executor, answer):
    assert executor.run(Job("def f(*x, **y): return 1", answer)).verdict is Verdict.BAD_INPUT


@pytest.mark.parametrize(
    ("program", "rule"),
    [
        ("def f(): return f.__globals__", "attribute __globals__"),
        ("def f(): return ().__class__.__base__.__subclasses__()", "attribute __subclasses__"),
        ("def f():\n    g = (g.gi_frame for _ in [1])\n    return 1", "attribute gi_frame"),
        ("def f():\n    try: 1/0\n    except Exception as e: return e.__traceback__", "attribute __traceback__"),
        ("import gc\ndef f(): return gc.get_objects()", "import gc"),
        ("from os import path", "import os"),
        ("from . import x", "import ."),
        ("def f(): return __builtins__", "name __builtins__"),
        ("def f(): return eval('1')", "name eval"),
        ("def f(): return open('x')", "name open"),
        ("def f(): return __import__('os')", "name __import__"),
        ("def f(): return globals()", "name globals"),
        ("def f(x):\n    match x:\n        case object(__class__=y): return y", "attribute __class__"),
        ("class A:\n    __match_args__ = ('__class__',)", "name __match_args__"),
        ("class A:\n    def __del__(self): pass", "name __del__"),
        ("class A(metaclass=type): pass", "class keyword"),
        ("async def f(): pass", "async"),
        ("from functools import reduce as __x__", "name __x__"),
        ("def f():\n    global __builtins__\n    __builtins__ = {}", "name __builtins__"),
    ],
)
def test_policy_rejects(executor, program, rule):
    assert outcome(executor.run(Job(program, ""))) == (Verdict.REJECTED, rule)


@pytest.mark.parametrize(
    ("program", "error"),
    [
        ("def f(x): return getattr(x, '__cl' + 'ass__')", "AttributeError"),
        ("def f(x): return getattr((i for i in [1]), 'gi_' + 'frame')", "AttributeError"),
        ("def f(x): return setattr(f, '__co' + 'de__', 1)", "AttributeError"),
        ("class S(str): pass\ndef f(x): return getattr(x, S('__class__'))", "TypeError"),
        ("def f(x): return type('A', (), {'__match_args__': ()})", "TypeError"),
        ("def f(x): return type(int)('A', (), {})", "TypeError"),
        ("from operator import attrgetter\ndef f(x): return 1", "ImportError"),
        ("from string import Formatter\ndef f(x): return 1", "ImportError"),
        ("import statistics\ndef f(x): return statistics.sys", "AttributeError"),
        ("import collections\ndef f(x): return collections._sys", "AttributeError"),
    ],
)
def test_reduced_builtins_and_modules_refuse(executor, program, error):
    assert outcome(executor.run(Job(program, "1"))) == (Verdict.EXCEPTION, error)


def test_no_allowed_module_leads_to_another_module():
    namespace.load_modules(IMPORTS)
    for name in IMPORTS - {"collections.abc"}:
        module = namespace._import(name)
        assert module is not sys.modules[name]
        assert not [key for key, value in vars(module).items() if isinstance(value, type(sys)) and key != "abc"]
    assert namespace._import("collections").abc is not sys.modules["collections.abc"]


def test_cannot_answer_for_another(executor):
    lines = b'["ok", "99", false]\nalone\n' * 9
    hostile = Script("", tests=f"import os\nos.write(4, {lines!r})")
    jobs = [hostile if i % 5 == 0 else Job("def f(x): return -x", str(i)) for i in range(60)]
    executions = executor.run_many(jobs)
    assert [e.output for i, e in enumerate(executions) if i % 5] == [str(-i) for i in range(60) if i % 5]


@linux
def test_programs_that_fail_in_company_cost_the_others_nothing(executor):
    loop, deep = "def f(x):\n    while True: x += 1", "def f(x): return f(x + 1)"
    large, special = "def f(x): return len('x' * 10**10)", "class A: pass\ndef f(x): return x"
    programs = ["def f(x): return -x", loop, special, deep, large] * 2
    executions = executor.run_many([Job(program, str(i)) for i, program in enumerate(programs)])
    expected = [(Verdict.TIMEOUT, "cpu"), None, (Verdict.EXCEPTION, "RecursionError"), (Verdict.OUT_OF_MEMORY, "")]
    for i, execution in enumerate(executions):
        values = {0: (Verdict.OK, str(-i)), 2: (Verdict.OK, str(i))}
        assert outcome(execution) == (values.get(i % 5) or expected[i % 5 - 1])


# -- the next task -------------------------------------------------------------------------------------------------

LEAVERS = [
    "def f(x, seen=[]):\n    seen.append(x)\n    return seen",
    "seen = []\ndef f(x):\n    seen.append(x)\n    return seen",
    "def f(x):\n    global len, count\n    len = lambda y: 42\n    count = len(x)\n    return count",
    "import math\ndef f(x):\n    math.pi = 3\n    return math.pi",
    "import math\nmath.floor = abs\ndef f(x): return math.floor(-1)",
    "import collections\ncollections.Counter.total = lambda self: 99\ndef f(x): return 1",
    "from collections import Counter\nCounter.total = lambda self: 99\ndef f(x): return 1",
    "import re\nre.findall = None\ndef f(x): return 1",
    "import sys\nsys.setrecursionlimit(60)\ndef f(x): return 1",
    "import decimal\ndecimal.getcontext().prec = 2\ndef f(x): return 1",
    "from string import digits\ndigits += 'x'\ndef f(x): return digits",
    "class A:\n    seen = []\ndef f(x):\n    A.seen.append(1)\n    return A.seen",
    "def f(x):\n    f.seen = getattr(f, 'seen', 0) + 1\n    return f.seen",
    "def g():\n    try: yield 1\n    finally: print('late')\nheld = g()\nnext(held)\ndef f(x): return 1",
]
FINDERS = [
    ("def f(x): return len(x)", "2"),
    ("import math\ndef f(x): return math.pi > 3.1", "True"),
    ("import math\ndef f(x): return math.floor(-1.5)", "-2"),
    ("from collections import Counter\ndef f(x): return Counter(x).total()", "2"),
    ("import re\ndef f(x): return re.findall('a', 'aa')", "['a', 'a']"),
    ("def f(x, n=500): return n and f(x, n - 1)", "0"),
    ("import decimal\ndef f(x): return str(decimal.Decimal(1) / 3)", "'0.3333333333333333333333333333'"),
    ("from string import digits\ndef f(x): return digits", "'0123456789'"),
    ("def f(x, seen=[]): return seen", "[]"),
    ("def f(x): return count", "NameError"),
    ("def f(x): return seen", "NameError"),
]


def test_tells_nothing_to_the_next_task(executor):
    first = executor.run_many([Job(program, "[1, 2]") for program in LEAVERS])
    jobs, expected = [], []
    for leaver, execution in zip(LEAVERS, first, strict=True):
        for finder, result in FINDERS:
            # A comment makes each a program of its own, so that none is answered from memory.
            jobs += [Job(f"{leaver}\n# {len(jobs)}", "[1, 2]"), Job(f"{finder}\n# {len(jobs)}", "[1, 2]")]
            expected += [outcome(execution)[1], result]
    assert [outcome(execution)[1] for execution in executor.run_many(jobs)] == expected
