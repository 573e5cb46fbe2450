"""The prompt style of the paper's models: thoughts in ``<think>``, the result in ``<answer>``, values in fences.

>>> from azr.tasks import Task, TaskType
>>> style = PaperStyle()
>>> style.solve(Task(TaskType.DEDUCTION, "def f(x):\\n    return x", ("1",), ("1",))).endswith("Assistant: <think>")
True
>>> style.parse_answer(TaskType.DEDUCTION, "It returns x.</think> <answer>\\n```output\\n1\\n```\\n</answer>").answer
'1'

The content follows AZR (arXiv 2505.03335) and its published prompts, the wording is ours. What is read:

* A response is well formed if thinking, its closing tag and an answer between its tags follow one another; text after
  that is ignored. Layout inside the answer never costs the format, and only what is inside ``<answer>`` counts.
* A proposal's program is its first python block, whose last top-level function is the entry where no ``f`` is
  defined; a solver's program is its last python block and must define ``f`` (AZR's rule: the prompt asks for it).
* Inputs and outputs must be literals. AZR pastes them into code, which the policy can exploit.

Left out: AZR's fourth task type (predicting an error class) and composite functions, both off in every published run.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from azr.executor.policy import IMPORTS
from azr.prompts.base import ParsedAnswer, ParsedProposal
from azr.prompts.fences import blocks, fence
from azr.prompts.parsing import ANSWER_KIND, find_answer, find_program, read_arguments, read_program
from azr.tasks import Proposal, Task, TaskType

BANNED_NAMES = (
    "os", "io", "pathlib", "shutil", "tempfile", "socket", "subprocess", "threading", "multiprocessing",
    "pebble", "asyncio", "signal", "ctypes", "random", "secrets", "uuid", "time", "datetime", "calendar",
    "hashlib", "hmac", "bcrypt", "logging", "open", "input", "print", "eval", "exec", "compile", "globals",
    "locals", "vars", "__import__",
)  # fmt: skip
"""AZR's published list with what that list meant to cover: files, processes, clocks, chance, running text as code."""
ALLOWED_IMPORTS = tuple(sorted(IMPORTS - {"__future__"}))
"""What our executor lets a program import, so that no proposal is lost for want of knowing it."""

_PREAMBLE = (
    "Below, a User gives a task to an Assistant. The Assistant works it out privately first and only then states the "
    "result. The private work stands between <think> and </think>, the result between <answer> and </answer>, in this "
    "order and nothing else: <think> work </think> <answer> result </answer>."
)
_RULES = f"""Rules for the program:
- The entry function is called `f`, takes at least one argument and ends by returning a value.
- Helper functions and classes are welcome; imports and all definitions stand at the top level, before `f`.
- The program is deterministic: no chance, no clock, no reading or writing, nothing outside it that could change.
- It finishes within a second and prints nothing.
- It imports nothing but these modules, if any: {", ".join(ALLOWED_IMPORTS)}.
- These names must not occur: {", ".join(BANNED_NAMES)}."""
_ARGUMENTS = "the arguments of the call of `f`, separated by commas, as Python literals, strings in quotes"
_PROPOSE = """Write one new question for an I.Q. test in programming, in which the examinee has to {goal}.
{situation}

Give exactly one program and one input for it:
- the program in a block that starts with ```python
- the input in a block that starts with ```input: {arguments}

{rules}

A good question:
- the program runs on the input without an error;
- {aim}: values change in several steps, state is carried along, cases differ;
- the program is new in what it computes, not only in its names.{new}

The layout, by an example:
```python
def f(words: list, bonus: int):
    seen = {{}}
    for position, word in enumerate(words):
        seen[word] = seen.get(word, bonus) + position * len(word)
    best = max(sorted(seen), key=seen.get)
    return best, seen[best]
```

```input
['tea', 'milk', 'tea'], 2
```

Think first about what the question shall demand and which steps make it demanding, then write program and input in \
<answer>.{references}"""
_AIMS = {
    TaskType.DEDUCTION: {
        "goal": "predict the output",
        "situation": "The examinee will see your program and your input, and has to predict what `f` returns.",
        "aim": "the output is hard to predict without following every step",
    },
    TaskType.ABDUCTION: {
        "goal": "recover an input",
        "situation": "The examinee will see your program and the output that your input leads to, and has to name an "
        "input that gives this output (yours or any other).",
        "aim": "an input for that output is hard to find without reasoning backwards through every step",
    },
}
_PROPOSE_INDUCTION = """Write one question for an I.Q. test in programming: the examinee has to find out a program \
from examples of what it does.

This is the program, which the examinee will not see:
{program}

Give {count} inputs and one message:
- each input in a block of its own that starts with ```input: {arguments}
- the message in a block that starts with ```message

The examinee sees half of the inputs with their outputs, and the message, and is then tested on the other half.

A good question:
- the program runs on every input without an error, and the outputs differ widely;
- together the examples show everything that the program does;
- the message helps to find the program, as a hint, a question or an instruction, and does not contain its code;
- it is hard, and still can be solved.

Think first about what the program does and which inputs bring it to light, then write the inputs and the message in \
<answer>."""
_SOLVE = {
    TaskType.DEDUCTION: (
        "What does `f` return for this input? Follow the program step by step.",
        ", as a Python literal: strings in quotes, several values as a tuple in brackets",
        "{'total': 7, 'names': ['a', 'b']}",
    ),
    TaskType.ABDUCTION: (
        "Find an input for which `f` returns this output. There may be several; any of them is right.",
        f": {_ARGUMENTS}",
        "'tree', [1, 2], 3",
    ),
    TaskType.INDUCTION: (
        "Find the program that turns these inputs into these outputs. It will be tested on other inputs too, so look "
        "for the rule and do not list the cases.",
        "",
        "def f(a, b):\n    return a + b",
    ),
}
"""The question, the form of its answer, and an example; in which block it stands says ``ANSWER_KIND``."""
_ANSWER = re.compile(r"\s*<\s*answer\s*>(.*?)<\s*/answer\s*>", re.IGNORECASE | re.DOTALL)
_TAG = {name: re.compile(rf"<\s*{name}\s*>", re.IGNORECASE) for name in ("think", "/think", "answer", "/answer")}


