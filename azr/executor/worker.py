"""The worker: a small process behind walls that forks children to run programs and reports what became of each.

Started by ``pool``; reads batches from descriptor 0 and writes results to 1 (see ``jobs``). It never runs or parses
a program itself. A child runs one program and then as many others as may keep it company; whoever may not, or does not
get through there, is the first of another child. Nothing that a program does in a child is undone: the process is
thrown away. Left out: limits and walls, see ``sandbox``; the comparison of runs, which is the pool's.
"""

import ast
import builtins
import contextlib
import functools
import gc
import json
import math
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from types import CodeType
from typing import Any, NamedTuple, NoReturn

from azr.executor import company, literals, namespace, policy, sandbox
from azr.executor.jobs import ALONE, Message, Result, Verdict, line, read_result

COMPANY_SECONDS = 0.1
"""CPU time that a program may take in company; whoever needs more becomes the first of a process."""
MAX_PROGRAM_CHARS = 200_000


def main() -> None:
    """Serve until descriptor 0 is closed. The configuration is JSON in the first argument."""
    config = json.loads(sys.argv[1])
    os.register_at_fork = lambda **hooks: None  # what modules do after a fork would have each child copy 90 pages
    namespace.load_modules(config["imports"])
    warm_up()
    lock = sandbox.make_lock(config["memory_mb"], config["cpu_seconds"])
    report = sandbox.enter(lock)
    os.environ.clear()
    gc.disable()
    gc.freeze()  # nothing here is garbage, and a collector that looks at it would make children copy every page
    with contextlib.suppress(OSError):
        for text in sys.stdin.buffer:
            messages = [Message(*message) for message in json.loads(text)]
            sys.stdout.buffer.write(line([report, run_batch(messages, config, lock)]))
            sys.stdout.flush()
    os._exit(0)


def warm_up() -> None:
    """Use once what initialises itself on first use, and leave no way to files, which will be gone."""
    exec("'\\N{BULLET}'")
    nodes = policy.nodes_of(ast.parse("def f(x):\n    return [str(i * 2) for i in range(x) if i % 3]"))
    policy.violation(nodes)
    company.may_share(nodes)
    literals.parse_arguments("1, 'a', [2.5]")
    literals.literal_text([1, "a", (2.5, {None})], 100)
    sys.meta_path[:] = [finder for finder in sys.meta_path if finder.__name__ != "PathFinder"]
    gc.collect()


def run_batch(messages: list[Message], config: dict[str, Any], lock: Callable[[], bool]) -> list[Result]:
    """One result a message. A child does as many as it can; the next goes on from there, and with those put off."""
    results: dict[int, Result] = {}
    waiting = list(range(len(messages)))
    while waiting:
        found, status = fork([messages[i] for i in waiting], config, lock)
        tried, waiting = waiting[: max(1, len(found))], waiting[max(1, len(found)) :]
        results |= {i: result for i, result in zip(tried, found or [fate(status)], strict=True) if result}
        waiting += [i for i in tried if i not in results]
    return [results[i] for i in range(len(messages))]


