"""The paper style: what its prompts hold for base and chat models, and what of a response counts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from azr.errors import UserError
from azr.executor import Executor, Job, Verdict
from azr.prompts import load_style
from azr.prompts.fences import blocks
from azr.prompts.paper import ALLOWED_IMPORTS, BANNED_NAMES, PaperStyle
from azr.tasks import Task, TaskType

DEDUCTION, ABDUCTION, INDUCTION = TaskType
PAIR = Task(DEDUCTION, "def f(x, y):\n    return x * 7 + y", ("31, 5",), ("222",))
OTHER = Task(DEDUCTION, "def f(s):\n    return s[::-1]", ("'desserts'",), ("'stressed'",))
PAIRS = Task(INDUCTION, "def f(x):\n    return x * 1000", tuple("0123456789"),
             tuple(str(n * 1000) for n in range(10)), "Look at the zeros.")  # fmt: skip
STYLE = PaperStyle()


def test_base_prompts_are_plain_text_that_ends_with_the_opened_think_tag():
    for prompt in (
        STYLE.propose(DEDUCTION, [PAIR]),
        STYLE.solve(PAIR),
        STYLE.solve(PAIRS),
        STYLE.ask("What is 2 + 3?"),
    ):
        assert prompt.endswith("\nAssistant: <think>")
        assert prompt.count("\nUser: ") == 1
        assert all(tag in prompt for tag in ("</think>", "<answer>", "</answer>"))
    assert "\nUser: What is 2 + 3?\n" in STYLE.ask("What is 2 + 3?")


@pytest.mark.parametrize("task_type", [DEDUCTION, ABDUCTION])
def test_proposer_prompts_show_every_reference_and_every_rule(task_type):
    prompt = STYLE.propose(task_type, [PAIR, OTHER])
    for number, task in enumerate([PAIR, OTHER], 1):
        section = prompt.split(f"<reference_{number}>")[1].split(f"</reference_{number}>")[0]
        expected = [("python", task.program), ("input", task.input), ("output", task.output)]
        assert [(block.kind, block.text) for block in blocks(section)] == expected
    assert all(name in prompt for name in BANNED_NAMES)
    assert "reference" not in STYLE.propose(task_type, [])
    assert STYLE.propose(DEDUCTION, []) != STYLE.propose(ABDUCTION, [])


def test_what_the_prompt_forbids_and_allows_is_what_the_executor_does():
    banned = sorted(set(BANNED_NAMES) - {"print"})  # which is harmless in the sandbox, and still nothing for a task
    with Executor(workers=1) as executor:
        refused = executor.run_many([Job(f"import {name}\ndef f(): return {name}(1)", "") for name in banned])
        allowed = executor.run_many([Job(f"import {name}\ndef f(): return 1", "") for name in ALLOWED_IMPORTS])
    assert {execution.verdict for execution in refused} == {Verdict.REJECTED}
    assert {execution.verdict for execution in allowed} == {Verdict.OK}


def test_the_induction_proposer_sees_one_program_and_is_asked_for_inputs_and_a_message():
    prompt = STYLE.propose(INDUCTION, [PAIR])
    assert PAIR.program in prompt
    assert "Give 10 inputs and one message" in prompt
    assert "222" not in prompt


def test_a_solver_sees_what_is_given_and_not_what_is_asked():
    deduction, abduction, induction = map(
        STYLE.solve, (PAIR, Task(ABDUCTION, PAIR.program, ("31, 5",), ("222",)), PAIRS)
    )
    assert PAIR.program in deduction
    assert ("31, 5" in deduction, "222" in deduction) == (True, False)
    assert PAIR.program in abduction
    assert ("31, 5" in abduction, "222" in abduction) == (False, True)
    assert ("x * 1000" in induction, "Look at the zeros." in induction) == (False, True)
    assert [str(n * 1000) in induction for n in range(1, 10)] == [True] * 4 + [False] * 5


def tokenizer(template: str | None, *, adds_bos: bool) -> PreTrainedTokenizerFast:
    words = Tokenizer(models.WordLevel({"<s>": 0, "<unk>": 1, "x": 2, "</s>": 3}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    if adds_bos:
        words.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    special = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    return PreTrainedTokenizerFast(tokenizer_object=words, chat_template=template, **special)


CHAT = "{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m.content }}[end]{% endfor %}[assistant]"


@pytest.mark.parametrize("adds_bos", [True, False])
@pytest.mark.parametrize("end", ["", "{{ eos_token }}"])
def test_chat_prompts_follow_the_template_never_begin_twice_and_never_end(adds_bos, end):
    chat = tokenizer(CHAT + end, adds_bos=adds_bos)
    prompt = load_style("paper-chat", chat).solve(PAIR)
    assert prompt.removeprefix("<s>").startswith("[user]")
    assert prompt.endswith("[end][assistant]")
    assert chat(prompt)["input_ids"].count(chat.bos_token_id) == 1


def test_a_base_model_with_a_chat_template_gets_plain_text_unless_the_style_says_chat():
    assert load_style("paper", tokenizer(CHAT, adds_bos=False)).solve(PAIR) == STYLE.solve(PAIR)
    with pytest.raises(UserError, match="no chat template"):
        load_style("paper-chat", tokenizer(None, adds_bos=False))


OUTPUT = "\n```output\n42\n```\n"


@pytest.mark.parametrize(
    ("response", "answer", "well_formed"),
    [
        (f"so</think>\n<answer>{OUTPUT}</answer>", "42", True),
        (f"<think>so</THINK> <Answer>{OUTPUT}</Answer> I hope that helps! <answer>9</answer>", "42", True),
        (f"It goes in <answer> tags.</think><answer>{OUTPUT}</answer>", "42", True),
        ("so</think><answer>42</answer>", "42", True),
        ("so</think><answer>\n```output\n42\n</answer>", "42", True),  # the tag ends the block
        ("so</think><answer></answer>" + OUTPUT, None, True),
        (OUTPUT, None, False),
        (f"so <answer>{OUTPUT}</answer>", "42", False),
        (f"so</think> Therefore: <answer>{OUTPUT}</answer>", "42", False),
        (f"so <answer>9</answer> no, <answer>{OUTPUT}</answer>", "42", False),
        (f"so</think><answer>{OUTPUT}", "42", False),  # nothing is missing but the tag
        ("so</think><answer>4", None, False),
        (f"so</think><answer>{OUTPUT}No, it is", None, False),
        (f"so</think><answer>{OUTPUT}```output\n4", None, False),
        (f"<answer>{OUTPUT}</answer> or <answer>\n```output\n4", None, False),
        ("First x is 3, then", None, False),
        ("", None, False),
    ],
)
def test_which_part_of_a_response_is_its_answer(response, answer, well_formed):
    read = STYLE.parse_answer(DEDUCTION, response)
    assert (read.answer, read.well_formed) == (answer, well_formed)


@pytest.mark.parametrize(
    ("response", "final"),
    [
        ("so</think><answer> \\boxed{4} </answer>", "\\boxed{4}"),
        ("so</think> It is 4.", "It is 4."),
        ("2 + 2 = 4", "2 + 2 = 4"),
        ("so</think><answer>\\boxed{4}", "\\boxed{4}"),
        ("so</think><answer>\\boxed{4} or \\boxed{", ""),
        ("<think>It may be 4", ""),
    ],
)
def test_what_a_problem_set_grades(response, final):
    assert STYLE.final(response) == final


def test_a_chat_model_must_open_its_thoughts_unless_its_template_does():
    closed, opened = (PaperStyle(tokenizer(t, adds_bos=False)) for t in (CHAT, CHAT + "<think>\n"))
    response = f"so</think><answer>{OUTPUT}</answer>"
    assert not closed.parse_answer(DEDUCTION, response).well_formed
    assert closed.parse_answer(DEDUCTION, "<think>" + response).well_formed
    assert opened.parse_answer(DEDUCTION, response).well_formed


PROGRAM, INPUTS = "```python\ndef walk(x):\n    return x\n```\n", [f"```input_{n}\nwalk({n})\n```\n" for n in range(10)]
HINT = "```message\nA hint\n```\n"


@pytest.mark.parametrize(
    ("task_type", "text", "inputs"),
    [
        (DEDUCTION, PROGRAM + INPUTS[3] + INPUTS[4], ("3",)),
        (ABDUCTION, INPUTS[3] + PROGRAM + "```python\ndef f(x):\n    return 0\n```", ("3",)),
        (DEDUCTION, PROGRAM, None),
        (DEDUCTION, INPUTS[3], None),
        (DEDUCTION, PROGRAM + "```input\nrange(3)\n```", None),
        (INDUCTION, INPUTS[0] + "".join(INPUTS).replace("walk", "f") + HINT, tuple("0123456789")),
        (INDUCTION, "".join(INPUTS[1:]).replace("walk", "f") + HINT, None),
        (INDUCTION, "".join(INPUTS).replace("walk", "f"), None),
    ],
)
def test_proposals(task_type, text, inputs):
    reference = Task(DEDUCTION, "def f(x):\n    return -x", ("1",), ("-1",))
    read = STYLE.parse_proposal(task_type, f"so</think><answer>{text}</answer>", [reference])
    assert read.well_formed
    assert (read.proposal and read.proposal.inputs, bool(read.reason)) == (inputs, inputs is None)
    if read.proposal:
        program = reference.program if task_type is INDUCTION else "def walk(x):\n    return x\n\nf = walk"
        assert (read.proposal.program, read.proposal.message) == (program, "A hint" if task_type is INDUCTION else "")
    assert STYLE.parse_proposal(task_type, text, [reference]).proposal is None  # outside the tags


@pytest.mark.parametrize("task", [PAIR, Task(ABDUCTION, PAIR.program, PAIR.inputs, PAIR.outputs), PAIRS])
def test_a_right_response_is_read_back(task):
    for style in (STYLE, PaperStyle(tokenizer(CHAT, adds_bos=False))):
        read = style.parse_answer(task.type, style.respond(task.type, ("217",), task.answer))
        assert (read.answer, read.well_formed) == (task.answer, True)
        assert style.final(style.respond(None, ["2 + 2 is 4."], "4")) == "4"


@given(st.text(max_size=200))
def test_any_text_is_read_without_an_error(text):
    for response in (text, f"so</think><answer>{text}</answer>", f"so</think><answer>```output\n{text}\n```</answer>"):
        for task_type in TaskType:
            STYLE.parse_proposal(task_type, response, [PAIR])
            STYLE.parse_answer(task_type, response)
        STYLE.final(response)
