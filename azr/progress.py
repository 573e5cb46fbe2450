"""One line of progress with an estimate of the time left, for long work: rewritten on a terminal, sparse in a log."""

import os
import sys
import time
from typing import TextIO

AHEAD = "a step takes at most about"
"""In the line by which a run says, before its first step, how long it takes."""


def duration(seconds: float) -> str:
    """Seconds as people say them.

    >>> duration(8), duration(200), duration(5000)
    ('8 s', '3 min 20 s', '1 h 23 min')
    """
    s = round(seconds)
    if s < 60:
        return f"{s} s"
    return f"{s // 60} min {s % 60} s" if s < 3600 else f"{s // 3600} h {s % 3600 // 60} min"


class Progress:
    """Progress of ``total`` units of work, of which ``start`` were done in an earlier run."""

    def __init__(self, what: str, total: int, start: int = 0, stream: TextIO | None = None) -> None:
        self.what, self.total, self.start = what, total, start
        self.stream = stream or sys.stdout
        server = {"JPY_SESSION_NAME", "AZR_FIGURES"} & set(os.environ) == {"JPY_SESSION_NAME"}  # and not the runner's
        cell = server and type(self.stream).__module__.startswith("ipykernel")
        self.terminal = self.stream.isatty() or cell
        self.began, self.unended, self.last = time.monotonic(), False, -1e9

    def update(self, done: int, note: str = "") -> None:
        """Report ``done`` units; prints at most every second on a terminal or in a cell that is looked at.

        Elsewhere every fifteen, and later every tenth of the time so far: tens of lines, not hundreds.
        """
        now = time.monotonic()
        spent, own = now - self.began, done - self.start
        if now - self.last < (1 if self.terminal else max(15, spent / 10)) and done < self.total:
            return
        self.last = now
        left = f", about {duration(spent / own * (self.total - done))} left" if own > 0 else ""
        text = f"{self.what}: {done}/{self.total}, {duration(spent)}{left} {note}".rstrip()
        self.unended = self.terminal and done < self.total
        start, end = "\r\033[K" * self.terminal, "\n" * (not self.unended)
        print(f"{start}{text}", end=end, file=self.stream, flush=True)

    def close(self) -> None:
        """End the line, where the work has not come to its end."""
        if self.unended:
            print(file=self.stream, flush=True)
