"""The prompt style of the paper's models: thoughts in ``<think>``, the result in ``<answer>``, values in fences.

>>> from azr.tasks import Task, TaskType
>>> style = PaperStyle()
>>> identity = Task(TaskType.DEDUCTION, "def f(x):\\n    return x", ("1",), ("1",))
>>> style.solve(identity).endswith("Assistant: <think>")
True
>>> style.parse_answer(TaskType.DEDUCTION, "It returns x.</think> <answer>```output\\n1\\n```</answer>").answer
'1'

The content follows AZR (arXiv 2505.03335) and its published prompts, the wording is ours. Base models get plain text
that ends with the opened ``<think>``; chat models get the same text as one user turn through their own chat template
(pass the tokenizer). What is read from a response:

* A response is well formed if thinking, its closing tag and an answer between its tags follow one another; text after
  that is ignored. Layout inside the answer never costs the format.
* A solver's answer counts only from inside ``<answer>``, and never from a block that was cut off. A proposal is also
  looked for in a response without the tag (it may still enter a buffer), and is then not well formed.
* A proposal's program is its first python block, with the last top-level function renamed to ``f`` where no ``f`` is
  defined; a solver's program is its last python block and is not renamed (AZR's rule: the prompt asks for ``f``).
* Inputs and outputs must be literals. AZR pastes them into code, which the policy can exploit.

Left out: AZR's fourth task type (predicting an error class) and composite functions, both off in every published run.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from azr.executor.policy import IMPORTS
from azr.prompts import parsing
from azr.prompts.base import ParsedAnswer, ParsedProposal
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
_EXAMPLE = """```python
def f(words: list, bonus: int):
    seen = {}
    for position, word in enumerate(words):
        seen[word] = seen.get(word, bonus) + position * len(word)
    best = max(sorted(seen), key=seen.get)
    return best, seen[best]
```

```input
['tea', 'milk', 'tea'], 2
```"""
_AIMS = {
    TaskType.DEDUCTION: (
        "predict the output",
        "The examinee will see your program and your input, and has to predict what `f` returns.",
        "the output is hard to predict without following every step",
    ),
    TaskType.ABDUCTION: (
        "recover an input",
        "The examinee will see your program and the output that your input leads to, and has to name an input that "
        "gives this output (yours or any other).",
        "an input for that output is hard to find without reasoning backwards through every step",
    ),
}


def _code_rules(banned: Iterable[str]) -> str:
    return f"""- The entry function is called `f`, takes at least one argument and ends by returning a value.
