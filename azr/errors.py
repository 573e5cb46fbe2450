"""What ends a command with one sentence, or a few lines, and no traceback."""


class UserError(Exception):
    """The user's mistake: what is wrong and what to do. The command line exits with code 2."""


class FailedError(Exception):
    """Work that was asked for has failed; the message has what it said last. The command line exits with code 1."""

    def _render_traceback_(self) -> list[str]:  # what IPython shows in place of a traceback
        return [str(self)]
