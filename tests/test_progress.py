"""The line of progress: sparse in a log, rewritten on a terminal, with an honest estimate."""

import io
from contextlib import closing

import pytest
from ipykernel.iostream import OutStream

from azr import progress as module
from azr.progress import Progress, duration


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass only when a test says so."""
    now = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (3599, "59 min 59 s"), (3600, "1 h 0 min"), (9000, "2 h 30 min")],
)
def test_durations_as_people_say_them(seconds, said):
    assert duration(seconds) == said


def test_a_log_gets_the_first_the_last_and_one_line_every_fifteen_seconds(clock):
    stream = io.StringIO()
    with closing(Progress("base", 100, stream=stream)) as progress:
        for done in range(1, 101):
            clock[0] += 1
            progress.update(done, f"loss {done}")
    lines = stream.getvalue().splitlines()
    assert lines[0] == "base: 1/100, 1 s, about 1 min 39 s left loss 1"
    assert lines[-1] == "base: 100/100, 1 min 40 s, about 0 s left loss 100"
    assert [int(line.split("/")[0].removeprefix("base: ")) for line in lines] == [1, 16, 31, 46, 61, 76, 91, 100]


def test_a_log_of_a_day_has_tens_of_lines(clock):
    stream = io.StringIO()
    with closing(Progress("study", 86_400, stream=stream)) as progress:
        for done in range(1, 86_401):
            clock[0] += 1
            progress.update(done)
    assert 20 < len(stream.getvalue().splitlines()) < 100


def test_a_cell_that_is_looked_at_sees_one_line_and_the_runner_s_copy_does_not(monkeypatch):
    stream = OutStream.__new__(OutStream)  # a kernel's stdout
    monkeypatch.setattr(OutStream, "isatty", lambda _: False)
    monkeypatch.delenv("AZR_FIGURES", raising=False)
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    assert not Progress("base", 4, stream=stream).terminal
    monkeypatch.setenv("JPY_SESSION_NAME", "04_passk.ipynb")
    assert Progress("base", 4, stream=stream).terminal
    assert not Progress("base", 4, stream=io.StringIO()).terminal  # a job's log
    monkeypatch.setenv("AZR_FIGURES", "figures")
    assert not Progress("base", 4, stream=stream).terminal


def test_the_estimate_counts_only_what_this_run_has_done(clock):
    stream = io.StringIO()
    progress = Progress("base", 100, start=90, stream=stream)
    clock[0] += 10
    progress.update(95)
    assert stream.getvalue() == "base: 95/100, 10 s, about 10 s left\n"


def test_a_terminal_sees_one_line_rewritten(clock):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    stream = Terminal()
    with closing(Progress("base", 4, stream=stream)) as progress:
        for done in range(1, 5):
            clock[0] += 2
            progress.update(done)
    assert stream.getvalue().count("\n") == 1
    assert stream.getvalue().endswith("\n")
    assert stream.getvalue().count("\r") == 4
