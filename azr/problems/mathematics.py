r"""Mathematics: the final answer is compared by math-verify, in a process of its own.

>>> final_answer(r"All in all \boxed{4}, \boxed{6} and \boxed{9}.")
'4, 6, 9'

All sets come down to a question and a final answer; some have a worked solution as well. Both sides are parsed as LaTeX
only: math-verify's reading of plain expressions goes through ``eval``. A comparison that hangs or eats memory costs
itself and no other: the worker (``math_worker.py``) is limited and is replaced. Left out: proofs.
"""

import atexit
import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from azr.executor import Executor
from azr.problems.tasks import Graded, Problem
from azr.prompts.base import PromptStyle

MAX_ANSWER_CHARS = 500
"""A longer final answer is wrong unread."""
_WORKER = Path(__file__).with_name("math_worker.py")
_FORMULA = re.compile(r"\$\$(.+?)\$\$|\$(.+?)\$|\\\[(.+?)\\\]|\\\((.+?)\\\)", re.DOTALL)
_BOX = re.compile(r"\\(?:boxed|fbox|framebox)(?![a-zA-Z])\s*")
_ARITHMETIC = re.compile(r"(?:think [^\n]*\n)?answer (-?\d+)")
_BESIDE = re.compile(
    r"(?:[\s$,;&]|\\[,;:()\[\]\\ ]|\\q?quad|and|or|\\text\s*\{\s*,?\s*(?:and|or)?\s*\}|[a-zA-Z](?:_\w)?\s*=)*"
)
"""What may stand between boxes that are one answer."""


def read_mathematics(row: Mapping[str, Any], index: int) -> list[Problem]:
    r"""A row with a question and its answer, a worked ``solution``, or both.

    GSM8K's answer is a solution that ends with ``#### answer``, MATH's solution has it in its ``\boxed``.
    """
    question = row.get("problem") or row.get("question")
    answer = row["answer"] if row.get("answer") is not None else row.get("final_answer")
    worked = row.get("solution") if isinstance(row.get("solution"), str) else ""
    if isinstance(answer, str) and "\n#### " in answer:
        worked, answer = answer.rsplit("\n#### ", 1)
        worked = re.sub(r"<<.*?>>", "", worked)
    if answer is None:
        answer = final_answer(worked or "")
    answers = answer if isinstance(answer, list) else [answer]
    if not isinstance(question, str) or not question.strip():
        raise ValueError("the question is empty")
    if not answers or not all(isinstance(part, str | int | float) and str(part).strip() for part in answers):
        raise ValueError("the answer is empty")
    gold = ", ".join(str(part).strip().strip("$") for part in answers)
    name = next((str(row[key]) for key in ("unique_id", "id") if row.get(key) is not None), str(index))
    return [Problem(name, "", question.strip(), gold={"answer": gold}, worked=(worked or "").strip())]


def final_answer(text: str) -> str | None:
    r"""What the final part of a response gives as its answer, without ``\boxed`` and dollar signs; None if nothing.

    The last box counts, with those side by side with it; without one a short text as it stands, else the last formula.
    An answer that is cut off inside its box is none, whatever came before.
    """
    boxes = _boxes(text)
    if boxes:
        if boxes[-1][2] is None:
            return None
        parts = [boxes[-1][2]]
        for (_, end, before), (start, _, _) in zip(boxes[-2::-1], boxes[:0:-1], strict=True):
            if before is None or start < end or not _BESIDE.fullmatch(text, end, start):
                break
            parts.insert(0, before)
        return ", ".join(dict.fromkeys(parts))
    short = re.sub(r"^the (?:final )?answer is\b", "", text.strip(), flags=re.IGNORECASE).strip(" :\n")
    if 0 < len(short) <= 100 and "\n" not in short and "$" not in short:
        return short.rstrip(".")
    formulas = _FORMULA.findall(text[-4000:])
    return next((part.strip() for part in formulas[-1] if part), None) if formulas else None


def _boxes(text: str) -> list[tuple[int, int, str | None]]:
    """Start, end and content of each box that is not empty; the content is None where the text ends inside it."""
    found = []
    for match in _BOX.finditer(text):
        if text[match.end() : match.end() + 1] != "{":  # without braces: up to the end of the formula
            content = re.match(r"[^$\n]*?(?=\\\)|\\\]|[$\n,;]|\.(?:\s|$)|$)", text[match.end() :])[0]
            found.append((match.start(), match.end() + len(content), content.strip()))
            continue
        depth, end = 0, None
        for brace in re.finditer(r"\\.|[{}]", text[match.end() :]):
            depth += {"{": 1, "}": -1}.get(brace[0], 0)
            if depth == 0:
                end = match.end() + brace.end()
                break
        found.append((match.start(), end or len(text), text[match.end() + 1 : end - 1].strip() if end else None))
    return [box for box in found if box[2] != ""]


class MathWorker:
    """A process that compares final answers; ``close`` it."""

    def __init__(self, seconds: float = 20.0) -> None:
        """``seconds``: CPU time of one comparison, after which it is wrong and the process is replaced."""
        self._command = [sys.executable, "-I", str(_WORKER), str(seconds)]
        self._process: subprocess.Popen[bytes] | None = None

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def same(self, gold: str, answer: str | None) -> bool:
        """Whether ``answer`` equals ``gold``; both are LaTeX without its dollar signs."""
        if not answer or len(answer) > MAX_ANSWER_CHARS:
            return False
        if self._process is None:
            pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
            self._process = subprocess.Popen(self._command, stdin=pipe, stdout=pipe, stderr=nowhere)
            if self._process.stdout.readline() != b"ready\n":
                raise RuntimeError("math-verify does not start")
        with suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps([gold, answer]).encode() + b"\n")
            self._process.stdin.flush()
        reply = self._process.stdout.readline().strip()
        if not reply:
            self.close()
        return reply == b"true"


COMMON = MathWorker()
"""The one that grades; it starts with the first comparison."""
atexit.register(COMMON.close)


def grade_mathematics(attempts: Sequence[tuple[Problem, str]], style: PromptStyle, executor: Executor) -> list[Graded]:
    """Right if math-verify takes the final answer for equal to the gold answer. Equal attempts are graded once."""
    answers = [final_answer(style.result(style.final(response))) for _, response in attempts]
    pairs = [(problem.gold["answer"], answer) for (problem, _), answer in zip(attempts, answers, strict=True)]
    right = {pair: COMMON.same(*pair) for pair in dict.fromkeys(pairs)}
    return [
        Graded(right[pair], style.parse_answer(None, response).well_formed, pair[1])
        for pair, (_, response) in zip(pairs, attempts, strict=True)
    ]


def grade_arithmetic(attempts: Sequence[tuple[Problem, str]], style: PromptStyle, executor: Executor) -> list[Graded]:
    """The world's questions: the compact style's form, or the final answer of a response in any other style."""
    graded = []
    for problem, response in attempts:
        match = _ARITHMETIC.fullmatch(response)
        read = (match and match[1], match is not None)
        if style.name != "compact":
            read = (final_answer(style.result(style.final(response))), style.parse_answer(None, response).well_formed)
        graded.append(Graded(read[0] == problem.gold["answer"], read[1], read[0]))
    return graded
