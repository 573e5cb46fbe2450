"""The pool: order, repetition, agreement with plain Python, and what is left behind when things end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from azr.executor import Executor, Job, Script, Verdict
from azr.executor.jobs import read_result

from .attacks import layers, linux, outcome, still_works
from .conftest import WITHOUT

# -- agreement with plain Python -----------------------------------------------------------------------------------

atoms = st.sampled_from(["x", "y", "n", "1", "2", "-3", "[1, 2]", "'ab'", "True", "None"])
expressions = st.recursive(
    atoms,
    lambda e: (
        st.builds("({} {} {})".format, e, st.sampled_from(["+", "-", "*", "//", "%", "==", "<", "and", "or", "in"]), e)
        | st.builds("[{}, {}]".format, e, e)
        | st.builds("{}({})".format, st.sampled_from(["str", "len", "abs", "sorted", "list", "set", "sum", "bool"]), e)
        | st.builds("[v for v in {} if v != {}]".format, e, e)
        | st.builds("{}[{}]".format, e, e)
        | st.builds("({} if {} else {})".format, e, e, e)
    ),
    max_leaves=8,
)
statements = st.lists(
    st.builds("{} = {}".format, st.sampled_from("xyn"), expressions)
    | st.builds("for n in {}: x = {}".format, expressions, expressions)
    | st.builds("if {}: y = {}".format, expressions, expressions),
    max_size=3,
)
programs = st.builds(
    lambda body, result: "\n    ".join(["def f(x, y=2):", "n = 0", *body, f"return {result}"]), statements, expressions
)


def plain_python(program: str, argument: object) -> str:
    """What Python itself makes of it; only for programs of the grammar above, which do no harm."""
    space: dict = {}
    try:
        exec(program, space)
        return repr(space["f"](argument))
    except Exception as error:
        return type(error).__name__


@pytest.mark.filterwarnings("ignore::SyntaxWarning")
@settings(max_examples=10)
@given(st.lists(st.tuples(programs, st.sampled_from([3, -2, "abc", [3, 1, 2], []])), min_size=1, max_size=20))
def test_any_generated_program_gives_what_plain_python_gives(executor, cases):
    executions = executor.run_many([Job(program, repr(argument)) for program, argument in cases])
    for (program, argument), execution in zip(cases, executions, strict=True):
        expected = plain_python(program, argument)
        if execution.verdict in (Verdict.OK, Verdict.EXCEPTION) and "set" not in program:
            assert outcome(execution)[1] == expected
        else:  # sets have an order of their own; long strings are refused
            found = (Verdict.OK, Verdict.EXCEPTION, Verdict.NON_DETERMINISTIC, Verdict.OUTPUT_TOO_LARGE)
            assert execution.verdict in found


def test_results_come_in_order_and_equal_jobs_run_once(executor):
    jobs = [Job(f"def f(x): return x * {i % 50}", "2") for i in range(500)]
    executions = executor.run_many(jobs)
    assert [e.output for e in executions] == [str(2 * (i % 50)) for i in range(500)]
    assert len({id(e) for e in executions}) == 50
    assert executor.run_many([]) == []


def test_sets_are_run_under_four_seeds(executor):
    # Of two elements two seeds give the same order half of the time; over ten pairs, four seeds hardly ever do.
    jobs = [Job("def f(a, b): return list({a, b})", repr(("k" * i, "v" * i))[1:-1]) for i in range(1, 11)]
    found = [e.verdict for e in executor.run_many(jobs)]
    assert found.count(Verdict.NON_DETERMINISTIC) >= 6
    assert all(e.ok for e in executor.run_many([Job("def f(x): return len(set(x)), {'b', 'a'}", "'aab'")]))


def test_order_and_addresses_are_non_deterministic(executor):
    order = Job("def f(x): return list(set(x))", "['a', 'bb', 'ccc', 'd', 'e', 'f']", runs=1)
    assert executor.run(order).ok
    address, hashed = Job("def f(): return str(lambda: 1)", ""), Job("def f(): return hash('a')", "")
    executions = executor.run_many([Job(order.program, order.input), address, hashed])
    assert {e.verdict for e in executions} == {Verdict.NON_DETERMINISTIC}


def test_other_modules():
    with Executor(workers=1, wall_seconds=120, policy={"random"}) as executor:
        assert executor.run(Job("import random\ndef f(): return random.Random(1).randint(1, 6)", "")).ok
        assert outcome(executor.run(Job("import math\ndef f(): return 1", ""))) == (Verdict.REJECTED, "import math")


@pytest.mark.parametrize("limits", [{"workers": 0}, {"cpu_seconds": 0}, {"memory_mb": -1}, {"max_output_chars": 10**6}])
def test_bad_limits_are_refused(limits):
    with pytest.raises(ValueError, match="must be"):
        Executor(**limits)


# -- what a child says ---------------------------------------------------------------------------------------------


@given(st.binary(max_size=200))
def test_what_a_hostile_child_writes_is_refused_or_a_result(data):
    try:
        result = read_result(data, company=False)
    except ValueError:
        return
    assert result.verdict in set(Verdict)
    assert not result.company


@pytest.mark.parametrize(
    "data", [b"", b"[1]", b"{}", b"alone", b'["alone", "", false]', b'["ok", 1, false]', b"[" * 99_999, b"1"]
)
def test_what_is_no_result_is_refused(data):
    with pytest.raises(ValueError):  # noqa: PT011
        read_result(data, company=False)


# -- layers --------------------------------------------------------------------------------------------------------


def test_layers_are_named_with_a_reason_where_they_do_not_hold():
    assert {"namespaces", "seccomp filter", "empty root directory", "resource limits", "policy"} <= layers().keys()
    assert all(isinstance(reason, str) and reason for reason in layers().values())


@linux
@pytest.mark.slow
def test_without_any_layer_programs_still_run_and_a_worker_that_dies_is_replaced(stripped):
    bare = stripped(*WITHOUT)
    assert still_works(bare)
    assert "holds" not in [bare.layers()[name] for name in ("namespaces", "seccomp filter")]
    for _ in range(2):
        bare._crew[0].process.kill()
        assert still_works(bare)


# -- ends ----------------------------------------------------------------------------------------------------------


def descendants(marker: str) -> list[int]:
    """Processes whose command line contains ``marker``."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if marker.encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            pass
    return found


