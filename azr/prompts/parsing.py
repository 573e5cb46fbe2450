"""Reading programs, arguments and literals out of free text.

>>> read_program("def add(a, b):\\n    return a + b", rename=True).program
'def add(a, b):\\n    return a + b\\n\\nf = add'
>>> read_arguments("f(3, [1, 2])  # two arguments")
'3, [1, 2]'
>>> find_answer(TaskType.DEDUCTION, "So:\\n```output\\n'three'\\n```")
"'three'"

Some layout is forgiven: a missing fence or label, a call instead of its arguments, names of arguments, comments.
Content is not: arguments and outputs must be literals, a program must parse, and what was cut off is never completed,
nor does anything earlier stand in for it. Everything is done on syntax trees; nothing is run, and nothing longer than
``MAX_CHARS`` is parsed. Left out: values inside sentences, sessions and comparisons.
"""

import ast
import textwrap
import warnings
from dataclasses import dataclass

from azr.executor.literals import literal_text, parse_arguments, parse_literal
from azr.prompts.fences import Block, blocks
from azr.tasks import TaskType

MAX_CHARS = 16_384
"""Longer programs and values are refused unread: the parser's time and memory stay bounded."""
ENTRY = "f"
"""The name of a program's entry function."""
ANSWER_KIND = {TaskType.DEDUCTION: "output", TaskType.ABDUCTION: "input", TaskType.INDUCTION: "python"}
"""The kind of block that holds the answer to a task."""
_FILE = "<response>"
warnings.filterwarnings("ignore", module=_FILE)  # invalid escapes and the like in other people's programs


@dataclass(frozen=True)
class ReadProgram:
    """A program as read (None if there is none, then ``reason`` says why) and the parameter names of its entry."""

    program: str | None
    reason: str = ""
    parameters: tuple[str, ...] = ()
    entry: str = ENTRY
    """The name that the entry function had."""


def parse(source: str) -> ast.Module | None:
    """The syntax tree, or None where ``source`` does not parse or is longer than ``MAX_CHARS``."""
    if len(source) > MAX_CHARS:
        return None
    try:
        return ast.parse(source, _FILE)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def read_program(text: str, rename: bool) -> ReadProgram:
    """Read ``text`` as a program with an entry function ``f``.

    Helpers, nested functions and classes are allowed (AZR's published parser refuses any second ``def``, which its own
    prompt invites). Where no ``f`` stands at top level and ``rename`` is set, the last function at top level is the
    entry (helpers come before their use): a last line names it ``f``, which changes nothing that the program does.
    """
    source = textwrap.dedent(text).strip()
    tree = parse(source)
    if tree is None:
        return ReadProgram(None, "program too long" if len(source) > MAX_CHARS else "program does not parse")
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    if not functions:
        return ReadProgram(None, "no function at top level")
    entry = next((node for node in functions[::-1] if node.name == ENTRY), functions[-1])
    if entry.name != ENTRY:
        if not rename:
            return ReadProgram(None, "no function named f")
        source += f"\n\n{ENTRY} = {entry.name}"
    parameters = tuple(argument.arg for argument in entry.args.posonlyargs + entry.args.args)
    return ReadProgram(source, parameters=parameters, entry=entry.name)


def read_arguments(text: str, parameters: tuple[str, ...] | None = None, entry: str = ENTRY) -> str | None:
    """The arguments of one call as literals with commas between them, or None.

    Taken are ``1, 'a'``, a call ``f(1, 'a')`` (``entry`` is another name the function may have) and named arguments:
    where ``parameters`` are known and hold the names, the values are put in their order, else they stay as written.
    No arguments are none, but for a program without parameters.
    """
    tree = parse(f"{ENTRY}({textwrap.dedent(text).strip()}\n)")
    call = tree.body[0].value if tree and len(tree.body) == 1 and isinstance(tree.body[0], ast.Expr) else None
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
        return None
    match call:
        case ast.Call(args=[ast.Call(func=ast.Name(id=name)) as inner], keywords=[]) if name in (ENTRY, entry):
            call = inner
    named = {keyword.arg: keyword.value for keyword in call.keywords}
    if None not in named and set(named) <= set(parameters or ()):
        free = (parameters or ())[len(call.args) :]
        named = {name: named.get(name) for name in free[: len(named)]}
    values = [*call.args, *named.values()]
    if None in named or None in values or not (values or parameters == ()):
        return None
    found = ", ".join(map(ast.unparse, values))
    try:
        parse_arguments(found)
    except ValueError:
        return None
    return found


def read_literal(text: str) -> str | None:
    """One value as the literal of it, or None. Several values separated by commas are a tuple; comments are dropped."""
    try:
        return literal_text(parse_literal(text), MAX_CHARS)
    except ValueError:
        return None


def find_program(text: str, *, proposed: bool) -> ReadProgram:
    """The first python block of ``text`` that reads as a proposed program, or the last that reads as a solver's, which
    must define ``f``; else an unlabelled block; the text as a whole where it has no block. Of a text that ends inside a
    block there is no last program."""
    found = blocks(text) or [Block("", text, closed=True)]
    if not proposed and not found[-1].closed:
        return ReadProgram(None, "program cut off")
    ordered = [block for block in (found if proposed else found[::-1]) if block.closed]
    read = [read_program(b.text, proposed) for kind in ("python", "") for b in ordered if b.kind == kind]
    return next((result for result in read if result.program), read[0] if read else ReadProgram(None, "no program"))


def find_answer(task_type: TaskType, text: str, parameters: tuple[str, ...] | None = None) -> str | None:
    """The answer to a task in the final part of a response: a literal, arguments, or the text of a program.

    The last block of the kind counts and no other; without one the last unlabelled or python block that holds a value;
    the text as a whole where it has no block. Of a text that ends inside a block there is none. ``parameters``: see
    ``read_arguments``.
    """
    if task_type is TaskType.INDUCTION:
        return find_program(text, proposed=False).program
    found = blocks(text)[::-1] or [Block("", text, closed=True)]
    named = [block for block in found if block.kind == ANSWER_KIND[task_type]][:1]
    candidates = named or [block for block in found if block.kind in ("", "python")]
    if not found[0].closed:
        return None
    for block in candidates:
        value = read_literal(block.text) if task_type is TaskType.DEDUCTION else read_arguments(block.text, parameters)
        if value is not None:
            return value
    return None
