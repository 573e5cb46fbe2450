"""What pool, worker and child say to one another.

The pool sends a worker a list of ``Message``; a child answers each with ``pack``, which the worker takes apart with
``unpack`` and hands on. Pool and worker trust each other and use marshal; what a child says is checked byte by byte,
since hostile code may have run there.
"""

from __future__ import annotations

import marshal
import struct
from typing import Any, BinaryIO, NamedTuple

from azr.executor.jobs import Verdict

VERDICTS = tuple(Verdict)
ALONE = len(VERDICTS)
"""In place of a verdict's index: the program did not get through in company and wants a process of its own."""
_HEAD = struct.Struct("<BBI")  # index of the verdict, whether order matters, bytes of text


class Message(NamedTuple):
    """A job on its way to a worker."""

    program: str
    entry: str | None
    """What to call; None for a script."""
    input: str
    tests: str
    stdin: str
    company: bool | None
    """Whether the program may share a process (see ``company``); None: nobody has looked yet."""


class Result(NamedTuple):
    """What became of one run."""

    code: int
    """Index into ``VERDICTS``, or ``ALONE``."""
    text: str = ""
    """Literal, what a script printed, or detail."""
    order: bool = False
    """Whether the program's result may depend on the order of sets."""
    company: bool = True
    """Whether it ran in company, so that nothing hostile can have written this."""


def send(file: BinaryIO, value: Any) -> None:
    """Write plain values, between pool and worker."""
    marshal.dump(marshal.dumps(value), file)
    file.flush()


def receive(file: BinaryIO) -> Any:
    """What ``send`` wrote at the other end. Raises EOFError where that is gone."""
    return marshal.loads(marshal.load(file))


def pack(result: Result) -> bytes:
    """The bytes of a result."""
    text = result.text.encode("utf-8", "surrogatepass")
    return _HEAD.pack(result.code, result.order, len(text)) + text


def unpack(data: bytes, company: bool, max_bytes: int) -> tuple[list[Result], bytes]:
    """The whole results in ``data``, and what follows them. Raises ValueError for what is no result.

    ``company``: whether they come of programs in company; only such a child may send one of them back.
    """
    results: list[Result] = []
    while len(data) >= _HEAD.size:
        code, order, size = _HEAD.unpack_from(data)
        end = _HEAD.size + size
        if code >= ALONE + company or size > max_bytes:
            raise ValueError("no result")
        if len(data) < end:
            break
        text = data[_HEAD.size : end].decode("utf-8", "replace")
        results.append(Result(code, text, bool(order), company))
        data = data[end:]
    return results, data
