"""HumanEval+ and MBPP+ (EvalPlus, arXiv 2305.01210), graded in the executor.

Both published forms are read: EvalPlus's own release (inputs, reference solution, tolerance) and the hub's (a test
program). Either becomes one trusted test program per problem, which runs after the model's program in the sandbox. It
sees none of the globals of that program but the entry function, and takes nothing for equal because the model's object
says so: only values of built-in types and of ``collections`` are compared.

Comparison follows EvalPlus: ``==``, else numbers within the tolerance (1e-6 where all are floats, relative 1e-7), sets
where order is free, and its rules for single problems. Left out: EvalPlus's contracts (not checked there
either) and its per-input time limits: the executor's limit holds for all inputs together. Of the 378 reference
solutions of MBPP+'s release 375 pass under ``benchmark_executor``; tasks 255 and 599 need more time or memory than it
gives (their hub form, with stored results, less), and task 596 asks for object sizes, which the sandbox does not tell.
"""

from __future__ import annotations

import ast
import builtins
import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from azr.benchmarks.base import Problem, answer_text
from azr.benchmarks.evalplus_inputs import restore_inputs
from azr.prompts.parsing import blocks, clean, parse, without_blocks

if TYPE_CHECKING:
    from azr.executor import Executor

_SET_EQUAL = frozenset(
    [
        "similar_elements",
        "find_char_long",
        "common_in_nested_lists",
        "extract_singly",
        "larg_nnum",
        "intersection_array",
        "find_dissimilar",
        "Diff",
    ]
)
"""MBPP+ entry points whose results are compared as sets."""
_NOT_NONE = frozenset({"check_str", "text_match_three", "text_starta_endb"})
"""MBPP+ entry points where the reference answers by a match or None, and a truth value will do."""

_ASSERTION = """
from collections import Counter, OrderedDict, defaultdict, deque
_types = (int, float, complex, bool, str, bytes, bytearray, range, type(None))
_lists = (list, tuple, set, frozenset, deque)
_dicts = (dict, Counter, OrderedDict, defaultdict)
def is_plain(value):
    kind = type(value)
    if kind in _dicts:
        return all([is_plain(key) and is_plain(item) for key, item in value.items()])
    return kind in _types or (kind in _lists and all([is_plain(item) for item in value]))
def is_floats(value):
    return type(value) is float or (type(value) in (list, tuple) and all([type(item) is float for item in value]))
def is_close(out, exp, atol):
    if type(exp) in (list, tuple):
        return type(out) in (list, tuple) and len(out) == len(exp) and all(map(is_close, out, exp, [atol] * len(exp)))
    if type(out) not in (int, float, bool, complex) or type(exp) not in (int, float, bool, complex):
        return False
    return out == exp or (out != out and exp != exp) or abs(out - exp) <= atol + 1e-7 * abs(exp)
def assertion(out, exp, atol):
    assert is_plain(out), "a value of a type of its own"
    if out == exp:
        return
    atol = atol or (1e-6 if is_floats(exp) else 0)
    assert atol and is_close(out, exp, atol)
"""
_SPECIAL = {
    "are_equivalent": "assert is_plain(out)",  # Mbpp/164: EvalPlus takes any answer
    "sum_div": "out == 0 or assertion(out, exp, atol)",  # Mbpp/295: the number itself may count as a divisor or not
    "find_zero": "assert abs(sum([factor * out**power for power, factor in enumerate(inp[0])])) <= atol",
} | dict.fromkeys(_SET_EQUAL, "assertion(set(out), set(exp), atol)")
_SPECIAL |= dict.fromkeys(_NOT_NONE, "assert out == exp if type(out) is bool else (out is not None) == exp")


def read_evalplus(name: str, row: Mapping[str, Any], index: int) -> Problem:
    """A row of either form: ``test``, or ``base_input``, ``plus_input``, ``canonical_solution`` and ``atol``."""
    prompt, solution = row["prompt"], row.get("canonical_solution", row.get("code"))
    if not isinstance(prompt, str) or not isinstance(solution, str):
        raise ValueError("prompt and solution must be text")
    completes = name == "humaneval_plus"
    reference = prompt + solution if completes else solution
    entry = row.get("entry_point")
    if isinstance(row.get("test"), str):
        tree, called = _published_test(row["test"])
        entry = entry or called
        if entry is None:
            raise ValueError("the test calls no entry function")
        tests = _tests_of(tree, entry)
    elif isinstance(entry, str):
        number = int(match.group()) if (match := re.search(r"\d+$", str(row["task_id"]))) else -1
        given = [list(inputs) for column in ("base_input", "plus_input") for inputs in row.get(column) or []]
        inputs = given if completes else restore_inputs(number, given)
        tests = _tests_from(reference, entry, inputs, float(row.get("atol") or 0))
    else:
        raise ValueError("neither a test nor inputs with an entry_point")
    question = _completion_question(prompt) if completes else _mbpp_question(prompt, row.get("test_list"), entry)
    gold = {"tests": tests, "entry_point": entry, "prefix": prompt if completes else "", "reference": reference}
    return Problem(name, str(row.get("task_id", index)), question, gold)


def _completion_question(prompt: str) -> str:
    return (
        "Write this Python function to the end. Give the whole program, with its imports, in a block that starts with "
        f"```python.\n\n```python\n{prompt.strip()}\n```"
    )


def _mbpp_question(prompt: str, test_list: Any, entry: str) -> str:
    text = prompt.strip().strip('"').strip()
    if isinstance(test_list, list) and test_list and str(test_list[0]) not in text:
        text += f"\n{test_list[0]}"
    return (
        f"Write a Python program with a function `{entry}` for this task, so that the assertion holds. Give the whole "
        f"program, with its imports, in a block that starts with ```python.\n\n{text}"
    )


