"""What there is to train and measure, and doing it side by side in processes.

    jobs = jobs_of(load_profile("smoke"), RUNS)
    run_jobs([job for job in jobs if not job.is_done()], side_by_side=2)

A job is an arm with one seed, trained and then measured, or the measurements of the base with one sampling seed. Jobs
are forked from a server that has loaded the libraries once; each computes with ``profile.threads`` threads, so results
do not depend on how many run side by side. Left out: what is trained (``azr.training``) and measured.
"""

import contextlib
import multiprocessing
import os
import shutil
import signal
import sys
import threading
import types
from collections.abc import Callable, Sequence
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from azr.arms import ARMS, BASE, arm_named, arm_profile, sampled_a_step
from azr.config import Profile, override
from azr.errors import FailedError, UserError, in_a_sentence
from azr.progress import AHEAD, Progress
from azr.runs import BUILT_IN, Run, alone, run_folder
from azr.study.subject import Subject

_OURS = [f"azr.{name}" for name in ("training.run", "study.measures", "study.claims", "metrics.unchanged")]
PRELOADED = [*_OURS, "ipykernel.kernelapp"]
"""What the server imports before it forks: for jobs, and for the kernels of notebooks."""
RATES, START = {"nano": 300.0, "micro": 150.0}, 10.0
"""For the first estimate: responses a second that one core samples in training; seconds in which a job begins."""
TRAINED, MEASURED = {"sft": 6, "rlvr": 6}, 0.75
"""What a row of an update takes by TRL's trainers, by ours half of that, and a measured response, in sampled ones."""

_STARTING = threading.Lock()


def jobs_of(
    profile: Profile, runs: Path, arms: Sequence[str] | None = None, seeds: Sequence[int] | None = None
) -> list[Subject]:
    """The jobs of a profile: with each of its models the base and its arms (of these, those in ``arms``).

    ``seeds`` are training seeds, by default all of the profile. The base has sampling seed 0, the control, and
    others: one for each training seed, and at least two, since the leash is fitted on repeated measurements. All arms
    come with one seed before any comes with the next, so that half a study can be looked at. Raises UserError for a
    name that is no arm.
    """
    jobs = []
    for arm in arms or ():
        arm_named(arm)
    for model in profile.models:
        own, chosen = override(profile, {"model.name": model.name}), range(model.seeds) if seeds is None else seeds
        all_arms = profile.arms if model.arms is None else model.arms
        names = [arm for arm in all_arms if arms is None or arm in arms]
        kinds = [(BASE, own, seed) for seed in sorted({0, 1, 2, *(seed + 1 for seed in chosen)})]
        kinds += [(arm, arm_profile(arm, own), seed) for seed in chosen for arm in names]
        for arm, settings, seed in kinds:
            jobs.append(Subject(Run(run_folder(runs, profile.name, model.name, arm, seed)), settings, arm, seed))
    return jobs


def responses(job: Subject) -> int:
    """About how many responses could be sampled in the time a job still takes, by what its log and its notes have."""
    rollout, evaluation, problems = job.profile.rollout, job.profile.evaluation, job.profile.problems
    method = ARMS[job.arm].method if job.last else ""
    a_step = sampled_a_step(method, rollout) + TRAINED.get(method, 3) * rollout.rows
    trained = max(job.last - _lines(job.run.folder / "log.jsonl"), 0) * a_step
    if "test" not in job.names:
        return trained
    kept = [step for step in job.profile.kept_steps if step <= job.last]
    measured = 4 * evaluation.problems * sum(map(job.samples, kept))
    measured += 3 * evaluation.validation_problems * evaluation.validation_samples
    noted = [(name, step, job.samples(step)) for name in problems.test for step in kept]
    noted.append((problems.validation, job.last, evaluation.validation_samples))
    measured -= sum(samples * _lines(job.notes(name, step)) for name, step, samples in noted)
    return round(trained + MEASURED * max(measured, 0))


def _lines(file: Path) -> int:
    return file.read_bytes().count(b"\n") if file.exists() else 0


