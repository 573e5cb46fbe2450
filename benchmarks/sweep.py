"""Learning rate and schedule, tried on tuning problems that no figure, table or claim uses.

    python benchmarks/sweep.py                        # resumes; prints the table and writes figures/data/sweep.csv
    python benchmarks/sweep.py --arms selfplay sft --jobs 2 --steps 120

Three rates, each constant and with warm-up and linear decay, two seeds that the study does not use, of ``nano`` with
the profile ``reference``. A run is measured on the split ``tuning`` and compared with the base on the same problems and
random numbers. Left out: a search over more than these two settings, and runs with all weights.
"""

from __future__ import annotations

import argparse
import os
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from multiprocessing import get_context
from pathlib import Path

import pandas as pd

from azr.arms import ARMS, arm_profile
from azr.config import load_profile, override
from azr.metrics import crossed_interval
from azr.runs import ROOT, RUNS, Run

SEEDS = (100, 101)
RATES = (5e-4, 1e-3, 2e-3)
SCHEDULES = {"constant": {}, "decay": {"train.schedule": "linear", "train.warmup": 0.1}}
PROBLEMS, SAMPLES = 128, 32
FOLDER, TABLE = RUNS / "sweep", ROOT / "figures" / "data" / "sweep.csv"


def folder_of(arm: str, rate: float, schedule: str, seed: int, steps: int) -> Path:
    """Where a run lies."""
    return FOLDER / f"{arm}-{rate:g}-{schedule}-{steps}-seed{seed}"


def counts(target: Path | str, out: Path) -> pd.DataFrame:
    """Counts on tuning problems, measured once."""
    from azr.study.measures import evaluate_sets
    from azr.study.subject import subject_of

    if not out.exists():
        sizes = {"evaluation.problems": PROBLEMS, "evaluation.samples": SAMPLES}
        out.parent.mkdir(parents=True, exist_ok=True)
        evaluate_sets(subject_of(target, None, sizes), ["world/tuning"], out=out)
    return pd.read_csv(out)


def work(job: tuple[str, float, str, int, int]) -> tuple:
    """Train and measure one run."""
    from azr.training.run import train

    arm, rate, schedule, seed, steps = job
    changes = {"train.learning_rate": rate, "train.steps": steps} | SCHEDULES[schedule]
    profile = arm_profile(arm, override(load_profile("reference"), changes))
    run: Run = train(arm, profile, seed, folder_of(*job))
    counts(run.folder, run.folder / "tuning.csv")
    return job


def table(jobs: list[tuple]) -> pd.DataFrame:
    """One row an arm, rate, schedule and group: pass@1 minus the base's, over seeds and problems."""
    base = counts("nano", FOLDER / "base.csv").set_index(["group", "problem"])
    rows = []
    for arm, rate, schedule, steps in dict.fromkeys((*job[:3], job[4]) for job in jobs):
        runs = [folder_of(arm, rate, schedule, seed, steps) / "tuning.csv" for seed in SEEDS]
        found = [pd.read_csv(run).set_index(["group", "problem"]) for run in runs if run.exists()]
        if not found:
            continue
        gains = pd.concat([own.c / own.n - base.c / base.n for own in found], axis=1)
        for group in [*base.index.unique("group"), "all"]:
            own = gains if group == "all" else gains.loc[group]
            change = crossed_interval(own.to_numpy().T)
            about = {"arm": arm, "rate": rate, "schedule": schedule, "steps": steps, "group": group}
            rows.append(
                about | {"estimate": change.estimate, "low": change.low, "high": change.high} | {"seeds": len(found)}
            )
    return pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arms", nargs="+", choices=list(ARMS), default=["selfplay", "rlvr", "sft"], metavar="ARM")
    parser.add_argument("--steps", type=int, default=load_profile("reference").train.steps)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes side by side")
    args = parser.parse_args()
    jobs = [(*job, args.steps) for job in product(args.arms, RATES, SCHEDULES, SEEDS)]
    jobs.sort(key=lambda job: job[3])  # one seed of everything first
    counts("nano", FOLDER / "base.csv")
    with ProcessPoolExecutor(args.jobs, mp_context=get_context("forkserver")) as pool:
        for done, job in enumerate(pool.map(work, jobs), 1):
            print(f"{done} of {len(jobs)}: {job}", flush=True)
            TABLE.parent.mkdir(parents=True, exist_ok=True)
            table(jobs).to_csv(TABLE, index=False, float_format="%.5f")
    print(table(jobs).to_string(index=False))


if __name__ == "__main__":
    main()
