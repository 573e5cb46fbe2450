"""The prompt style of the paper's models: thoughts in ``<think>``, the result in ``<answer>``, values in fences.

>>> from azr.tasks import Task, TaskType
>>> style = PaperStyle()
>>> style.solve(Task(TaskType.DEDUCTION, "def f(x):\\n    return x", ("1",), ("1",))).endswith("Assistant: <think>")
True
>>> style.parse_answer(TaskType.DEDUCTION, "It returns x.</think> <answer>\\n```output\\n1\\n```\\n</answer>").answer
'1'

The content follows AZR (arXiv 2505.03335) and its published prompts; the wording, in ``paper.yaml``, is ours.
What is read:

* A response is well formed if thinking, its closing tag and an answer between its tags follow one another; text after
  that is ignored. Layout inside the answer never costs the format, and only what is inside ``<answer>`` counts.
* A proposal's program is its first python block, whose last top-level function is the entry where no ``f`` is
  defined; a solver's program is its last python block and must define ``f`` (AZR's rule: the prompt asks for it).
* Inputs and outputs must be literals. AZR pastes them into code, which the policy can exploit.

Left out: AZR's fourth task type (predicting an error class) and composite functions, both off in every published run.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from azr.executor.policy import IMPORTS
from azr.prompts.base import ParsedAnswer, ParsedProposal, PromptStyle
from azr.prompts.fences import blocks, fence
from azr.prompts.parsing import ANSWER_KIND, find_answer, find_program, read_arguments, read_program
from azr.tasks import Proposal, Task, TaskType

_TEXT = yaml.safe_load(Path(__file__).with_name("paper.yaml").read_text(encoding="utf-8"))
BANNED_NAMES = tuple(_TEXT["banned"])
ALLOWED_IMPORTS = tuple(sorted(IMPORTS - {"__future__"}))
"""What our executor lets a program import, so that no proposal is lost for want of knowing it."""
_RULES = _TEXT["rules"].format(imports=", ".join(ALLOWED_IMPORTS), banned=", ".join(BANNED_NAMES))
_ANSWER = re.compile(r"\s*<\s*answer\s*>(.*?)<\s*/answer\s*>", re.IGNORECASE | re.DOTALL)
_TAG = {name: re.compile(rf"<\s*{name}\s*>", re.IGNORECASE) for name in ("think", "/think", "answer", "/answer")}


def chat_turn(tokenizer: Any, content: str) -> str:
    """``content`` as the user's turn through the chat template of ``tokenizer``, up to where the model goes on."""
    message = {"role": "user", "content": content}
    text = tokenizer.apply_chat_template([message], tokenize=False, add_generation_prompt=True)
    begin, end = tokenizer.bos_token, tokenizer.eos_token
    if begin and tokenizer("x")["input_ids"][:1] == [tokenizer.bos_token_id]:
        text = text.removeprefix(begin)
    return text.removesuffix(end or "")  # some templates end every turn, where the model is to go on


class PaperStyle(PromptStyle):
    """AZR's prompts (see ``azr.prompts.base.PromptStyle``) for base models, or with a tokenizer for chat models.

    Base models get plain text that ends with the opened ``<think>``; chat models get the same text as one user turn
    through their own chat template, with the beginning-of-sequence token only if the tokenizer would not add it itself.
    """

    name = "paper"
    num_induction_inputs = 10

    def __init__(self, tokenizer: Any = None) -> None:
        """``tokenizer``: a transformers tokenizer with a chat template, None for base models."""
        self.tokenizer = tokenizer
        self.thinking_opened = self.ask("").rstrip().endswith("<think>")

    def ask(self, question: str) -> str:
        if self.tokenizer is None:
            return f"{_TEXT['preamble']}\n\nUser: {question}\nAssistant: <think>"
        return chat_turn(self.tokenizer, f"{_TEXT['preamble']}\n\n{question}")

    def propose(self, task_type: TaskType, references: Sequence[Task]) -> str:
        """As the contract says; deduction and abduction take any number of references (0 is AZR's ablation)."""
        if task_type is TaskType.INDUCTION:
            program = fence("python", references[0].program + "\n\nf(...)  # your input goes here")
            words = {"program": program, "count": self.num_induction_inputs, "arguments": _TEXT["arguments"]}
            return self.ask(_TEXT["propose_induction"].format(**words))
        shown = ""
        for number, task in enumerate(references, 1):
            parts = [fence("python", task.program), fence("input", task.input), fence("output", task.output)]
            shown += f"\n\n<reference_{number}>\n" + "\n".join(parts) + f"\n</reference_{number}>"
        words = {"rules": _RULES, "arguments": _TEXT["arguments"], "new": _TEXT["new"] if references else ""}
        return self.ask(_TEXT["propose"].format(**words, references=shown, **_TEXT["aims"][task_type]))

    def solve(self, task: Task) -> str:
        words = _TEXT["solve"][task.type]
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
        demand = words["demand"].format(arguments=_TEXT["arguments"])
        example = fence(ANSWER_KIND[task.type], words["example"])
        return self.ask("\n\n".join([words["question"], *given, f"{demand}\n{example}"]))

    def parse_proposal(self, task_type: TaskType, response: str, references: Sequence[Task]) -> ParsedProposal:
        answer, well_formed = self._answer(response)
        parts = [block for block in blocks(answer or "") if block.closed]
        texts = [part.text for part in parts if part.kind == "input"]
        if task_type is TaskType.INDUCTION:
            found, count = read_program(references[0].program, rename=False), self.num_induction_inputs
            texts, messages = texts[-count:], [part.text.strip() for part in parts if part.kind == "message"]
        else:
            found, count = find_program(answer or "", proposed=True), 1
            texts, messages = texts[:count], [""]
        inputs = [read_arguments(text, found.parameters, found.entry) for text in texts]
        missing = {
            "no answer between its tags": answer is None,
            "empty or cut off": not answer,
            found.reason: found.program is None,
            "too few inputs": len(texts) < count,
            "input is not literal": not all(inputs),
            "no message": not messages,
        }
        for reason, holds in missing.items():
            if holds:
                return ParsedProposal(None, well_formed, reason)
        return ParsedProposal(Proposal(found.program, tuple(inputs), messages[0]), well_formed)

    def parse_answer(self, task_type: TaskType | None, response: str) -> ParsedAnswer:
        """``answer`` is None where the tagged text holds nothing of the kind; that costs the credit, not the format."""
        answer, well_formed = self._answer(response)
        if task_type is not None and answer is not None:
            answer = find_answer(task_type, answer)
        return ParsedAnswer(answer, well_formed)

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