def fork(
    messages: list[Message], config: dict[str, Any], lock: Callable[[], bool]
) -> tuple[list[Result | None], int | None]:
    """Run ``messages`` in one child: the results that came back, in order, None for what was put off; and its wait
    status (None: too slow)."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            run_all(messages, config, lock, writing)
        finally:
            os._exit(70)
    os.close(writing)
    poll = select.poll()
    poll.register(reading, select.POLLIN)
    poll.register(0, 0)  # to hear that the pool is gone
    deadline = time.monotonic() + config["wall_seconds"]
    results: list[Result | None] = []
    data = b""
    most, company = len(messages), True
    with contextlib.suppress(ValueError):  # of what is no result
        while len(results) < most:
            ready = dict(poll.poll(max(0.0, deadline - time.monotonic()) * 1000))
            if ready.get(0, 0) & (select.POLLERR | select.POLLHUP):
                os.kill(pid, signal.SIGKILL)
                os._exit(0)
            chunk = os.read(reading, 1 << 16) if ready else b""
            *lines, data = (data + chunk).split(b"\n")
            if not chunk or max(map(len, [*lines, data])) > 12 * config["max_output_chars"] + 400:
                break
            for text in lines:
                if text == ALONE and results and company:
                    results.append(None)
                elif text == ALONE:
                    most, company = 1, False
                elif len(results) < most:
                    results.append(read_result(text, company))
                    deadline = time.monotonic() + config["wall_seconds"]
    late = time.monotonic() >= deadline
    os.close(reading)
    os.kill(pid, signal.SIGKILL)  # which changes nothing for one that has come to its end
    status = os.waitpid(pid, 0)[1]
    if os.getpid() == 1:  # of its own PID namespace: nobody else is in it, or should be
        with contextlib.suppress(OSError):
            os.kill(-1, signal.SIGKILL)
            while os.waitpid(-1, 0):
                pass
    return results, None if late else status


def fate(status: int | None) -> Result:
    """What a child that reported nothing died of."""
    verdict, detail = Verdict.TIMEOUT, "wall"
    if status is not None:
        code = os.waitstatus_to_exitcode(status)
        if -code in (signal.SIGPROF, signal.SIGXCPU):
            detail = "cpu"
        else:
            verdict, detail = Verdict.KILLED, f"exit status {code}" if code >= 0 else signal.strsignal(-code) or ""
    return Result(verdict, detail, company=False)


class Program(NamedTuple):
    code: CodeType
    company: bool
    order: bool


def run_all(messages: list[Message], config: dict[str, Any], lock: Callable[[], bool], writing: int) -> NoReturn:
    """Run programs in turn and write a result for each.

    The first has the whole limits and finds nothing that another left, so its result stands; a later one that may not
    share the process, or fails as it may for the others' sake, is left to be the first of another.
    """
    os.closerange(0, writing)
    lock()
    gc.enable()
    namespace.connect()
    for message in messages:
        first = message is messages[0]
        # The timer's signal ends the process, also inside of C code.
        signal.setitimer(signal.ITIMER_PROF, min(config["cpu_seconds"], math.inf if first else COMPANY_SECONDS))
        program = load(message.program, message.input is None, message.known, frozenset(config["imports"]))
        result, last = program, False
        if isinstance(program, Program):
            if not program.company:
                os.write(writing, ALONE + b"\n")
                if not first:
                    continue
            verdict, text = run(program.code, message, config)
            result = Result(verdict, text, program.order)
            last = not program.company or verdict is Verdict.OUT_OF_MEMORY or text == "RecursionError"
        if first or not last:
            os.write(writing, line(result))
        if last:
            break
    os._exit(0)


@functools.cache
def load(text: str, script: bool, known: bool, imports: frozenset[str]) -> Program | Result:
    """Compile a program if the policy allows it; for ``known``, see ``Message``."""
    if len(text) > MAX_PROGRAM_CHARS:
        return Result(Verdict.REJECTED, "program too long")
    try:
        if known:
            return Program(compile(text, "<program>", "exec", dont_inherit=True), True, False)
        tree = ast.parse(text)
        nodes = policy.nodes_of(tree)
        rule = policy.violation(nodes, imports, script)
        if rule:
            return Result(Verdict.REJECTED, rule)
        code = compile(tree, "<program>", "exec", dont_inherit=True)
        return Program(code, not script and company.may_share(nodes), company.depends_on_order(nodes))
    except (SyntaxError, ValueError, MemoryError, RecursionError, OverflowError) as error:
        return Result(Verdict.SYNTAX_ERROR, type(error).__name__)


def run(code: CodeType, message: Message, config: dict[str, Any]) -> tuple[Verdict, str]:
    """Run a program, then call its function on the literal arguments, or run the trusted tests in its namespace."""
    try:
        arguments = literals.parse_arguments(message.input or "")
    except ValueError:
        return Verdict.BAD_INPUT, ""
    space = namespace.fresh_globals()
    try:
        if message.input is None:
            namespace.allow_eval(frozenset(config["imports"]))
            exec(code, space)
            space["__builtins__"] = vars(builtins)  # the program's own functions keep those they were made with
            exec(compile(message.tests, "<tests>", "exec", dont_inherit=True), space)
            return Verdict.OK, ""
        exec(code, space)
        if "f" not in space:
            return Verdict.REJECTED, "no function f"
        return Verdict.OK, literals.literal_text(space["f"](*arguments), config["max_output_chars"])
    except literals.TooLargeError:
        return Verdict.OUTPUT_TOO_LARGE, ""
    except literals.NotALiteralError as error:
        return Verdict.NOT_A_LITERAL, str(error)
    except MemoryError:
        return Verdict.OUT_OF_MEMORY, ""
    except BaseException as error:
        return Verdict.EXCEPTION, type.__dict__["__name__"].__get__(type(error))[:80]
