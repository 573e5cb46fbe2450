"""Choose the laptop profile's learning rates by tuning problems that no figure, table or claim uses.

    python benchmarks/sweep.py                # resumes; writes figures/table_sweep.csv and prints it
    python benchmarks/sweep.py --jobs 2 --only selfplay rlvr

Each value is trained once, with a seed that the study does not use, and measured on the ``tuning`` part of the
validation problems (``azr.evaluate.problem_set``). One rate serves all LoRA arms and one all fully trained arms: the
study compares arms at matched learning rates. Left out: a search over more than one setting at a time.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
from pathlib import Path

import numpy as np
import pandas as pd

from azr.config import Profile, load_profile
from azr.jobs import Job, run_jobs
from azr.metrics import paired_seed_interval
from azr.paths import ROOT, RUNS

SEED = 100
GRID: dict[str, tuple[str, tuple[float, ...]]] = {
    "selfplay": ("train.learning_rate", (5e-4, 1e-3, 2e-3)),
    "rlvr": ("train.learning_rate", (5e-4, 1e-3, 2e-3)),
    "sft": ("train.learning_rate", (5e-4, 1e-3, 2e-3)),
    "rlvr-full": ("train.full_learning_rate", (3e-5, 1e-4, 3e-4)),
}
STEPS = 32
"""Steps of a LoRA run here; the profile, whose steps are what its time allows, has fewer."""
TABLE = ROOT / "figures" / "table_sweep.csv"


def folder_of(arm: str, value: float) -> Path:
    """Where the run of one value lies."""
    return RUNS / "sweep" / f"{arm}-{value:g}"


def jobs(profile: Profile, arms: list[str]) -> list[Job]:
    """Train and measure each value, and measure the base."""
    base = (
        "evaluate",
        profile.model.name,
        "--profile",
        profile.name,
        "--split",
        "tuning",
        "--runs",
        str(RUNS / "sweep"),
    )
    made = [Job("base", (base,))]
    for arm in arms:
        setting, values = GRID[arm]
        for value in values:
            folder = str(folder_of(arm, value))
            settings = ("--set", f"train.steps={STEPS}", "--set", f"{setting}={value}")
            options = ("--profile", profile.name, "--seed", str(SEED), *settings, "--out", folder)
            made.append(Job(f"{arm} {value:g}", (("train", arm, *options), ("evaluate", folder, "--split", "tuning"))))
    return made


def table(profile: Profile, arms: list[str]) -> pd.DataFrame:
    """One row an arm, value and task type: success on tuning problems, and its difference from the base's."""
    base = pd.read_csv(RUNS / "sweep" / profile.name / profile.model.name / "base" / "tuning.csv")
    rows = []
    for arm in arms:
        setting, values = GRID[arm]
        for value in values:
            own = pd.read_csv(folder_of(arm, value) / "tuning.csv")
            for task_type in [*own.task_type.unique(), "all"]:
                before, after = (t if task_type == "all" else t[t.task_type == task_type] for t in (base, own))
                scores = [(t.c / t.n).to_numpy() for t in (after, before)]
                change = paired_seed_interval(scores[0][None], scores[1], np.random.default_rng(0))
                row = {"arm": arm, "setting": setting, "value": value, "task_type": task_type}
                row |= {"base": scores[1].mean(), "accuracy": scores[0].mean(), "difference": change.estimate}
                rows.append(row | {"low": change.low, "high": change.high, "problems": len(before)})
    return pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes side by side")
    parser.add_argument("--only", nargs="+", choices=list(GRID), default=list(GRID), metavar="ARM", help="these arms")
    args = parser.parse_args()
    profile = dataclasses.replace(load_profile("laptop"), seeds=1)
    run_jobs(jobs(profile, args.only), args.jobs, profile.threads)
    frame = table(profile, args.only)
    if args.only == list(GRID):
        frame.to_csv(TABLE, index=False, float_format="%.6g")
    print(frame[frame.task_type == "all"].to_string(index=False, float_format="{:.4g}".format))


if __name__ == "__main__":
    main()
