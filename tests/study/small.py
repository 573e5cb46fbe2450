"""A profile and runs that nobody trained: what the study reads of a run folder, written by hand."""

from pathlib import Path

from azr.arms import BASE, fingerprint
from azr.config import Profile, load_profile, override
from azr.runs import write_json, write_lines
from azr.study.jobs import jobs_of
from azr.study.subject import Subject

COUNTS = {"set": "world/test", "group": "deduction", "problem": ["0", "1"], "n": 4, "c": [1, 4]}
PROPOSALS = [
    {"step": 1, "task_type": "deduction", "fate": "valid", "solve_rate": 0.5, "reward": 0.5, "tokens": 9,
     "task": {"program": "def f(x):\n    x = x + 1\n    return x", "inputs": ["1"]}},
    {"step": 1, "task_type": "deduction", "fate": "no form", "solve_rate": None, "reward": -1, "tokens": 3,
     "task": None},
]  # fmt: skip


def small_profile(**changes: object) -> Profile:
    """The smoke profile with two arms of nano and two seeds."""
    models = [{"name": "nano", "seeds": 2, "arms": ["sft", "selfplay"]}]
    return override(load_profile("smoke"), {"models": models} | changes)


def small_jobs(runs: Path, **changes: object) -> list[Subject]:
    """The jobs of ``small_profile``."""
    return jobs_of(small_profile(**changes), runs)


def finish(job: Subject) -> None:
    """Write the folder of a job as if it were trained and measured."""
    import pandas as pd

    if job.arm != BASE:
        record = {"arm": job.arm, "seed": job.seed, "fingerprint": fingerprint(job.arm, job.profile, job.seed)}
        write_json(job.run.folder / "run.json", record)
        lines = [{"step": step, "loss": 0.5, "groups": {"deduction/solver": {"reward": 1.0}}} for step in (1, 2)]
        write_lines(job.run.folder / "log.jsonl", lines)
        if job.arm == "selfplay":
            write_lines(job.run.folder / "proposals.jsonl", PROPOSALS)
        write_json(job.run.folder / "done.json", {"seconds": 7.0})
    for name in job.names:
        frame = pd.DataFrame(COUNTS | {"step": job.last, "sampling_seed": job.sampling_seed})
        job.run.save_measure(name, frame, job.inputs, job.settings)
