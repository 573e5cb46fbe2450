"""What there is to train and measure, and doing it side by side in processes.

    jobs = jobs_of(load_profile("smoke"), RUNS)
    run_jobs([job for job in jobs if not job.is_done()], side_by_side=2)

A job is an arm with one seed, trained and then measured, or the measurements of the base with one sampling seed. Jobs
are forked from a server that has loaded the libraries once; each computes with ``profile.threads`` threads, so results
do not depend on how many run side by side. Left out: what is trained (``azr.training``) and measured.
"""

from __future__ import annotations

import contextlib
import fcntl
import multiprocessing
import os
import shutil
import signal
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from azr.arms import BASE, arm_profile, arms_of, model_profile
from azr.config import Profile
from azr.errors import UserError
from azr.progress import duration
from azr.runs import BUILT_IN, Run, run_folder
from azr.study.measures import Subject, measure, measure_base

PRELOADED = ["azr.training.run", "azr.problems", "azr.models.scoring", "peft"]
"""What the server imports before it forks."""
LAST_LINES = 8
"""Lines of its output that the report of a failed job has."""
RATES, MEASURED, START = {"nano": 80.0, "micro": 40.0}, 0.2, 10.0
"""For the first estimate: responses a second that one core trains on, what of that time a measured response takes, and
the seconds in which a job begins."""


class JobError(RuntimeError):
    """A training or measuring process failed; the message has its last lines."""

    def _render_traceback_(self) -> list[str]:  # what IPython shows in place of a traceback
        return [str(self)]


class Stopped(KeyboardInterrupt):
    """The user stopped the jobs. Shown as one sentence, also by IPython."""

    _render_traceback_ = JobError._render_traceback_


def jobs_of(
    profile: Profile, runs: Path, arms: Sequence[str] | None = None, seeds: Sequence[int] | None = None
) -> list[Subject]:
    """The jobs of a profile: with each of its models the base and its arms (of these, those in ``arms``).

    ``seeds`` are training seeds, by default all of the profile. The base has sampling seed 0, the control, and one
    more for each training seed. The last models come first, since they are the largest.
    """
    jobs = []
    for model in profile.models[::-1]:
        own, chosen = model_profile(model, profile), range(model.seeds) if seeds is None else seeds
        names = [arm for arm in arms_of(model, profile) if arms is None or arm in arms]
        kinds = [(BASE, own, seed) for seed in sorted({0, *(seed + 1 for seed in chosen)})]
        kinds += [(arm, arm_profile(arm, own), seed) for arm in names for seed in chosen]
        for arm, settings, seed in kinds:
            jobs.append(Subject(Run(run_folder(runs, profile.name, model.name, arm, seed)), settings, arm, seed))
    return jobs


def responses(job: Subject) -> float:
    """About how many responses a job trains on, the unit in which its time is estimated; measured ones count less."""
    rollout, evaluation = job.profile.rollout, job.profile.evaluation
    problems = 4 * evaluation.problems * sum(map(job.samples, job.profile.kept_steps[1:] if job.last else [0]))
    problems += 3 * evaluation.validation_problems * evaluation.validation_samples
    estimating = 3 * rollout.batch * rollout.rollouts if "curriculum" in job.names else 0
    return job.last * (rollout.rows + estimating) + MEASURED * problems * ("test" in job.names)


def default_side_by_side(profile: Profile) -> int:
    """One job for as many cores as it has threads; one at a time where a GPU has to hold a model from the hub."""
    if shutil.which("nvidia-smi") and any(model.name not in BUILT_IN for model in profile.models):
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // profile.threads)


def estimate(jobs: Sequence[Subject], side_by_side: int) -> float | None:
    """About how many seconds the jobs take on cores like those of 2025; None for a model of unknown speed."""
    if any(job.model_name not in RATES for job in jobs):
        return None
    seconds = sum(START + responses(job) / RATES[job.model_name] for job in jobs)
    return seconds / min(side_by_side, max(len(jobs), 1))


def do(job: Subject) -> None:
    """Train and measure a job in this process."""
    import torch

    torch.set_num_threads(job.profile.threads)
    if job.arm == BASE:
        return measure_base(job.profile, job.seed, job.run.folder)
    from azr.training.run import train

    return measure(train(job.arm, job.profile, job.seed, job.run.folder), job.profile)


