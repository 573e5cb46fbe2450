"""HumanEval+ and MBPP+ (EvalPlus, arXiv 2305.01210), graded in the executor.

Both published forms are read: EvalPlus's own release has a problem's inputs and its tolerance, the hub's has them
inside of a test program. Either becomes one trusted test, which runs after the model's program in the sandbox: what is
right, the reference solution says. It sees none of the globals of that program but the entry function, and takes
nothing for equal because the model's object says so: only values of built-in types and of ``collections`` are compared.
A test that names no inputs, as OpenAI's ``check(candidate)``, is called as it stands and compares as it does itself.

Comparison follows EvalPlus: ``==``, else numbers within the tolerance (1e-6 where all are floats, relative 1e-7), and
its oracles for single problems. Left out: its contracts (not checked there either), its per-input time limits.
"""

from __future__ import annotations

import ast
import builtins
import re
import symtable
import textwrap
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from azr.executor import Executor, Script, Verdict
from azr.problems.tasks import Graded, Problem
from azr.prompts.base import PromptStyle
from azr.prompts.fences import blocks
from azr.prompts.parsing import parse

_DATA = yaml.safe_load(Path(__file__).with_name("evalplus.yaml").read_text(encoding="utf-8"))


def read_evalplus(row: Mapping[str, Any], index: int) -> list[Problem]:
    """A row of either form: ``test``, or ``base_input``, ``plus_input`` and ``atol``."""
    prompt, solution, test = row["prompt"], row.get("canonical_solution") or row["code"], row.get("test")
    called = re.search(r"\b(\w+)\(\*inp\)", test or "")  # the hub's rows of MBPP+ name their function nowhere else
    entry = row.get("entry_point") or (called and called[1])
    if not entry:
        raise ValueError("no entry_point, and the test calls no function")
    completes = f"def {entry}" in prompt
    reference = prompt + solution if completes else solution
    if test:
        tests = _tests_of_test(test, reference, entry)
    else:
        inputs = repr(restored([*(row.get("base_input") or []), *(row.get("plus_input") or [])], prompt, entry))
        tests = _tests(reference, entry, inputs, float(row.get("atol") or 0))
    text = prompt.strip()
    if not completes:
        text, shown = text.strip('"').strip(), (row.get("test_list") or [""])[0]
        text += "" if shown in text else f"\n{shown}"
    question = _DATA["complete" if completes else "write"].format(entry=entry, text=text)
    gold = {"tests": tests, "entry_point": entry, "prefix": prompt if completes else "", "reference": reference}
    return [Problem(str(row["task_id"]), "", question, gold=gold)]


def _tests_of_test(test: str, reference: str, entry: str) -> str:
    """The test program of one of the hub's, by the inputs in it and its tolerance, or of one that calls ``check``."""
    nodes = list(ast.walk(ast.parse(test)))
    assigned = (node for node in nodes if isinstance(node, ast.Assign))
    inputs = [ast.unparse(node.value) for node in assigned if ast.unparse(node.targets[0]) == "inputs"]
    if inputs:
        atol = re.search(r"\bassertion\(.*, ([\d.e-]+)\)$", test, re.MULTILINE)
        return _tests(reference, entry, inputs[0], float(atol[1]) if atol else 0.0)
    if not any(isinstance(node, ast.FunctionDef) and node.name == "check" for node in nodes):
        raise ValueError("the test names no inputs, and defines no check(candidate)")
    return _isolated(f"{test}\ncheck({entry})\n", entry)


def restored(inputs: Sequence[Sequence[Any]], prompt: str, entry: str) -> list[list[Any]]:
    """The inputs with the types that JSON took from them, as the calls in the prompt's assertions have them.

    EvalPlus has a table of tasks for this; the rule gives the same for all but a few, where it keeps to the prompt.
    """
    calls: list[list[Any]] = []
    for line in re.findall(r"^assert .*", prompt, re.MULTILINE):
        for node in ast.walk(parse(line) or ast.Module([], [])):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == entry:
                with suppress(ValueError):
                    calls.append([ast.literal_eval(argument) for argument in node.args])
    return [
        [_argument(value, [call[i] for call in calls if i < len(call)]) for i, value in enumerate(row)]
        for row in inputs
    ]


def _argument(value: Any, examples: Sequence[Any]) -> Any:
    """``value`` like the arguments in its place; where these are numbers, a string may spell a complex one."""
    if isinstance(value, str) and examples and all(isinstance(example, int | float | complex) for example in examples):
        with suppress(ValueError):
            return complex(value)
    return _like(value, examples)