class PaperStyle:
    """AZR's prompts (see ``azr.prompts.base.PromptStyle``) for base models, or with a tokenizer for chat models.

    Base models get plain text that ends with the opened ``<think>``; chat models get the same text as one user turn
    through their own chat template, with the beginning-of-sequence token only if the tokenizer would not add it itself.
    """

    name = "paper"

    def __init__(self, tokenizer: Any = None, *, num_induction_inputs: int = 10) -> None:
        """``tokenizer``: a transformers tokenizer with a chat template, None for base models."""
        self.tokenizer = tokenizer
        self.num_induction_inputs = num_induction_inputs
        self.thinking_opened = self.ask("").rstrip().endswith("<think>")

    def ask(self, question: str) -> str:
        if self.tokenizer is None:
            return f"{_PREAMBLE}\n\nUser: {question}\nAssistant: <think>"
        message = {"role": "user", "content": f"{_PREAMBLE}\n\n{question}"}
        text = self.tokenizer.apply_chat_template([message], tokenize=False, add_generation_prompt=True)
        begin, end = self.tokenizer.bos_token, self.tokenizer.eos_token
        if begin and self.tokenizer("x")["input_ids"][:1] == [self.tokenizer.bos_token_id]:
            text = text.removeprefix(begin)
        return text.removesuffix(end or "")  # some templates end every turn, where the model is to go on

    def propose(self, task_type: TaskType, references: Sequence[Task]) -> str:
        """As the contract says; deduction and abduction take any number of references (0 is AZR's ablation)."""
        if task_type is TaskType.INDUCTION:
            program = fence("python", references[0].program + "\n\nf(...)  # your input goes here")
            count = self.num_induction_inputs
            return self.ask(_PROPOSE_INDUCTION.format(program=program, count=count, arguments=_ARGUMENTS))
        shown = ""
        for number, task in enumerate(references, 1):
            parts = [fence("python", task.program), fence("input", task.input), fence("output", task.output)]
            shown += f"\n\n<reference_{number}>\n" + "\n".join(parts) + f"\n</reference_{number}>"
        new = " It must differ clearly from all the references below." if references else ""
        words = {"rules": _RULES, "arguments": _ARGUMENTS, "new": new, "references": shown} | _AIMS[task_type]
        return self.ask(_PROPOSE.format(**words))

    def solve(self, task: Task) -> str:
        question, form, example = _SOLVE[task.type]
        if task.type is TaskType.INDUCTION:
            pairs = [
                fence(f"input_{number}", given) + "\n" + fence(f"output_{number}", result)
                for number, (given, result) in enumerate(task.shown, 1)
            ]
            message = ["This message came with them:\n" + fence("message", task.message)] if task.message else []
            given = [*pairs, *message, _RULES]
        else:
            known = ("input", task.input) if task.type is TaskType.DEDUCTION else ("output", task.output)
            given = [fence("python", task.program), fence(*known)]
        kind = ANSWER_KIND[task.type]
        what = {"output": "value", "python": "program"}.get(kind, kind)
        demand = f"Write the {what} in <answer>, in a block that starts with ```{kind}{form}. For example:"
        return self.ask("\n\n".join([question, *given, f"{demand}\n{fence(kind, example)}"]))

    def parse_proposal(self, task_type: TaskType, response: str, references: Sequence[Task]) -> ParsedProposal:
        answer, well_formed = self._answer(response)
        induction = task_type is TaskType.INDUCTION
        if induction:
            found = read_program(references[0].program, rename=False)
        else:
            found = find_program(answer or "", last=False, rename=True)
        parts = [block for block in blocks(answer or "") if block.closed]
        texts = [part.text for part in parts if part.kind == "input"]
        texts = texts[-self.num_induction_inputs :] if induction else texts[:1]
        inputs = [read_arguments(text, found.parameters, found.entry) for text in texts]
        messages = [part.text.strip() for part in parts if part.kind == "message"] if induction else [""]
        missing = {
            found.reason: found.program is None,
            "too few inputs": len(texts) < (self.num_induction_inputs if induction else 1),
            "input is not literal": not all(inputs),
            "no message": not messages,
        }
        reason = next((reason for reason, holds in missing.items() if holds), "")
        if reason or found.program is None:
            return ParsedProposal(None, well_formed, reason)
        program = references[0].program if induction else found.program
        return ParsedProposal(Proposal(program, tuple(map(str, inputs)), messages[0]), well_formed)

    def parse_answer(self, task_type: TaskType, response: str) -> ParsedAnswer:
        """``answer`` is None where the tagged text holds nothing of the kind; that costs the credit, not the format."""
        answer, well_formed = self._answer(response)
        return ParsedAnswer(None if answer is None else find_answer(task_type, answer), well_formed)

    def final(self, response: str) -> str:
        """The text of the answer; without its tag what follows the thinking, as of a base model that knows no tags."""
        answer, _ = self._answer(response)
        text = (_TAG["/think"].split(response, maxsplit=1)[-1] if answer is None else answer).strip()
        return "" if _TAG["think"].match(text) else text  # cut off in its thoughts

    def _answer(self, response: str) -> tuple[str | None, bool]:
        """The text of the answer, None without an opening tag, and whether the response is well formed.

        A malformed response gives its last answer, as the model may name the tags before. An answer without its closing
        tag counts where it ends with a finished block or brace; else it was cut off, and is empty.
        """
        text = response.strip()
        thought = _TAG["/think"].search(text)
        if thought and (self.thinking_opened or _TAG["think"].match(text)):
            answered = _ANSWER.match(text, thought.end())
            if answered:
                return _ended(answered[1]), True
        _, *answers = _TAG["answer"].split(text)
        if not answers:
            return None, False
        answer, *closed = _TAG["/answer"].split(answers[-1], maxsplit=1)
        if closed:
            return _ended(answer), False
        return answer if answer.rstrip().endswith(("```", "}")) else "", False

    def respond(self, task_type: TaskType | None, values: Sequence[str], answer: str) -> str:
        """The prompt has opened ``<think>`` where ``thinking_opened`` says so."""
        numbered = [f"Step {number}: {value}" for number, value in enumerate(values, 1)]
        steps = "\n".join(numbered if task_type else values) or "It follows at once."
        opening = "\n" if self.thinking_opened else "<think>\n"
        result = fence(ANSWER_KIND[task_type], answer) if task_type else answer
        return f"{opening}{steps}\n</think>\n<answer>\n{result}\n</answer>"


def _ended(answer: str) -> str:
    """The text between the tags, with a block that was left open ended by the tag, as AZR's proposers often write."""
    found = blocks(answer)
    return f"{answer}\n```" if found and not found[-1].closed else answer
