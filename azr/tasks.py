"""The objects self-play passes around: task types, roles and tasks.

A task is built on a program p, inputs i and outputs o = p(i) (AZR, arXiv 2505.03335, section 3):

* deduction: given p and i, predict o;
* abduction: given p and o, find an i with p(i) = o;
* induction: given input-output pairs and a message, write p; half of the pairs are held out for the check.

Programs, inputs and outputs are text: a program defines ``f``, an input is the comma-separated literal arguments of
one call, an output is the literal of the value. Nothing here runs a program; see ``azr.executor``.
"""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Self


class TaskType(StrEnum):
    """What is hidden from the solver."""

    DEDUCTION = "deduction"
    ABDUCTION = "abduction"
    INDUCTION = "induction"


class Role(StrEnum):
    """The two roles that one model plays."""

    PROPOSER = "proposer"
    SOLVER = "solver"


@dataclass(frozen=True)
class Task:
    """A validated task: deduction and abduction have one input-output pair, induction several and a message."""

    type: TaskType
    program: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    message: str = ""

    def __post_init__(self) -> None:
        if len(self.inputs) != len(self.outputs) or not self.inputs:
            raise ValueError(f"{len(self.inputs)} inputs for {len(self.outputs)} outputs: a task needs pairs")

    @property
    def input(self) -> str:
        """The input of a task with one pair."""
        return self.inputs[0]

    @property
    def output(self) -> str:
        """The gold output of a task with one pair."""
        return self.outputs[0]

    @property
    def answer(self) -> str:
        """What is hidden from the solver: the output, the input that the task was made with, or the program."""
        return {"deduction": self.output, "abduction": self.input, "induction": self.program}[self.type]

    @property
    def shown(self) -> tuple[tuple[str, str], ...]:
        """Induction: the first half of the pairs, which the solver sees."""
        return tuple(zip(self.inputs, self.outputs, strict=True))[: (len(self.inputs) + 1) // 2]

    @property
    def hidden(self) -> tuple[tuple[str, str], ...]:
        """Induction: the other half, on which the solver's program is checked."""
        return tuple(zip(self.inputs, self.outputs, strict=True))[(len(self.inputs) + 1) // 2 :]

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"type": str(self.type), "inputs": list(self.inputs), "outputs": list(self.outputs)}

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> Self:
        message = str(row.get("message") or "")
        return cls(TaskType(row["type"]), row["program"], tuple(row["inputs"]), tuple(row["outputs"]), message)


@dataclass(frozen=True)
class Proposal:
    """What a proposer wrote, before anything ran it. For induction the program is the one it was shown."""

    program: str
    inputs: tuple[str, ...]
    message: str = ""
