"""The prompt style ``plain``: the bare question and the bare answer, for small chat models that never write AZR's tags.

Not AZR's: no tags, no rules for programs, no thoughts. Everything goes through the model's chat template as one turn of
the user's. What is asked for stands below; what is read of a response:

* A program is its last python block (a proposer's its first), inputs and a message are blocks of their kinds.
* A value or arguments are the response as a whole or its last block, as in ``azr.prompts.parsing``; of a sentence the
  last code in it, as in "The output of `f(12)` is `15`."
* A final result is the response as it stands; of prose without LaTeX the last number in it.
* Any response of which something was read is well formed. What ends inside a block was cut off, and is nothing.
"""

import re
from collections.abc import Sequence

from azr.prompts.base import ParsedAnswer
from azr.prompts.fences import blocks, fence
from azr.prompts.paper import PaperStyle, chat_turn
from azr.prompts.parsing import find_answer
from azr.tasks import Task, TaskType

PROPOSE = """Write a short Python function `f` that computes something new, and the arguments of one call of it.
Reply with two blocks, the function in ```python and the arguments in ```input, and nothing else."""
PROPOSE_INDUCTION = """{program}

Give {count} calls of `f` that show what it does: the arguments of each in an ```input block of its own, and after them
a hint in a ```message block. Reply with these blocks and nothing else."""
SOLVE = {
    TaskType.DEDUCTION: "{program}\n\nWhat does f({given}) return? Reply with the value alone, as a Python literal.",
    TaskType.ABDUCTION: "{program}\n\nWith which arguments does f return {given}? Reply with the arguments alone, as "
    "Python literals.",
    TaskType.INDUCTION: "{program}\n\nWrite a Python function `f` of which all of this is true. {given} Reply with the "
    "function alone.",
}
_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:,\d{3})*(?:\.\d+)?")


class PlainStyle(PaperStyle):
    """See the module; ``tokenizer`` has a chat template."""

    name = "plain"
    num_induction_inputs = 4
    wanted = "\n\nReply with the final answer alone."

    def ask(self, question: str) -> str:
        return chat_turn(self.tokenizer, question)

    def propose(self, task_type: TaskType, references: Sequence[Task]) -> str:
        if task_type is TaskType.INDUCTION:
            program = fence("python", references[0].program)
            return self.ask(PROPOSE_INDUCTION.format(program=program, count=self.num_induction_inputs))
        examples = [f"{fence('python', task.program)}\n{fence('input', task.input)}" for task in references]
        return self.ask("\n\nFor example:\n".join([PROPOSE, *examples]))

    def solve(self, task: Task) -> str:
        program, given = fence("python", task.program), task.output
        if task.type is TaskType.DEDUCTION:
            given = task.input
        elif task.type is TaskType.INDUCTION:
            program, given = "\n".join(f"f({i}) == {o}" for i, o in task.shown), task.message
        return self.ask(SOLVE[task.type].format(program=program, given=given))

    def parse_answer(self, task_type: TaskType | None, response: str) -> ParsedAnswer:
        text, read = self._answer(response)
        if task_type is None or not text:
            return ParsedAnswer(text or None, read)
        code = [] if task_type is TaskType.INDUCTION else re.findall(r"`([^`\n]+)`", text)[-1:]
        found = next(filter(None, (find_answer(task_type, part) for part in [text, *code])), None)
        return ParsedAnswer(found, found is not None)

    def result(self, final: str) -> str:
        numbers = [] if "\\" in final or not re.search("[A-Za-z]{3}", final) else _NUMBER.findall(final)
        return numbers[-1].replace(",", "") if numbers else final

    def respond(self, task_type: TaskType | None, values: Sequence[str], answer: str) -> str:
        return fence("python", answer) if task_type is TaskType.INDUCTION else answer

    def _answer(self, response: str) -> tuple[str, bool]:
        cut_off = any(not block.closed for block in blocks(response))
        text = "" if cut_off else response.strip()
        return text, bool(text)