- Helper functions and classes are welcome; imports and all definitions stand at the top level, before `f`.
- The program is deterministic: no chance, no clock, no reading or writing, nothing outside it that could change.
- It finishes within a second and prints nothing.
- It imports nothing but these modules, if any: {", ".join(ALLOWED_IMPORTS)}.
- These names must not occur: {", ".join(banned)}."""


def _fence(label: str, body: str) -> str:
    """A fence longer than any run of backticks in its text."""
    mark = "```"
    while mark in body:
        mark += "`"
    return f"{mark}{label}\n{body}\n{mark}"


def _numbered(references: Sequence[Task]) -> str:
    shown = []
    for number, task in enumerate(references, 1):
        parts = [_fence("python", task.program), _fence("input", task.input), _fence("output", task.output)]
        shown.append(f"<reference_{number}>\n" + "\n".join(parts) + f"\n</reference_{number}>")
    return "\n\n".join(shown)


class PaperStyle:
    """AZR's prompts (see ``azr.prompts.base.PromptStyle``) for base models, or with a tokenizer for chat models.

    The prompt of a chat model holds the beginning-of-sequence token only if the tokenizer would not add it itself.
    """

    name = "paper"

    def __init__(
        self, tokenizer: Any = None, *, num_induction_inputs: int = 10, banned: Sequence[str] = BANNED_NAMES
    ) -> None:
        """``tokenizer``: a transformers tokenizer with a chat template, None for base models.

        Raises ValueError where the tokenizer has no chat template, or for fewer than two induction inputs.
        """
        if tokenizer is not None and not getattr(tokenizer, "chat_template", None):
            raise ValueError("the tokenizer has no chat template: leave it out to prompt a base model by plain text")
        if num_induction_inputs < 2:
            raise ValueError(f"num_induction_inputs is {num_induction_inputs}: one half is shown, the other hidden")
        self.tokenizer = tokenizer
        self.num_induction_inputs = num_induction_inputs
        self.banned = tuple(banned)
        self.thinking_opened = self.wrap("").rstrip().endswith("<think>")

    def wrap(self, instruction: str) -> str:
        """The whole prompt around one instruction, up to the model's turn."""
        if self.tokenizer is None:
            return f"{_PREAMBLE}\n\nUser: {instruction}\nAssistant: <think>"
        message = {"role": "user", "content": f"{_PREAMBLE}\n\n{instruction}"}
        text = self.tokenizer.apply_chat_template([message], tokenize=False, add_generation_prompt=True)
        start = self.tokenizer.bos_token
        if start and text.startswith(start) and self.tokenizer("x")["input_ids"][:1] == [self.tokenizer.bos_token_id]:
            text = text.removeprefix(start)
        return text

    def propose(self, task_type: TaskType, references: Sequence[Task]) -> str:
        """Prompt for a new task; induction takes exactly one reference, the others any number (0 is AZR's ablation)."""
        if task_type is TaskType.INDUCTION:
            if len(references) != 1:
                raise ValueError(f"{len(references)} references for an induction proposal: it describes one program")
            return self.wrap(self._propose_induction(references[0].program))
        goal, situation, aim = _AIMS[task_type]
        new = "It must differ clearly from all the references below." if references else ""
        instruction = f"""Write one new question for an I.Q. test in programming, in which the examinee has to {goal}.
{situation}

Give exactly one program and one input for it:
- the program in a block that starts with ```python
- the input in a block that starts with ```input: the arguments of the call of `f`, separated by commas, as literals, \
strings in quotes

Rules for the program:
{_code_rules(self.banned)}

A good question:
- the program runs on the input without an error;
- {aim}: values change in several steps, state is carried along, cases differ;
- the program is new in what it computes, not only in its names. {new}

The layout, by an example:
{_EXAMPLE}

Think first about what the question shall demand and which steps make it demanding, then write program and input in \
<answer>."""
        return self.wrap(instruction + (f"\n\n{_numbered(references)}" if references else ""))

    def _propose_induction(self, program: str) -> str:
        count = self.num_induction_inputs
        call = program + "\n\nf(...)  # your input goes here"
        return f"""Write one question for an I.Q. test in programming: the examinee has to find out a program from \
examples of what it does.

This is the program, which the examinee will not see:
{_fence("python", call)}

Give {count} inputs and one message:
- each input in a block of its own that starts with ```input: the arguments of the call of `f`, separated by commas, \
as literals, strings in quotes
- the message in a block that starts with ```message

The examinee sees half of the inputs with their outputs, and the message, and is then tested on the other half.

A good question:
- the program runs on every input without an error, and the outputs differ widely;
- together the examples show everything that the program does;
- the message helps to find the program, as a hint, a question or an instruction, and does not contain its code;
- it is hard, and still can be solved.

The layout, by an example (with your own values, {count} inputs in all):
```input
'river', 3
```
```input
'sea', 0
```
```message
What happens to the letters as the number grows?
```

Think first about what the program does and which inputs bring it to light, then write the inputs and the message in \
<answer>."""

    def solve(self, task: Task) -> str:
        """Prompt that asks for the output (deduction), an input (abduction) or the program (induction)."""
        return self.wrap(
            {
                TaskType.DEDUCTION: self._solve_deduction,
                TaskType.ABDUCTION: self._solve_abduction,
                TaskType.INDUCTION: self._solve_induction,
            }[task.type](task)
        )

    def _solve_deduction(self, task: Task) -> str:
        return f"""What does `f` return for this input? Follow the program step by step.

{_fence("python", task.program)}

{_fence("input", task.input)}

Write the value in <answer>, in a block that starts with ```output, as a Python literal: strings in quotes, several \
values as a tuple in brackets. For example:
```output
{{'total': 7, 'names': ['a', 'b']}}
```"""

    def _solve_abduction(self, task: Task) -> str:
        return f"""Find an input for which `f` returns this output. There may be several; any of them is right.

{_fence("python", task.program)}

{_fence("output", task.output)}

Write the input in <answer>, in a block that starts with ```input: the arguments of the call of `f`, separated by \
commas, as Python literals, strings in quotes. For example:
```input
'tree', [1, 2], 3
```"""

    def _solve_induction(self, task: Task) -> str:
        pairs = "\n\n".join(
            _fence(f"input_{number}", given) + "\n" + _fence(f"output_{number}", result)
            for number, (given, result) in enumerate(task.shown, 1)
        )
        message = f"\n\nThis message came with them:\n{_fence('message', task.message)}" if task.message else ""
        return f"""Find the program that turns these inputs into these outputs. It will be tested on other inputs \
too, so look for the rule and do not list the cases.

{pairs}{message}

Rules for the program:
{_code_rules(self.banned)}

Write the program in <answer>, in a block that starts with ```python. For example:
```python
def f(a, b):
    return a + b
```"""

    def parse_proposal(self, task_type: TaskType, response: str, references: Sequence[Task]) -> ParsedProposal:
        """Read a proposal; for induction the program is that of ``references[0]``."""
        sections = parsing.split_response(response, self.thinking_opened)
        text = sections.after_thinking if sections.answer is None else sections.answer
        closed = sections.closed
        if task_type is TaskType.INDUCTION:
            proposal, reason = self._induction_proposal(text, references[0].program, closed)
        else:
            proposal, reason = self._pair_proposal(text, closed)
        return ParsedProposal(proposal, sections.well_formed, reason)

    def _pair_proposal(self, text: str, closed: bool) -> tuple[Proposal | None, str]:
        found = parsing.find_program(text, last=False, rename=True, closed=closed)
        if found.program is None:
            return None, found.reason
        fences = [block for block in parsing.blocks(text) if block.kind == "input" and (block.closed or closed)]
        texts = [block.body for block in fences] or (parsing.labelled_lines(text, "input") if closed else [])
        if not texts:
            return None, "no input"
        arguments = parsing.read_arguments(texts[0], found.parameters, found.entry)
        return (None, "input is not literal") if arguments is None else (Proposal(found.program, (arguments,)), "")

    def _induction_proposal(self, text: str, program: str, closed: bool) -> tuple[Proposal | None, str]:
        usable = [block for block in parsing.blocks(text) if block.closed or closed]
        texts = [block.body for block in usable if block.kind == "input"]
        if len(texts) == 1:  # all inputs in one block, a line each
            texts = [line for line in texts[0].splitlines() if line.strip()]
        texts = texts or (parsing.labelled_lines(text, "input") if closed else [])
        if len(texts) < self.num_induction_inputs:
            return None, "too few inputs"
        read = parsing.read_program(program, rename=False)
        inputs = [parsing.read_arguments(item, read.parameters) for item in texts[-self.num_induction_inputs :]]
        messages = [block.body for block in usable if block.kind == "message"]
        messages = messages or (parsing.labelled_lines(text, "message") if closed else [])
        if None in inputs:
            return None, "input is not literal"
        if not messages:
            return None, "no message"
        return Proposal(program, tuple(item for item in inputs if item is not None), messages[0].strip()), ""

    def parse_answer(self, task_type: TaskType, response: str) -> ParsedAnswer:
        """Read an answer: canonical literals (deduction, abduction) or the program's text (induction).

        ``answer`` is None where the tagged text holds nothing of the kind; that costs the credit, not the format.
        """
        sections = parsing.split_response(response, self.thinking_opened)
        if sections.answer is None:
            return ParsedAnswer(None, False)
        if task_type is TaskType.INDUCTION:
            read = parsing.find_program(sections.answer, last=True, rename=False, closed=sections.closed)
            return ParsedAnswer(read.program, sections.well_formed)
        kind, reader = {
            TaskType.DEDUCTION: ("output", parsing.read_literal),
            TaskType.ABDUCTION: ("input", parsing.read_arguments),
        }[task_type]
        answer = parsing.find_value(sections.answer, kind, reader, closed=sections.closed)
        return ParsedAnswer(answer, sections.well_formed)

    def respond(self, task_type: TaskType, values: Sequence[str], answer: str) -> str:
        """A solver's well-formed response; the prompt has opened ``<think>`` where ``thinking_opened`` says so."""
        steps = "\n".join(f"Step {number}: {value}" for number, value in enumerate(values, 1)) or "It follows at once."
        kind = {TaskType.DEDUCTION: "output", TaskType.ABDUCTION: "input", TaskType.INDUCTION: "python"}[task_type]
        opening = "\n" if self.thinking_opened else "<think>\n"
        return f"{opening}{steps}\n</think>\n<answer>\n{_fence(kind, answer)}\n</answer>"
