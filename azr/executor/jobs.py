"""What goes into the executor and what comes out: ``Job``, ``Script``, ``Verdict`` and ``Execution``.

    Job("def f(x): return x + 1", "41")  ->  Execution(Verdict.OK, "42")

Plain data; nothing here runs a program.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


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
        """Whether the verdict is OK."""
        return self.verdict is Verdict.OK
