"""What goes into the executor and what comes out, and what its processes say to one another.

    Job("def f(x): return x + 1", "41")  ->  Execution(Verdict.OK, "42")

Plain data; nothing here runs a program. Processes talk in lines of JSON, which harm nobody who reads them: the pool
sends a worker a list of ``Message`` and gets the layers of its sandbox and a list of ``Result``; a child sends its
worker the start of a ``Result``, which is read with suspicion (``read_result``), since hostile code may have written
it.
"""

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple


class Verdict(StrEnum):
    """What became of a program."""

    OK = "ok"
    """It ran and, for a job, returned a literal."""
    REJECTED = "rejected"
    """The policy forbids it; ``detail`` names the rule."""
    SYNTAX_ERROR = "syntax error"
    """It is no Python; ``detail`` is the class of the error."""
    BAD_INPUT = "bad input"
    """The input is no comma-separated sequence of literals."""
    EXCEPTION = "exception"
    """It raised; ``detail`` is the class of the exception."""
    TIMEOUT = "timeout"
    """It used up its CPU or wall time; ``detail`` says which."""
    OUT_OF_MEMORY = "out of memory"
    """It used up its memory."""
    NON_DETERMINISTIC = "non-deterministic"
    """Two runs under different hash seeds, or in different processes, disagree."""
    OUTPUT_TOO_LARGE = "output too large"
    """The value's literal is longer than ``max_output_chars``; it is never cut."""
    NOT_A_LITERAL = "not a literal"
    """The value does not survive ``ast.literal_eval``; ``detail`` is the type in the way."""
    KILLED = "killed"
    """Its process died in another way; ``detail`` is the signal or exit status."""


@dataclass(frozen=True, slots=True)
class Job:
    """One call of a program's function on literal arguments."""

    program: str
    """Python text that defines ``f``, in whatever way."""
    input: str
    """The arguments of the call: literals with commas between them; empty for none."""
    runs: int = 2
    """1: run once. 2: also run in a second fresh process state under other hash seeds, and compare."""


@dataclass(frozen=True, slots=True)
class Script:
    """A module, run from top to bottom, then ``tests`` in the same namespace. OK if nothing was raised."""

    program: str
    """Untrusted Python text; the policy applies to it. Its ``__name__`` is not ``"__main__"``."""
    tests: str = ""
    """Trusted Python text (a benchmark's asserts); the policy does not apply to it."""


@dataclass(frozen=True, slots=True)
class Execution:
    """The result of a job or script."""

    verdict: Verdict
    output: str | None = None
    """If OK, the literal of the returned value ("" for a script); else None."""
    detail: str = ""
    """Why not OK: the policy's rule, the exception's class, the limit."""

    @property
    def ok(self) -> bool:
        return self.verdict is Verdict.OK


class Message(NamedTuple):
    """A job on its way to a worker."""

    program: str
    input: str | None
    """The arguments; None for a script."""
    tests: str
    known: bool
    """Whether another lane has found that the program may run and share a process (see ``company``)."""


class Result(NamedTuple):
    """What became of one run."""

    verdict: str
    """A ``Verdict``."""
    text: str = ""
    """Literal or detail."""
    order: bool = False
    """Whether the program's result may depend on the order of sets."""
    company: bool = True
    """Whether the program may share a process, so that nothing hostile can have written this."""


def line(value: Any) -> bytes:
    """Plain values as a line of text."""
    return json.dumps(value).encode() + b"\n"


ALONE = b"alone"
"""A child's line on a program that may not share its process: the first of its programs is then the only one, and only
one result will follow; another is put off."""


def read_result(text: bytes, company: bool) -> Result:
    """The result in a child's line. Raises ValueError for what is none."""
    try:
        verdict, answer, order = json.loads(text)[:3]
    except (TypeError, LookupError, RecursionError):
        raise ValueError("no result") from None
    if type(answer) is not str or type(order) is not bool:
        raise ValueError("no result")
    return Result(Verdict(verdict), answer, order, company)