def run_jobs(jobs: Sequence[Subject], side_by_side: int, work: Callable[[Subject], Any] = do) -> None:
    """Run jobs of one profile as processes, ``side_by_side`` at a time, in this order, and show how far they are.

    A job's output goes to ``runs/PROFILE/logs``. Raises JobError when one fails (the others are stopped), Stopped on
    Ctrl-C, and UserError where another process runs jobs of this profile.
    """
    if not jobs:
        return
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    logs = jobs[0].run.folder.parent.parent / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    waiting, ended, board = list(jobs), [], Board(jobs, side_by_side)
    running: dict[int, tuple[Subject, Any, Path]] = {}
    with _alone(logs):
        try:
            while waiting or running:
                while waiting and len(running) < side_by_side:
                    job = waiting.pop(0)
                    log = logs / f"{str(job).replace(' ', '-')}.txt"
                    log.write_text("")
                    process = context.Process(target=_child, args=(work, job, log), name=str(job))
                    with _fresh_start(job.profile.threads):
                        process.start()
                    running[process.sentinel] = job, process, log
                board.show(ended, [(job, log) for job, _, log in running.values()])
                for sentinel in wait(list(running), timeout=1):
                    job, process, log = running.pop(sentinel)
                    process.join()
                    if process.exitcode:
                        last = "\n".join(log.read_text(errors="replace").splitlines()[-LAST_LINES:])
                        raise JobError(f"{job} failed (exit code {process.exitcode}; all it said is in {log}):\n{last}")
                    ended.append(job)
            board.show(ended, [])
        except KeyboardInterrupt:
            raise Stopped("Stopped. What is done is kept: run the same again to continue.") from None
        finally:
            for _, process, _ in running.values():
                process.terminate()
            for _, process, _ in running.values():
                process.join(10)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the profile's lock: two processes would train into one folder."""
    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            profile = folder.parent.name
            raise UserError(f"Profile {profile} is trained by another process: wait for it, or stop it.") from None
        yield


@contextlib.contextmanager
def _fresh_start(threads: int) -> Iterator[None]:
    """Start processes that do not run the caller's script again, whether it guards its main part or not, and whose
    libraries find the number of threads when the server loads them.
    """
    main, before = sys.modules["__main__"], dict(os.environ)
    sys.modules["__main__"] = types.ModuleType("__main__")
    os.environ |= {"OMP_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "false"}
    try:
        yield
    finally:
        sys.modules["__main__"] = main
        os.environ.clear()
        os.environ.update(before)


def _child(work: Callable[[Subject], Any], job: Subject, log: Path) -> None:
    """In the job's process: its output to the log, and no longer than its parent lives."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    parent = multiprocessing.parent_process()
    threading.Thread(target=lambda: (wait([parent.sentinel]), os._exit(1)), daemon=True).start()
    output = log.open("w", buffering=1)
    for stream in (1, 2):
        os.dup2(output.fileno(), stream)
    sys.stdout = sys.stderr = output
    try:
        work(job)
    except UserError as error:
        print(error)
        sys.exit(1)


class Board:
    """How far the jobs are: one block, renewed in place on a terminal or in a notebook, else lines now and then."""

    def __init__(self, jobs: Sequence[Subject], side_by_side: int) -> None:
        self.jobs, self.side_by_side, self.began = jobs, side_by_side, time.monotonic()
        self.last, self.height, self.handle = -1e9, 0, None
        self.before = sum(map(_done, jobs))
        shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
        self.notebook = hasattr(shell, "kernel") and "AZR_FIGURES" not in os.environ
        self.terminal = sys.stdout.isatty()

    def show(self, ended: Sequence[Subject], running: Sequence[tuple[Subject, Path]]) -> None:
        """Say it, where it is time to."""
        every = 1 if self.notebook or self.terminal else 15
        if time.monotonic() - self.last < every and running:
            return
        self.last = time.monotonic()
        text = "\n".join([self._summary(ended, running), *(_line(job, log) for job, log in running)])
        if self.notebook:
            from IPython.display import display

            data = {"text/plain": text}
            if self.handle:
                self.handle.update(data, raw=True)
            else:
                self.handle = display(data, raw=True, display_id=True)
            return
        print((f"\x1b[{self.height}A\x1b[J" if self.height else "") + text, flush=True)
        self.height = text.count("\n") + 1 if self.terminal else 0

    def _summary(self, ended: Sequence[Subject], running: Sequence[tuple[Subject, Path]]) -> str:
        spent, total = time.monotonic() - self.began, sum(map(responses, self.jobs)) - self.before
        done = sum(map(responses, ended)) + sum(_done(job) for job in self.jobs if job not in ended) - self.before
        text = f"{len(ended)} of {len(self.jobs)} done, {duration(spent)}"
        left = spent / done * (total - done) if done > total / 50 else estimate(self.jobs, self.side_by_side)
        return f"{text}, about {duration(left)} left" if running and left is not None else text


def _steps(job: Subject) -> int:
    """Training steps done, by the lines of the log."""
    file = job.run.folder / "log.jsonl"
    return min(file.read_bytes().count(b"\n"), job.last) if file.exists() else 0


def _done(job: Subject) -> float:
    """The part of its responses that is sampled; what comes after training counts as one step more."""
    return _steps(job) * responses(job) / (job.last + 1)


def _line(job: Subject, log: Path) -> str:
    """What it is at: its step, and what it said last."""
    said = [line for line in log.read_text(errors="replace").split("\n") if line.strip()]
    steps = f", step {_steps(job)} of {job.last}" if job.last else ""
    return f"  {job}{steps}: {said[-1].strip()[:90] if said else 'loading libraries'}"
