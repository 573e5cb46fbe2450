"""What a problem is, and what grading a response to it gives.

>>> Problem("61", "aime24", question="What is 2 + 3?", gold={"answer": "5"}).task is None
True

A problem is either one of self-play's tasks (``task``), which the prompt style words itself, or free text. Left out:
where problems come from (``azr.problems.loading``) and how they are graded (``tasks``, ``evalplus``, ``mathematics``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from azr.tasks import Task


@dataclass(frozen=True)
class Problem:
    """One problem of a set."""

    id: str
    """Unique within its set, and the same wherever the set is loaded from."""
    group: str
    """What tables break down by: the task type of a task, else the set's name."""
    question: str = ""
    """What the model is asked; empty where ``task`` is given."""
    task: Task | None = None
    gold: Mapping[str, Any] = field(default_factory=dict)
    """What the grader compares with; its keys are the grader's own."""
    values: tuple[str, ...] = ()
    """The world's problems: literals on the way to the answer, in the order in which a solver writes them."""
    worked: str = ""
    """The text of a worked solution, where the set has one."""
    size: int = 0
    """Statements of the program; 0 where it is not known."""


@dataclass(frozen=True)
class Graded:
    """What became of one response."""

    correct: bool
    well_formed: bool
    """Whether the response has the form that the prompt style asks for."""
    answer: str | None
    """The final answer as it was read; None where there is none."""
    refused: bool = False
    """Whether it is wrong because the executor's policy forbids the program: no fault of the answer's."""
