"""The fenced blocks of a Markdown text, by what their labels say they hold.

>>> blocks("Try this:\\n```input_1\\n3, 'a'\\n```")
[Block(kind='input', text="3, 'a'", closed=True)]

Which lines make a block CommonMark says (by ``markdown-it-py``): a fence stands at the start of its line, may be
indented in a list, may be of tildes, and holds shorter or deeper indented fences as text. Left out: everything in
Markdown that is no fence, and guesses about fences in the middle of a line.
"""

import re
from dataclasses import dataclass

from markdown_it import MarkdownIt
from markdown_it.token import Token

LABELS = {"python": "python", "py": "python", "input": "input", "inputs": "input", "output": "output"}
LABELS |= {"outputs": "output", "message": "message"}
"""The kind of a block by the first word of its label, in small letters; other words are as good as none."""

_MARKDOWN = MarkdownIt("commonmark").disable(["html_block", "reference", "inline"])  # tags are text here


@dataclass(frozen=True)
class Block:
    """One fenced block. ``closed`` is False where the text ends inside it."""

    kind: str
    """python, input, output, message, or empty for another label or none."""
    text: str
    closed: bool


def fence(label: str, body: str) -> str:
    """A fenced block, its fence longer than any run of backticks in ``body``."""
    mark = "```"
    while mark in body:
        mark += "`"
    return f"{mark}{label}\n{body}\n{mark}"


def blocks(text: str) -> list[Block]:
    """The fenced blocks of ``text``, in order."""
    tokens = [token for token in _MARKDOWN.parse(text + "\n") if token.type == "fence"]
    return [Block(_kind(token.info), token.content.strip("\n"), _is_closed(token)) for token in tokens]


def _kind(label: str) -> str:
    word = re.match(r"[\W_]*([a-z]+)", label.lower())
    return LABELS.get(word[1], "") if word else ""


def _is_closed(token: Token) -> bool:
    first, end = token.map
    return end - first == token.content.count("\n") + 2  # its content stands between two fences