def gone(marker: str, seconds: float = 60) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not descendants(marker):
            return True
        time.sleep(0.05)
    return False


def start(marker: str, body: str) -> subprocess.Popen:
    """A Python process that prints a line once its executor is busy; ``marker`` is in its workers' command lines."""
    code = f"""
    import signal, threading
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a suite that runs in the background ignores it
    from azr.executor import Executor, Job
    executor = Executor(workers=2, cpu_seconds=1000, wall_seconds={marker})
    executor.run(Job("def f(): return 1", ""))
    threading.Timer(0.3, print, ["busy"], dict(flush=True)).start()
    {body}
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout.readline() == b"busy\n"
    return process


LOOP = 'executor.run_many([Job("class A: pass\\ndef f(x):\\n  while True: pass", str(i)) for i in range(4)])'


@linux
@pytest.mark.parametrize(("number", "marker"), [(signal.SIGINT, "98765.25"), (signal.SIGKILL, "98765.5")])
def test_nothing_is_left_when_interrupted_or_killed(number, marker):
    process = start(marker, LOOP)
    assert len(descendants(marker)) > 4
    os.kill(process.pid, number)
    error = process.communicate(timeout=60)[1]
    assert gone(marker)
    assert number == signal.SIGKILL or b"KeyboardInterrupt" in error


@linux
def test_nothing_is_left_when_never_closed():
    process = start("98765.75", "")
    assert process.communicate(timeout=60) == (b"", b"")
    assert gone("98765.75")


@linux
def test_descriptors_do_not_leak():
    def count() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = count()
    for _ in range(2):
        with Executor(workers=1, wall_seconds=120) as executor:
            executor.run_many([Job("def f(x): return set(x)", "[1]"), Script("print(1)")])
    assert count() == before


def test_a_worker_that_dies_is_replaced():
    with Executor(workers=1, wall_seconds=120) as executor:
        assert still_works(executor)
        for member in list(executor._crew):
            member.process.kill()
            member.process.wait()
        jobs = [Job(f"def f(x): return x + {i}", "1") for i in range(10)]
        assert [e.output for e in executor.run_many(jobs)] == [str(1 + i) for i in range(10)]


def test_a_closed_executor_says_so():
    executor = Executor(workers=1)
    executor.close()
    executor.close()
    with pytest.raises(RuntimeError, match="closed"):
        executor.run(Job("def f(): return 1", ""))


@pytest.mark.filterwarnings("ignore:This process")
def test_a_forked_copy_cannot_use_the_executor(executor):
    pid = os.fork()
    if pid == 0:
        try:
            executor.run(Job("def f(): return 1", ""))
        except RuntimeError:
            os._exit(7)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    assert still_works(executor)