def _like(value: Any, examples: Sequence[Any], nested: bool = False) -> Any:
    """``value`` with the types that ``examples`` have, all the way down.

    A list becomes a tuple or a set where one of them is one, and a tuple where one of them holds tuples in tuples.
    """
    if isinstance(value, dict):
        inner = [item for example in examples if isinstance(example, dict) for item in example.values()]
        return {key: _like(item, inner) for key, item in value.items()}
    if not isinstance(value, list):
        return value
    kinds = {type(example) for example in examples}
    kind = tuple if tuple in kinds or nested else set if set in kinds else list
    inner = [item for example in examples if type(example) in (list, tuple, set) for item in example]
    nested = nested or (kind is tuple and any(type(item) is tuple for item in inner))
    return kind([_like(item, inner, nested) for item in value])


def _tests(reference: str, entry: str, inputs: str, atol: float) -> str:
    """The test program; ``inputs`` is the Python text of a list of argument lists."""
    parts = {"reference": textwrap.indent(ast.unparse(ast.parse(reference)), "    "), "inputs": inputs}
    oracle = _DATA["oracles"].get(entry, "assertion(out, exp, atol)")
    return _isolated(_DATA["test"].format(entry=entry, atol=atol, oracle=oracle, **parts), entry)


def _isolated(source: str, entry: str) -> str:
    """The comparison and ``source`` inside a function whose names are its own or real builtins.

    Whatever the program has redefined, of its names only ``entry`` is seen, and only where ``source`` itself does not
    define it.
    """
    tree = ast.parse(_DATA["assertion"] + source)
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} - {entry}
    used = sorted(name for name in names if hasattr(builtins, name) and name not in ("None", "True", "False"))
    bindings = "".join(f"    {name} = _real.get({name!r})\n" for name in used)
    return f"def _run_tests(_real):\n{bindings}{textwrap.indent(ast.unparse(tree), '    ')}\n_run_tests(__builtins__)\n"


def extract_program(text: str, entry: str, prefix: str = "") -> str | None:
    """The program in the graded part of a response that binds ``entry`` in whatever way, or None.

    The last block that does counts, else the text itself. A ``prefix`` (a signature to be completed, with its imports
    and helpers) is put in front, and a body alone is taken as the completion.
    """
    found = [block for block in blocks(text) if block.closed]
    candidates = [block.text for kind in ("python", "") for block in found[::-1] if block.kind == kind]
    candidates = [textwrap.dedent(candidate) for candidate in candidates] or ([] if blocks(text) else _bare(text))
    for candidate in candidates:
        if _binds(candidate, entry):
            return candidate if candidate.startswith("from __future__") else f"{prefix}\n{candidate}"
    for body in [text, *candidates] if prefix else []:
        start = re.split(r"\n(?=\S)", body)[0].strip()  # its first indentation may be lost
        for completed in (textwrap.indent(textwrap.dedent(body), "    "), f"    {start}"):
            if start and _binds(f"{prefix.rstrip()}\n{completed}", entry):
                return f"{prefix.rstrip()}\n{completed}"
    return None


def _binds(program: str, name: str) -> bool:
    """Whether the program parses and gives ``name`` a value: by def, class, import, assignment, in whatever block."""
    if parse(program) is None:
        return False
    table = symtable.symtable(program, "<program>", "exec")
    return name in table.get_identifiers() and (table.lookup(name).is_assigned() or table.lookup(name).is_imported())


def _bare(text: str) -> list[str]:
    """Unfenced text from its first definition or import on, cut back line by line until it parses."""
    match = re.search(r"^(?:(?:def|class|import|from) |@|\w+ = )[^\n]*", text, re.MULTILINE)
    if match is None:
        return []
    lines = text[match.start() :].splitlines()
    ends = [number for number in range(len(lines), 0, -1) if number == len(lines) or lines[number][:1].strip()]
    return ["\n".join(lines[:end]).rstrip() for end in ends[:50]]


def grade_evalplus(attempts: Sequence[tuple[Problem, str]], style: PromptStyle, executor: Executor) -> list[Graded]:
    """Right if the program passes every test; all programs run in ``executor``, many at once."""
    scripts: dict[int, Script] = {}
    for i, (problem, response) in enumerate(attempts):
        program = extract_program(style.final(response), problem.gold["entry_point"], problem.gold["prefix"])
        if program is not None:
            scripts[i] = Script(program, problem.gold["tests"])
    done = dict(zip(scripts, executor.run_many(list(scripts.values())), strict=True))
    graded = []
    for i, (_, response) in enumerate(attempts):
        verdict, program = (done[i].verdict, scripts[i].program) if i in done else (None, None)
        form = style.parse_answer(None, response).well_formed
        graded.append(Graded(verdict is Verdict.OK, form, program, verdict is Verdict.REJECTED))
    return graded