def default_side_by_side(profile: Profile) -> int:
    """One job for as many cores as it has threads; one at a time where a GPU has to hold a model from the hub."""
    from azr.models.machine import cores

    if shutil.which("nvidia-smi") and any(model.name not in BUILT_IN for model in profile.models):
        return 1
    return max(1, int(cores()) // profile.threads)


def estimate(jobs: Sequence[Subject], side_by_side: int) -> float | None:
    """About how many seconds the jobs take on cores like those of 2025; None for a model of unknown speed."""
    if any(job.model_name not in RATES for job in jobs):
        return None
    seconds = sum(START + responses(job) / RATES[job.model_name] for job in jobs)
    return seconds / min(side_by_side, max(len(jobs), 1))


def do(job: Subject) -> None:
    """Train and measure a job in this process."""
    import torch

    from azr.study.measures import measure
    from azr.training.run import train

    torch.set_num_threads(job.profile.threads)
    if job.arm != BASE:
        train(job.arm, job.profile, job.seed, job.run.folder)
    measure(job)


def run_jobs(jobs: Sequence[Subject], side_by_side: int, work: Callable[[Subject], Any] = do) -> None:
    """Run jobs of one profile as processes, ``side_by_side`` at a time, in this order, and show how far they are.

    A job's output goes to ``runs/PROFILE/logs``. Raises FailedError when one fails (the others are stopped), Stopped on
    Ctrl-C, and UserError where another process runs jobs of this profile.
    """
    if not jobs:
        return
    logs = jobs[0].run.folder.parent.parent / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    waiting, running, told, total = list(jobs), {}, set(), sum(map(responses, jobs))
    with in_a_sentence(), alone(logs), contextlib.closing(Progress(f"{len(jobs)} runs, responses", total)) as progress:
        print("Loading libraries ...", flush=True)
        try:
            while waiting or running:
                while waiting and len(running) < side_by_side:
                    job = waiting.pop(0)
                    log = logs / f"{str(job).replace(' ', '-')}.txt"
                    running[start(work, job, log, job.profile.threads)] = job, log
                wait([process.sentinel for process in running], timeout=1)
                for process in [process for process in running if process.exitcode is not None]:
                    job, log = running.pop(process)
                    if process.exitcode:
                        said = log.read_text(errors="replace") if log.exists() else ""
                        last = "\n".join(said.splitlines()[-8:])
                        raise FailedError(
                            f"{job} failed (exit code {process.exitcode}; all it said is in {log}):\n{last}"
                        )
                for job, log in running.values():
                    lines = log.read_text(errors="replace").splitlines() if log.exists() and log not in told else []
                    for line in (line for line in lines if AHEAD in line):
                        print(f"{job}: {line.partition(': ')[2]}", flush=True)
                        told.add(log)
                now = [job for job, _ in running.values()]
                left = sum(map(responses, [*now, *waiting]))
                if left < total:  # before that there is no saying how long it takes
                    done = len(jobs) - len(waiting) - len(now)
                    progress.update(total - left, f"({done} done; {', '.join(map(str, now))})")
        finally:
            for process in running:
                process.terminate()
            for process in running:
                process.join(10)
                process.kill()


def start(work: Callable[[Any], Any], subject: Any, log: Path, threads: int) -> BaseProcess:
    """Do ``work(subject)`` in a process forked from the server, its output in ``log``; the server is started if needed.

    The server's libraries find the number of ``threads`` when it loads them. The process does not run the caller's
    script again, whether that guards its main part or not.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    process = context.Process(target=_child, args=(work, subject, log))
    wanted = {"OMP_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "false"}
    with _STARTING:
        main, before = sys.modules["__main__"], {name: os.environ.get(name) for name in wanted}
        sys.modules["__main__"] = types.ModuleType("__main__")
        os.environ |= wanted
        try:
            process.start()
        finally:
            sys.modules["__main__"] = main
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})
    return process


def _child(work: Callable[[Any], Any], subject: Any, log: Path) -> None:
    """In the process: its output to the log, and no longer than its parent lives."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # and what the job has opened is closed
    parent = multiprocessing.parent_process()
    threading.Thread(target=lambda: (wait([parent.sentinel]), os._exit(1)), daemon=True).start()
    output = log.open("w", buffering=1)
    for stream in (1, 2):
        os.dup2(output.fileno(), stream)
    sys.stdout = sys.stderr = output
    try:
        work(subject)
    except UserError as error:
        print(error)
        sys.exit(1)
