"""What a full or forbidden disk answers, and an interrupt, is one sentence; other errors stay what they are."""

import errno
import os

import pytest
from safetensors import SafetensorError

from azr.errors import FailedError, Stopped, UserError, in_a_sentence

SAID = [
    OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "runs/x"),
    PermissionError(errno.EACCES, os.strerror(errno.EACCES), "runs/x"),
    FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), "README.md"),
    NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), "README.md/x"),
    OSError(errno.EROFS, os.strerror(errno.EROFS), "runs/x"),
    SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
    RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 576 vs 534"),
]
"""What open, pyarrow, safetensors and torch.save raise; the last two as seen on a full disk."""


@pytest.mark.parametrize("error", SAID, ids=lambda error: type(error).__name__)
def test_what_the_disk_refused_is_said_once_with_what_to_do(error):
    with (
        pytest.raises(UserError, match=r"make room.*nothing finished is lost") as caught,
        in_a_sentence(),
        in_a_sentence(),
    ):
        raise error
    assert caught.value.__cause__ is error
    assert str(caught.value).count("make room") == 1


@pytest.mark.parametrize("error", [FileNotFoundError(2, "gone"), RuntimeError("a bug"), FailedError("No space left")])
def test_other_errors_stay_what_they_are(error):
    with pytest.raises(type(error)), in_a_sentence():
        raise error


def test_an_interrupt_says_that_what_is_done_is_kept():
    with pytest.raises(Stopped, match="What is done is kept"), in_a_sentence(), in_a_sentence():
        raise KeyboardInterrupt


def test_a_notebook_shows_the_sentence_alone():
    assert UserError("Do it otherwise.")._render_traceback_() == ["Do it otherwise."]
    assert FailedError("No luck.")._render_traceback_() == ["No luck."]
