"""The compact prompt style of the built-in models: a few tokens where the paper's style has hundreds.

Prompts open with a line that names the task; a solver writes ``think`` with the values it passes through (for abduction
backwards), then its answer; a proposer writes a program and its input, or inputs and a hint.

>>> from azr.tasks import Task, TaskType
>>> task = Task(TaskType.DEDUCTION, "def f(x):\\n    x = x + 3\\n    return x * 2", ("5",), ("16",))
>>> print(CompactStyle().solve(task))
predict the output
def f(x):
    x = x + 3
    return x * 2
input 5
<BLANKLINE>
>>> CompactStyle().parse_answer(TaskType.DEDUCTION, "think 8\\noutput 16")
ParsedAnswer(answer='16', well_formed=True)

Left out: what a model of this size cannot use (instructions, examples, banned names); ``azr.prompts.paper`` has it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from azr.prompts.base import ParsedAnswer, ParsedProposal, PromptStyle
from azr.tasks import Proposal, Task, TaskType

SOLVE = {
    TaskType.DEDUCTION: "predict the output\n",
    TaskType.ABDUCTION: "find an input\n",
    TaskType.INDUCTION: "write the program\n",
}
PROPOSE = {
    TaskType.DEDUCTION: "propose a deduction\n",
    TaskType.ABDUCTION: "propose an abduction\n",
    TaskType.INDUCTION: "propose an induction\n",
}
NEW = "new\n"
_LABEL = {TaskType.DEDUCTION: "output ", TaskType.ABDUCTION: "input ", TaskType.INDUCTION: "", None: "answer "}
_ANSWER = {
    TaskType.DEDUCTION: re.compile(r"(?:think [^\n]*\n)?output ([^\n]+)"),
    TaskType.ABDUCTION: re.compile(r"(?:think [^\n]*\n)?input ([^\n]+)"),
    TaskType.INDUCTION: re.compile(r"(def f\(.*)", re.DOTALL),
    None: re.compile(r"(?:think [^\n]*\n)?(?:output|input|answer) ([^\n]+)|(def f\(.*)", re.DOTALL),
}
_PAIR = re.compile(r"(def .*)\ninput ([^\n]+)", re.DOTALL)
_INPUTS = re.compile(r"((?:input [^\n]+\n)+)hint ([^\n]*)")


@dataclass(frozen=True)
class CompactStyle(PromptStyle):
    """Prompts and parsers of the compact style; the whole response must have the form, or it is not well formed."""

    name: str = "compact"
    num_induction_inputs: int = 6

    def propose(self, task_type: TaskType, references: Sequence[Task]) -> str:
        if task_type is TaskType.INDUCTION:
            return f"{PROPOSE[task_type]}{references[0].program}\n{NEW}"
        shown = "".join(f"{task.program}\ninput {task.input}\noutput {task.output}\n" for task in references)
        return f"{PROPOSE[task_type]}{shown}{NEW}"

    def solve(self, task: Task) -> str:
        if task.type is TaskType.DEDUCTION:
            return f"{SOLVE[task.type]}{task.program}\ninput {task.input}\n"
        if task.type is TaskType.ABDUCTION:
            return f"{SOLVE[task.type]}{task.program}\noutput {task.output}\n"
        pairs = "".join(f"input {i}\noutput {o}\n" for i, o in task.shown)
        return f"{SOLVE[task.type]}{pairs}hint {task.message}\n"

    def ask(self, question: str) -> str:
        return question

    def parse_proposal(self, task_type: TaskType, response: str, references: Sequence[Task]) -> ParsedProposal:
        if task_type is TaskType.INDUCTION:
            match = _INPUTS.fullmatch(response)
            if match is None:
                return ParsedProposal(None, False, "not inputs followed by a hint")
            inputs = tuple(line.removeprefix("input ") for line in match[1].splitlines())
            if len(inputs) != self.num_induction_inputs:
                return ParsedProposal(None, False, "wrong number of inputs")
            return ParsedProposal(Proposal(references[0].program, inputs, match[2]), True)
        match = _PAIR.fullmatch(response)
        if match is None:
            return ParsedProposal(None, False, "not a program followed by an input")
        return ParsedProposal(Proposal(match[1], (match[2],)), True)

    def parse_answer(self, task_type: TaskType | None, response: str) -> ParsedAnswer:
        match = _ANSWER[task_type].fullmatch(response)
        return ParsedAnswer(match[match.lastindex], True) if match else ParsedAnswer(None, False)

    def final(self, response: str) -> str:
        return self.parse_answer(None, response).answer or ""

    def respond(self, task_type: TaskType | None, values: Sequence[str], answer: str) -> str:
        think = f"think {', '.join(values)}\n" if values else ""
        return f"{think}{_LABEL[task_type]}{answer}"
