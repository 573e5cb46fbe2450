"""What ends a command, or a cell, with one sentence, or a few lines, and no traceback."""

from collections.abc import Iterator
from contextlib import contextmanager

REFUSED = (
    "No space left", "quota exceeded", "Read-only file system", "Permission denied", "Operation not permitted",
    "Not a directory", "File exists", "PytorchStreamWriter failed", "inline_container.cc",
)  # fmt: skip
"""In what is said of a disk that is full, may not be written, or has a file for a folder; by torch the last two."""


class UserError(Exception):
    """The user's mistake: what is wrong and what to do. The command line exits with code 2."""

    def _render_traceback_(self) -> list[str]:  # what IPython shows in place of a traceback
        return [str(self)]


class FailedError(Exception):
    """Work that was asked for has failed; the message has what it said last. The command line exits with code 1."""

    _render_traceback_ = UserError._render_traceback_


class Stopped(KeyboardInterrupt):
    """The user stopped it. The command line exits with code 130."""

    _render_traceback_ = UserError._render_traceback_


@contextmanager
def in_a_sentence() -> Iterator[None]:
    """Say by UserError what any library says of a disk that is full or may not be written, by Stopped an interrupt."""
    try:
        yield
    except KeyboardInterrupt:
        raise Stopped("Stopped. What is done is kept: run the same again to continue.") from None
    except Exception as error:
        if isinstance(error, UserError | FailedError) or not any(words in str(error) for words in REFUSED):
            raise
        raise UserError(
            f"A file could not be written or opened ({error}): make room, or give a folder that is yours; the same "
            "command then goes on, and nothing finished is lost."
        ) from error
