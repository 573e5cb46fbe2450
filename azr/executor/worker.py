"""The worker: a small process behind walls that forks children to run programs and reports what became of each.

Started by ``pool``; reads batches from descriptor 0 and writes results to 1 (see ``jobs``). It never runs or parses
a program itself. One child runs all programs of a batch that may keep company; each of the others, and each that does
not get through there, gets a child of its own. Nothing that a program does in a child is undone: the process is thrown
away. Left out: limits and walls, see ``sandbox``; the comparison of runs, which is the pool's.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import functools
import gc
import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from types import CodeType
from typing import Any, NamedTuple, NoReturn

from azr.executor import company, literals, namespace, policy, sandbox
from azr.executor.jobs import ALONE, Message, Result, Verdict, line, read_lines

COMPANY_SECONDS = 0.1
"""CPU time that a program may take in company; whoever needs more gets a process and the whole limit."""

Outcome = tuple[Verdict, str]
"""A verdict with the literal or the detail."""


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
    """One result a message. Where a child dies, what it was at must run alone, and another child goes on."""
    results = [Result(ALONE)] * len(messages)
    rest = [i for i, message in enumerate(messages) if message.company is not False]
    while rest:
        found, _ = fork([messages[i] for i in rest], False, config, lock)
        for i, result in zip(rest, found, strict=False):
            results[i] = result
        rest = rest[len(found) + 1 :]
    for i, message in enumerate(messages):
        if results[i].verdict == ALONE:
            found, status = fork([message], True, config, lock)
            results[i] = found[0] if found else fate(status)
    return results


def fork(
    messages: list[Message], alone: bool, config: dict[str, Any], lock: Callable[[], bool]
) -> tuple[list[Result], int | None]:
    """Run ``messages`` in one child: the results that came back, in order, and its wait status (None: too slow)."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            run_all(messages, alone, config, lock, writing)
        finally:
            os._exit(70)
    os.close(writing)
    deadline = time.monotonic() + config["wall_seconds"] * len(messages)
    poll = select.poll()
    poll.register(reading, select.POLLIN)
    poll.register(0, 0)  # to hear that the pool is gone
    results: list[Result] = []
    data = b""
    with contextlib.suppress(ValueError):  # of what is no result
        while len(results) < len(messages):
            ready = dict(poll.poll(max(0.0, deadline - time.monotonic()) * 1000))
            if ready.get(0, 0) & (select.POLLERR | select.POLLHUP):
                os.kill(pid, signal.SIGKILL)
                os._exit(0)
            chunk = os.read(reading, 1 << 16) if ready else b""
            if not chunk:
                break
            found, data = read_lines(data + chunk, not alone, 12 * config["max_output_chars"] + 400)
            results += found
    late = time.monotonic() >= deadline
    os.close(reading)
    os.kill(pid, signal.SIGKILL)  # which changes nothing for one that has come to its end
    status = os.waitpid(pid, 0)[1]
    if os.getpid() == 1:  # of its own PID namespace: nobody else is in it, or should be
        with contextlib.suppress(OSError):
            os.kill(-1, signal.SIGKILL)
            while os.waitpid(-1, 0):
                pass
    return results[: len(messages)], None if late else status


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
    """A program that may run."""

    code: CodeType
    company: bool
    order: bool


def run_all(
    messages: list[Message], alone: bool, config: dict[str, Any], lock: Callable[[], bool], writing: int
) -> NoReturn:
    """Run programs in turn and write a result for each; in company, programs that may not share are sent back."""
    os.closerange(0, writing)
    limit = config["cpu_seconds"] if alone else min(COMPANY_SECONDS, config["cpu_seconds"])
    signal.setitimer(signal.ITIMER_PROF, limit)  # its signal ends the process, also inside of C code
    lock()
    gc.enable()
    namespace.connect()
    for message in messages:
        signal.setitimer(signal.ITIMER_PROF, limit)
        os.write(writing, line(_answer(message, alone, config)))
    os._exit(0)


def _answer(message: Message, alone: bool, config: dict[str, Any]) -> Result:
    program = load(message.program, message.input is None, message.company, frozenset(config["imports"]))
    if not isinstance(program, Program):
        return Result(*program)
    if not alone and not program.company:
        return Result(ALONE)
    verdict, text = run(program.code, message, config)
    if not alone and (verdict is Verdict.OUT_OF_MEMORY or text == "RecursionError"):
        os._exit(1)  # it may be the fault of those before it, and this process has seen enough
    return Result(verdict, text, program.order)


@functools.cache
def load(text: str, script: bool, known: bool | None, imports: frozenset[str]) -> Program | Outcome:
    """Compile a program if the policy allows it; one that is ``known`` to keep company has been looked at before."""
    try:
        if known:
            return Program(compile(text, "<program>", "exec", dont_inherit=True), True, False)
        tree = ast.parse(text)
        nodes = policy.nodes_of(tree)
        rule = policy.violation(nodes, imports, script)
        if rule:
            return Verdict.REJECTED, rule
        code = compile(tree, "<program>", "exec", dont_inherit=True)
        return Program(code, not script and company.may_share(nodes), company.depends_on_order(nodes))
    except (SyntaxError, ValueError, MemoryError, RecursionError, OverflowError) as error:
        return Verdict.SYNTAX_ERROR, type(error).__name__


def run(code: CodeType, message: Message, config: dict[str, Any]) -> Outcome:
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
