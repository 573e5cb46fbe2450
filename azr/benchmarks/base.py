"""What a benchmark is: problems with a prompt, and a grader.

    problem = Problem("aime24", "61", "What is 2 + 3?", gold={"answer": "5"})
    prompt(problem, PaperStyle())   ->  the question inside the style's think/answer wrapping

A problem is either free text (``question``) or one of self-play's own tasks (``task``), which the prompt style words
itself. Where the problems come from is in ``azr.benchmarks.loading``, how they are graded in ``evalplus``,
``execution`` and ``mathematics``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from azr.prompts.paper import PaperStyle
from azr.prompts.parsing import split_response
from azr.tasks import Task

if TYPE_CHECKING:
    from azr.benchmarks.mathematics import MathGrader
    from azr.executor import Executor

    Grader = Executor | MathGrader
    """What grades: the executor where a benchmark runs programs, else math-verify's worker."""


@dataclass(frozen=True)
class Problem:
    """One problem of a benchmark."""

    benchmark: str
    id: str
    """Unique within its benchmark, and the same wherever the problem is loaded from."""
    question: str = ""
    """The instruction that the model reads; empty where ``task`` is given."""
    gold: Mapping[str, Any] = field(default_factory=dict)
    """What the grader compares with; its keys are the grader's own."""
    task: Task | None = None


@dataclass(frozen=True)
class Benchmark:
    """A problem set, where it is found and how it is read and graded."""

    name: str
    title: str
    hub_id: str
    """Data set on the hub; ``config`` and ``split`` choose the part."""
    split: str
    size: int
    """Number of problems published."""
    columns: tuple[str, ...]
    """Columns that a row must have; ``a|b`` stands for either."""
    read: Callable[[str, Mapping[str, Any], int], Problem]
    """(benchmark name, row, its index) -> problem; raises ValueError with the reason where the row cannot be used."""
    grade: Callable[[Sequence[tuple[Problem, str]], Any], list[bool]]
    """((problem, response) pairs, grader) -> right or wrong; responses are raw text of a model."""
    runs_programs: bool
    """Whether grading runs model code, and so needs the executor."""
    config: str | None = None


def prompt(problem: Problem, style: PaperStyle) -> str:
    """The whole prompt for a problem, up to the model's turn."""
    return style.wrap(problem.question) if problem.task is None else style.solve(problem.task)


def answer_text(response: str) -> tuple[str, bool]:
    """The part of a response that is graded, and whether it is complete.

    That is the answer between its tags; without tags, what follows the thinking, or all of it. A benchmark measures
    what is known, not the format: a base model that was never taught the tags is read by the same rule as others.
    """
    sections = split_response(response, thinking_opened=True)
    if sections.answer is None:
        return sections.after_thinking, True
    return sections.answer, sections.closed
