"""What a prompt style must do: turn tasks and questions into prompts, and responses back into proposals and answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from azr.tasks import Proposal, Task, TaskType


@dataclass(frozen=True)
class ParsedProposal:
    """A proposer's response as read. ``proposal`` is None where nothing usable was found; ``reason`` then says why."""

    proposal: Proposal | None
    well_formed: bool
    reason: str = ""


@dataclass(frozen=True)
class ParsedAnswer:
    """A response as read: a literal (deduction), arguments (abduction), a program (induction) or text (a question)."""

    answer: str | None
    well_formed: bool


class PromptStyle(Protocol):
    """How tasks become prompts and how responses are parsed. Prompts are text, complete up to the model's turn."""

    name: str
    num_induction_inputs: int
    """Input-output pairs of an induction task (10 in AZR)."""
    wanted: str = "\n\nReason step by step and put the final answer, and nothing else, into \\boxed{...}."
    """What is added to a question whose answer is compared as mathematics."""

    def propose(self, task_type: TaskType, references: Sequence[Task]) -> str:
        """Prompt for a new task, given K references (induction: one task, whose program is to be described)."""
        ...

    def solve(self, task: Task) -> str:
        """Prompt that asks for the hidden part of ``task``."""
        ...

    def ask(self, question: str) -> str:
        """Prompt that asks a question in free text."""
        ...

    def parse_proposal(self, task_type: TaskType, response: str, references: Sequence[Task]) -> ParsedProposal:
        """Read a proposer's response; ``references`` are those of its prompt."""
        ...

    def parse_answer(self, task_type: TaskType | None, response: str) -> ParsedAnswer:
        """Read a response to a task (None: to a question) by self-play's rule, which demands the style's form."""
        ...

    def final(self, response: str) -> str:
        """The part of any response that a problem set grades; empty where there is none, or it was cut off."""
        ...

    def result(self, final: str) -> str:
        """The part of ``final`` that is compared as mathematics."""
        return final

    def respond(self, task_type: TaskType | None, values: Sequence[str], answer: str) -> str:
        """A well-formed response to a task (None: to a question): the values or words on the way, then the answer."""
        ...
