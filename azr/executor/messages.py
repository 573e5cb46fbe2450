"""What pool, worker and child say to one another: a line of JSON each, which harms nobody who reads it.

The pool sends a worker a list of ``Message`` and gets the layers of its sandbox and a list of ``Result``. A child sends
its worker ``line``s, which are read with suspicion (``read_lines``), since hostile code may have written them.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from azr.executor.jobs import Verdict

ALONE = "alone"
"""In place of a verdict: the program did not get through in company and wants a process of its own."""


class Message(NamedTuple):
    """A job on its way to a worker."""

    program: str
    input: str | None
    """The arguments; None for a script."""
    tests: str
    company: bool | None
    """Whether the program may share a process (see ``company``); None: nobody has looked yet."""


class Result(NamedTuple):
    """What became of one run."""

    verdict: str
    """A ``Verdict``, or ``ALONE``."""
    text: str = ""
    """Literal or detail."""
    order: bool = False
    """Whether the program's result may depend on the order of sets."""
    company: bool = True
    """Whether it ran in company, so that nothing hostile can have written this."""


def line(value: Any) -> bytes:
    """Plain values as a line of text."""
    return json.dumps(value).encode() + b"\n"


def read_lines(data: bytes, company: bool, max_bytes: int) -> tuple[list[Result], bytes]:
    """The results in the whole lines of ``data``, and what follows them. Raises ValueError for what is no result.

    ``company``: whether they come of programs in company; only such a child may send one of them back.
    """
    *lines, rest = data.split(b"\n")
    if max(map(len, [*lines, rest])) > max_bytes:
        raise ValueError("no result")
    try:
        results = [Result(*json.loads(text)[:3], company) for text in lines]
    except (TypeError, RecursionError):
        raise ValueError("no result") from None
    for result in results:
        if not (company and result.verdict == ALONE):
            Verdict(result.verdict)
        if type(result.text) is not str or type(result.order) is not bool:
            raise ValueError("no result")
    return results, rest
