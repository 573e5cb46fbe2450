"""The forked process that runs programs: one of any kind, or many in company after one another.

Nothing that a program does here is undone afterwards: the process is thrown away. Left out: limits and walls, see
``sandbox``; the wall clock, which the worker watches from outside.
"""

from __future__ import annotations

import ast
import builtins
import functools
import gc
import os
import signal
import time
from types import CodeType
from typing import NamedTuple, NoReturn

from azr.executor import company, literals, namespace, policy
from azr.executor.jobs import Verdict
from azr.executor.messages import ALONE, VERDICTS, Message, Result, pack
from azr.executor.sandbox import Lock

COMPANY_SECONDS = 0.1
"""CPU time that a program may take in company; whoever needs more gets a process and the whole limit."""
_STARVED = Result(ALONE, "starved")
"""Lack of memory or stack may be the fault of those before it, and this process has seen enough."""

Outcome = tuple[Verdict, str]
"""A verdict with the literal, the printed text or the detail."""


class Settings(NamedTuple):
    """What a child must know."""

    cpu_seconds: float
    max_chars: int
    imports: frozenset[str]


class Program(NamedTuple):
    """A program that may run."""

    code: CodeType
    company: bool
    order: bool


def run(messages: list[Message], alone: bool, settings: Settings, lock: Lock, writing: int) -> NoReturn:
    """Run programs in turn and write a result for each; in company, programs that may not share are sent back."""
    os.closerange(0, writing)
    limit = settings.cpu_seconds if alone else min(COMPANY_SECONDS, settings.cpu_seconds)
    signal.setitimer(signal.ITIMER_PROF, limit)  # its signal ends the process, also inside of C code
    lock()
    gc.enable()
    namespace.connect()
    for message in messages:
        signal.setitimer(signal.ITIMER_PROF, limit)
        start = time.perf_counter()
        result = _answer(message, alone, settings)
        data = pack(result._replace(seconds=time.perf_counter() - start))
        while data:
            data = data[os.write(writing, data) :]
        if result == _STARVED:
            break
    os._exit(0)


def _answer(message: Message, alone: bool, settings: Settings) -> Result:
    program = load(message.program, message.entry is None, message.company, settings.imports)
    if not isinstance(program, Program):
        verdict, text = program
        return Result(VERDICTS.index(verdict), text)
    if not alone and not program.company:
        return Result(ALONE)
    verdict, text = (call if message.entry is not None else run_script)(program.code, message, settings)
    if not alone and (verdict is Verdict.OUT_OF_MEMORY or text == "RecursionError"):
        return _STARVED
    return Result(VERDICTS.index(verdict), text, program.order)


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


def call(code: CodeType, message: Message, settings: Settings) -> Outcome:
    """Run a program and call its function on the literal arguments."""
    try:
        arguments = literals.parse_arguments(message.input)
    except ValueError:
        return Verdict.BAD_INPUT, ""
    space = namespace.fresh_globals()
    try:
        exec(code, space)
        if message.entry not in space:
            return Verdict.REJECTED, f"no function {message.entry}"
        return Verdict.OK, literals.literal_text(space[message.entry](*arguments), settings.max_chars)
    except literals.TooLargeError:
        return Verdict.OUTPUT_TOO_LARGE, ""
    except literals.NotALiteralError as error:
        return Verdict.NOT_A_LITERAL, str(error)
    except BaseException as error:
        return _raised(error)


def run_script(code: CodeType, message: Message, settings: Settings) -> Outcome:
    """Run a program from top to bottom, then the trusted tests in its namespace.

    Without tests it is the main program, and what it prints is its result. With tests it is a module under test: what
    it does under ``if __name__ == "__main__"`` does not run, and what it prints decides nothing.
    """
    printed = namespace.connect(message.stdin, settings.max_chars, strict=not message.tests)
    namespace.allow_eval(settings.imports)
    space = namespace.fresh_globals("program" if message.tests else "__main__")
    try:
        exec(code, space)
        if message.tests:
            # Tests are trusted; the program's own functions keep the builtins that they were made with.
            space["__builtins__"] = vars(builtins)
            exec(compile(message.tests, "<tests>", "exec", dont_inherit=True), space)
    except SystemExit as error:
        if error.code not in (None, 0) or message.tests:
            return Verdict.EXCEPTION, "SystemExit"
    except namespace.TooMuchPrintedError:
        return Verdict.OUTPUT_TOO_LARGE, ""
    except BaseException as error:
        return _raised(error)
    return Verdict.OK, printed.getvalue()


def _raised(error: BaseException) -> Outcome:
    kind = type(error)
    if issubclass(kind, MemoryError):
        return Verdict.OUT_OF_MEMORY, ""
    return Verdict.EXCEPTION, type.__dict__["__name__"].__get__(kind)[:80]
