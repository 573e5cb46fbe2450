"""Run ``azr`` commands side by side, each job in a process of its own, and remember which have run.

    run_jobs([Job("sft", (("train", "sft"),)), Job("rlvr", (("train", "rlvr"),))], side_by_side=2, threads=1)

Importing PyTorch, transformers and TRL takes longer than training some small run. One server process imports them
once, and every job is forked from it: it begins in a moment, with nothing of another job in its memory. Left out: what
the jobs of a study are (``azr.study``).
"""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import os
import queue
import sys
import threading
from collections.abc import Callable, Sequence
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import TextIO

from azr import cli
from azr.config import config_hash
from azr.notebooks import code_hash

LOADED = ["azr.training.run", "azr.evaluate_cli", "azr.evaluate", "azr.curriculum", "azr.exact.measure", "peft"]
"""What the server imports before it forks."""
LAST_LINES = 8
"""Lines of its output that the report of a failed job has."""


class JobError(RuntimeError):
    """A training or measuring process failed; the message has its last lines."""


@dataclasses.dataclass(frozen=True)
class Job:
    """Commands that run one after the other, and the name that their output carries."""

    name: str
    commands: tuple[tuple[str, ...], ...]
    makes: tuple[Path, ...] = ()
    """Files that are there once it has run."""

    @property
    def stamp(self) -> str:
        """Names the commands, and the code and versions that they would run."""
        return config_hash(self.commands, code_hash())


def run_jobs(
    jobs: Sequence[Job],
    side_by_side: int,
    threads: int,
    ended: Callable[[Job], None] = lambda job: None,
    command: Callable[[Sequence[str]], int] = cli.main,
) -> None:
    """Run jobs as processes, ``side_by_side`` at a time, printing their lines as they come.

    Args:
        jobs: what to run, in this order.
        side_by_side: processes at a time.
        threads: CPU threads that each may use.
        ended: called with each job that has run without failing.
        command: runs one command of a job in its process and returns an exit code; a function of a module.

    Raises JobError when a job fails; the others are stopped.
    """
    lines: queue.Queue[str | None] = queue.Queue()
    waiting = list(jobs)[::-1]
    stop = threading.Event()
    failures: list[str] = []
    running: set[ForkServerProcess] = set()

    def work() -> None:
        while not stop.is_set():
            try:
                job = waiting.pop()
            except IndexError:
                break
            tail: list[str] = []
            process, output = _start(job, command, threads)
            running.add(process)
            if stop.is_set():  # another job failed while this one started
                process.terminate()
            with output:
                for line in output:
                    tail = [*tail[1 - LAST_LINES :], line.rstrip()]
                    lines.put(line.rstrip())
            wait([process.sentinel])
            with _lock:
                process.join()
            running.discard(process)
            if process.exitcode == 0:
                ended(job)
            elif not stop.is_set():
                failures.append(f"{job.name} failed (exit code {process.exitcode}):\n" + "\n".join(tail))
                stop.set()
                for other in list(running):
                    other.terminate()
        lines.put(None)

    if not waiting:
        return
    _serve(threads)
    workers = [threading.Thread(target=work, daemon=True) for _ in range(side_by_side)]
    for worker in workers:
        worker.start()
    try:
        finished = 0
        while finished < len(workers):
            line = lines.get()
            finished += line is None
            if line and not failures:
                print(line, flush=True)
    except BaseException:
        stop.set()
        raise
    finally:
        if stop.is_set():
            for process in list(running):
                process.terminate()
    if failures:
        raise JobError(failures[0])


_lock = threading.Lock()
"""Held where a process is started or joined. Starting collects what is handed over in one place, and asks after all
other processes; of two threads that ask after one at the same time, one learns nothing and takes it as exit code 255.
"""
_context = multiprocessing.get_context("forkserver")


def _environment(threads: int) -> dict[str, str]:
    return {"OMP_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "false"}


def _serve(threads: int) -> None:
    """Start the server of this process, if there is none yet, with the environment that its jobs have."""
    environment = _environment(threads)
    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    _context.set_forkserver_preload(LOADED)
    try:
        forkserver.ensure_running()
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _start(job: Job, command: Callable[[Sequence[str]], int], threads: int) -> tuple[ForkServerProcess, TextIO]:
    """The job's process, and its output to read."""
    receiving, sending = _context.Pipe(duplex=False)
    process = _context.Process(target=_do, args=(job.commands, command, threads, sending), name=job.name)
    with _lock:
        process.start()
    sending.close()
    output = os.fdopen(os.dup(receiving.fileno()), encoding="utf-8", errors="replace")
    receiving.close()
    return process, output


def _do(
    commands: Sequence[Sequence[str]], command: Callable[[Sequence[str]], int], threads: int, output: Connection
) -> None:
    """In the job's process: the commands, up to the first that fails."""
    for stream in (1, 2):
        os.dup2(output.fileno(), stream)
    output.close()
    os.environ.update(_environment(threads))
    sys.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
    for words in commands:
        if code := command(words):
            sys.exit(code)


class PastJobs:
    """Jobs that have run and what they made, in a file: to ask a process whether all is there takes it seconds."""

    def __init__(self, file: Path) -> None:
        self.file, self._lock = file, threading.Lock()
        try:
            self._made = dict(json.loads(file.read_text()))
        except (OSError, ValueError, TypeError):
            self._made = {}

    def __contains__(self, job: Job) -> bool:
        """Whether it has run with the present code and what it made is still there, as it was.

        What something else put in its place, such as a run with other settings, is left to the job to judge.
        """
        return job.stamp in self._made and self._made[job.stamp] == _contents(job)

    def add(self, job: Job) -> None:
        """Note that it has run."""
        with self._lock:
            self._made[job.stamp] = _contents(job)
            self.file.parent.mkdir(parents=True, exist_ok=True)
            draft = self.file.with_suffix(".tmp")
            draft.write_text(json.dumps(self._made, indent=0, sort_keys=True) + "\n")
            draft.replace(self.file)


def _contents(job: Job) -> str:
    """A name for all that the files which it makes hold."""
    return config_hash([path.read_bytes().hex() if path.exists() else None for path in job.makes])
