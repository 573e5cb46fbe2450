"""The corpus: right where no error is planted, flawed at the stated rates, and free of held-out programs."""

import ast
import hashlib
import itertools
import re
from collections import Counter

from azr.prompts.compact import PROPOSE, SOLVE, CompactStyle
from azr.tasks import Task, TaskType
from azr.world import corpus
from azr.world.corpus import documents
from azr.world.grammar import MAX_STATEMENTS, split_of
from azr.world.tokenizer import build_tokenizer

STYLE = CompactStyle()
PROGRAMS = re.compile(r"def f\(x\):\n(?: {4}[^\n]*(?:\n|\Z))+")
COUNT = 1000
DOCUMENTS = list(documents(0, COUNT))


def function(text: str):
    """The program under plain Python: its text is ours."""
    namespace = {}
    exec(text, namespace)
    return namespace["f"]


def parts(prompt: str) -> tuple[str, str, list[str], list[str]]:
    """Of a prompt: its first line, its program, its inputs and its outputs."""
    head, _, rest = prompt.partition("\n")
    program = "".join(PROGRAMS.findall(rest)[:1]).rstrip("\n")
    shown = re.findall(r"^(input|output) (.*)$", rest, re.MULTILINE)
    return f"{head}\n", program, [v for k, v in shown if k == "input"], [v for k, v in shown if k == "output"]


def is_right(prompt: str, response: str) -> bool | None:
    """Whether a worked answer is right by running its program; None for documents of other kinds."""
    head, program, inputs, outputs = parts(prompt)
    task_type = {text: task_type for task_type, text in SOLVE.items()}.get(head)
    if task_type is None:
        return None
    answer = STYLE.parse_answer(task_type, response).answer
    if answer is None:
        return False
    try:
        if task_type is TaskType.DEDUCTION:
            return repr(function(program)(ast.literal_eval(inputs[0]))) == answer
        if task_type is TaskType.ABDUCTION:
            return repr(function(program)(ast.literal_eval(answer))) == outputs[0]
        written = function(answer)
        return all(repr(written(ast.literal_eval(i))) == o for i, o in zip(inputs, outputs, strict=True))
    except Exception:
        return False


def test_without_planted_errors_every_answer_is_right_and_every_proposal_holds(monkeypatch):
    for rate in ("TRACE_ERROR_RATE", "MALFORMED_RATE", "INVALID_PROPOSAL_RATE"):
        monkeypatch.setattr(corpus, rate, 0.0)
    kinds = Counter()
    for prompt, response in documents(1, 400):
        task_type = next((kind for kind, text in PROPOSE.items() if prompt.startswith(text)), None)
        if task_type is None:
            assert is_right(prompt, response) in (True, None)
            kinds[prompt.split(" ")[0]] += 1
            continue
        reference = Task(task_type, parts(prompt)[1], ("1",), ("1",))
        proposal = STYLE.parse_proposal(task_type, response, [reference]).proposal
        outputs = [function(proposal.program)(ast.literal_eval(text)) for text in proposal.inputs]
        assert len(outputs) == (6 if task_type is TaskType.INDUCTION else 1)
        kinds["propose"] += 1
    assert set(kinds) == {"predict", "find", "write", "question", "propose"}


def test_errors_are_planted_at_about_the_stated_rates():
    verdicts = {"predict": [], "find": [], "write": []}
    for prompt, response in DOCUMENTS:
        if (right := is_right(prompt, response)) is not None:
            verdicts[prompt.split(" ")[0]].append(right)
    for kind, found in verdicts.items():  # a slip may by chance change nothing
        assert (0.12 if kind == "predict" else 0.05) < 1 - sum(found) / len(found) < 0.27


def test_no_held_out_program_or_question_in_any_prompt_or_response():
    whole = [p.rstrip("\n") for text in itertools.chain.from_iterable(DOCUMENTS) for p in PROGRAMS.findall(text)]
    whole = [p for p in whole if p.splitlines()[-1].startswith("    return ") and "z" not in p]  # not cut, not spoiled
    questions = [prompt for prompt, _ in DOCUMENTS if prompt.startswith("question ")]
    assert len(whole) > COUNT
    assert len(questions) > COUNT * 0.04
    assert {split_of(text) for text in whole + questions} == {"train"}


def test_documents_are_the_same_for_the_same_seed_whatever_their_number_and_those_the_shipped_models_saw():
    assert list(documents(0, 50)) == DOCUMENTS[:50]
    assert list(documents(1, 50)) != DOCUMENTS[:50]
    digest = hashlib.sha256(repr(DOCUMENTS).encode()).hexdigest()
    assert digest == "407d65cebd8e0edfd991414c22327f3c8452731d9195d20e23cddf67e18d7580"


def test_programs_are_as_short_as_is_asked():
    def longest(pairs) -> int:
        texts = itertools.chain.from_iterable(pairs)
        return max(len(program.splitlines()) - 1 for text in texts for program in PROGRAMS.findall(text))

    assert longest(documents(2, 150, most=1)) == 1
    assert longest(documents(2, 150, most=3)) == 3
    assert longest(DOCUMENTS) == MAX_STATEMENTS


def test_every_document_is_made_of_known_tokens_and_fits_the_model():
    tokenizer = build_tokenizer()
    for prompt, response in DOCUMENTS:
        ids = tokenizer(prompt)["input_ids"] + tokenizer(response)["input_ids"]
        assert tokenizer.unk_token_id not in ids
        assert len(ids) + 2 <= 512
