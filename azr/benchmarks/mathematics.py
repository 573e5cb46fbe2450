r"""Mathematics benchmarks: the final answer is compared by math-verify, in a process of its own.

    with MathGrader() as grader:
        grader.same(r"\frac12", "0.5")   ->  True

MATH-500, AIME, AMC, Minerva and OlympiadBench all come down to a question and a final answer. From a response the last
``\boxed{...}`` of the answer counts, else a short answer as it stands, else the last formula. Both sides are parsed as
LaTeX only: math-verify's reading of plain expressions goes through ``eval``. A comparison that hangs or eats memory
costs itself and no other: the worker (``math_worker.py``) is limited and is replaced. Left out: proofs.
"""

from __future__ import annotations

import json
import re
import selectors
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from azr.benchmarks.base import Problem, answer_text
from azr.errors import UserError

MAX_ANSWER_CHARS = 500
"""A longer final answer is wrong unread."""

_START_SECONDS = 120
_WORKER = Path(__file__).with_name("math_worker.py")
_INSTRUCTION = "\n\nReason step by step and put the final answer, and nothing else, into \\boxed{...}."
_FORMULA = re.compile(r"\$\$(.+?)\$\$|\$(.+?)\$|\\\[(.+?)\\\]|\\\((.+?)\\\)", re.DOTALL)


def read_mathematics(name: str, row: Mapping[str, Any], index: int) -> Problem:
    """A row with ``problem`` or ``question``, and ``answer`` or ``final_answer`` (text, number or list of texts)."""
    question = row.get("problem") or row.get("question")
    answer = row["answer"] if row.get("answer") is not None else row.get("final_answer")
    answers = answer if isinstance(answer, list) else [answer]
    if not isinstance(question, str) or not question.strip():
        raise ValueError("the question is empty")
    if not answers or not all(isinstance(part, str | int | float) and str(part).strip() for part in answers):
        raise ValueError("the answer is empty")
    gold = ", ".join(str(part).strip().strip("$") for part in answers)
    identity = row.get("unique_id") or row.get("id")
    return Problem(
        name, str(index if identity is None else identity), question.strip() + _INSTRUCTION, {"answer": gold}
    )


def final_answer(response: str) -> str | None:
    r"""What a response gives as its final answer, without ``\boxed`` and dollar signs; None if there is none."""
    text, closed = answer_text(response)
    if (boxed := _last_boxed(text)) is not None:
        return boxed
    tagged = "<answer>" in response.lower()
    short = text.strip().removeprefix("The answer is").strip(" :\n")
    if tagged and closed and 0 < len(short) <= 100 and "\n" not in short and "$" not in short:
        return short.rstrip(".")
    formulas = _FORMULA.findall(text[-4000:])
    return next((part.strip() for part in formulas[-1] if part), None) if formulas else None


def _last_boxed(text: str) -> str | None:
    start = max(text.rfind("\\boxed{"), text.rfind("\\fbox{"))
    if start < 0:
        return None
    start = text.index("{", start)
    depth = 0
    for position in range(start, min(len(text), start + 2 * MAX_ANSWER_CHARS)):
        depth += {"{": 1, "}": -1}.get(text[position], 0)
        if depth == 0:
            return text[start + 1 : position].strip()
    return None


class MathGrader:
    """A worker process that compares final answers; use it as a context manager."""

    def __init__(self, seconds: float = 20.0) -> None:
        """``seconds``: wall time of one comparison, after which it is wrong and the worker is replaced."""
        if find_spec("math_verify") is None:
            raise UserError("the mathematics benchmarks need math-verify: pip install math-verify")
        self.seconds = seconds
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the worker."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for stream in (self._process.stdin, self._process.stdout):
                if stream is not None:
                    stream.close()
            self._process = None

    def same(self, gold: str, answer: str | None) -> bool:
        """Whether ``answer`` equals ``gold``; both are LaTeX without its dollar signs."""
        if not answer or len(answer) > MAX_ANSWER_CHARS:
            return False
        process = self._process = self._process or self._start()
        try:
            process.stdin.write(json.dumps([gold, answer]).encode() + b"\n")
            process.stdin.flush()
            reply = _line(process, self.seconds)
        except BrokenPipeError:
            reply = b""
        if not reply:
            self.close()
        return reply == b"true"

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-I", str(_WORKER)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        if _line(process, _START_SECONDS) != b"ready":
            process.kill()
            raise RuntimeError(f"math-verify did not start within {_START_SECONDS} seconds")
        return process


def _line(process: subprocess.Popen[bytes], seconds: float) -> bytes:
    """The next line of a process's output, empty where it ended or none came in time."""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        return process.stdout.readline().strip() if selector.select(seconds) else b""


def grade_mathematics(items: Sequence[tuple[Problem, str]], grader: MathGrader) -> list[bool]:
    """Right if math-verify takes the final answer for equal to the gold answer."""
    return [grader.same(problem.gold["answer"], final_answer(response)) for problem, response in items]