def _published_test(source: str) -> tuple[ast.Module, str | None]:
    """The hub's test without numpy and its own helpers, and the name of the function that it calls (MBPP+)."""
    tree = ast.parse(source)
    own = {"is_floats", "assertion"}
    tree.body = [
        node
        for node in tree.body
        if not (isinstance(node, ast.Import) and any(item.name.startswith("numpy") for item in node.names))
        and not (isinstance(node, ast.FunctionDef) and node.name in own)
    ]
    defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    called = [
        node.func.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id not in defined
        and any(isinstance(argument, ast.Starred) for argument in node.args)
    ]
    return tree, next((name for name in called if name != "candidate"), None)


def _tests_of(tree: ast.Module, entry: str) -> str:
    checks = any(isinstance(node, ast.FunctionDef) and node.name == "check" for node in tree.body)
    text = ast.unparse(tree)
    calls = f"\ncheck({entry})" if checks and not re.search(r"^check\(", text, re.MULTILINE) else ""
    return _isolated(_ASSERTION + text + calls, keep=entry)


def _tests_from(reference: str, entry: str, inputs: Sequence[Sequence[Any]], atol: float) -> str:
    check = _SPECIAL.get(entry, "assertion(out, exp, atol)")
    expected = (
        "is_match = exp is not None\n    exp = exp if type(exp) is bool else is_match" if entry in _NOT_NONE else ""
    )
    return _isolated(
        f"{_ASSERTION}\nfrom copy import deepcopy\nfrom math import inf, nan\natol = {atol!r}\n"
        f"def make_reference():\n{textwrap.indent(ast.unparse(ast.parse(reference)), '    ')}\n    return {entry}\n"
        f"reference = make_reference()\nfor inp in {list(inputs)!r}:\n    exp = reference(*deepcopy(inp))\n"
        f"    {expected or 'pass'}\n    out = {entry}(*deepcopy(inp))\n    {check}",
        keep=entry,
    )


def _isolated(source: str, keep: str) -> str:
    """``source`` inside a function whose names are its own or real builtins, whatever the program has redefined.

    Of the program's names only ``keep`` is seen, and only where ``source`` itself does not define it.
    """
    tree = ast.parse(source)
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} - {keep}
    used = sorted(name for name in names if hasattr(builtins, name) and name not in ("None", "True", "False"))
    bindings = "".join(f"    {name} = _real.get({name!r})\n" for name in used)
    return f"def _run_tests(_real):\n{bindings}{textwrap.indent(ast.unparse(tree), '    ')}\n_run_tests(__builtins__)\n"


def extract_program(response: str, entry: str, prefix: str = "") -> str | None:
    """The program of a response that defines ``entry``, or None.

    The last block that defines it counts, else bare code. With ``prefix`` (a signature to be completed) its imports and
    helpers are put in front, and a body alone is taken as the completion.
    """
    text, _ = answer_text(response)
    found = blocks(text)
    candidates = [block.body for kind in ("python", "") for block in found[::-1] if block.kind == kind]
    candidates = [textwrap.dedent(candidate) for candidate in candidates] or _bare(without_blocks(text))
    for candidate in candidates:
        tree = parse(candidate)
        if tree is not None and _defines(tree, entry):
            return _head(prefix, entry) + candidate if not candidate.startswith("from __future__") else candidate
    if prefix:
        whole = clean(response) if clean(response).strip() == text.strip() else text  # its first indentation counts
        for candidate in [whole, *candidates]:
            body = re.split(r"\n(?=\S)", candidate.strip("\n"))[0].rstrip()
            completed = (
                prefix.rstrip() + "\n" + (body if body.startswith((" ", "\t")) else textwrap.indent(body, "    "))
            )
            tree = parse(completed)
            if tree is not None and body.strip() and _defines(tree, entry):
                return completed
    return None


def _defines(tree: ast.Module, entry: str) -> bool:
    return any(isinstance(node, ast.FunctionDef) and node.name == entry for node in tree.body)


def _head(prefix: str, entry: str) -> str:
    """Imports and helper functions that the prompt of a completion gives."""
    tree = parse(prefix) if prefix else None
    if tree is None:
        return ""
    kept = [node for node in tree.body if not (isinstance(node, ast.FunctionDef) and node.name == entry)]
    return "".join(ast.unparse(node) + "\n" for node in kept)


def _bare(text: str) -> list[str]:
    """Unfenced text from its first definition or import on, cut back line by line until it parses."""
    match = re.search(r"^(?:(?:def|class|import|from) |@)[^\n]*", text, re.MULTILINE)
    if match is None:
        return []
    lines = text[match.start() :].splitlines()
    ends = [number for number in range(len(lines), 0, -1) if number == len(lines) or lines[number][:1].strip()]
    return ["\n".join(lines[:end]).rstrip() for end in ends[:50]]


def grade_evalplus(items: Sequence[tuple[Problem, str]], executor: Executor) -> list[bool]:
    """Right if the program passes every test; all programs run in ``executor``, many at once."""
    from azr.executor import Script

    scripts: list[tuple[int, Script]] = []
    for number, (problem, response) in enumerate(items):
        program = extract_program(response, problem.gold["entry_point"], problem.gold["prefix"])
        if program is not None:
            scripts.append((number, Script(program, problem.gold["tests"])))
    right = [False] * len(items)
    for (number, _), execution in zip(scripts, executor.run_many([s for _, s in scripts]), strict=True):
        right[number] = execution.ok
    return right
