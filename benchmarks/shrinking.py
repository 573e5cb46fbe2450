"""Why do proposals get shorter? Two variants of self-play beside the reference study's arms, on the same prompts.

    python benchmarks/shrinking.py                    # resumes; prints the table and writes figures/data/shrinking.csv
    python benchmarks/shrinking.py --jobs 2

``four repairs``, three seeds: proposers are shown the seeds alone, solve rates come of 16 rollouts, the reward is that
of AZR's equation, and advantages weigh rows alike. ``64 rollouts``, one seed: solve rates without most of their noise.
All else is the profile ``reference``, whose shipped measurements of ``nano`` they are compared with: the length of
proposals on the prompts on which entropy is measured, accuracy on validation problems, and whether later proposals are
harder for the base. Exploratory: the protocol has no claim on it. Left out: each repair alone.
"""

from __future__ import annotations

import argparse
import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pandas as pd

from azr.arms import arm_profile
from azr.config import load_profile, override
from azr.runs import ROOT, RUNS, Run
from azr.study import DATA
from azr.study.collect import load_frames
from azr.study.subject import Subject
from azr.tables import accuracy, curriculum, entropy

VARIANTS = {
    "four repairs": {
        "rollout.references_from": "seeds",
        "rollout.rollouts": 16,
        "train.proposer_reward": "learnability_equation",
        "train.advantage_by": "sequence",
    },
    "64 rollouts": {"rollout.rollouts": 64},
}
SEEDS = {"64 rollouts": (0,), "four repairs": (0, 1, 2)}  # the longest run first
MEASURED = ("entropy", "validation", "curriculum")
FOLDER, TABLE = RUNS / "shrinking", ROOT / "figures" / "data" / "shrinking.csv"
Job = tuple[str, int]


def subject_of(job: Job) -> Subject:
    """The run of a variant and a seed."""
    variant, seed = job
    profile = override(arm_profile("selfplay", load_profile("reference")), VARIANTS[variant])
    return Subject(Run(FOLDER / f"{variant.replace(' ', '-')}-seed{seed}"), profile, "selfplay", seed)


def work(job: Job) -> Job:
    """Train and measure one run."""
    from azr.study.measures import MEASURES
    from azr.training.run import train

    subject = subject_of(job)
    train("selfplay", subject.profile, subject.seed, subject.run.folder)
    for name in MEASURED:
        if not subject.is_measured(name):
            frame = MEASURES[name](subject, subject.last)
            frame = frame.assign(step=frame.get("step", subject.last))
            subject.run.save_measure(name, frame, subject.inputs, subject.settings)
    return job


def table(jobs: list[Job]) -> pd.DataFrame:
    """What is there of each variant, beside the reference study's arms: one row a quantity, with its interval."""
    shipped, frames = load_frames(DATA), {}
    for name in MEASURED:
        parts = [shipped[name][shipped[name]["model"] == "nano"]]
        for variant, seed in jobs:
            if subject_of((variant, seed)).is_measured(name):
                own = subject_of((variant, seed)).run.measure(name)
                parts.append(own.assign(model="nano", method=variant, seed=seed))
        frames[name] = pd.concat(parts, ignore_index=True)
    tokens = entropy.shrinking(frames["entropy"]).assign(of="length on fixed prompts")
    right = accuracy.contrasts(frames["validation"]).assign(of="validation").query("group == 'all'")
    harder = curriculum.trend_intervals(curriculum.trends(frames["curriculum"])).rename(
        columns={"statistic": "quantity"}
    )
    rows = pd.concat([tokens, right, harder.assign(of="ρ over its proposals")], ignore_index=True)
    columns = ["of", "quantity", "method", "reference", "estimate", "low", "high", "seeds"]
    return rows.loc[rows["method"].isin([*VARIANTS, "selfplay", "frozen", "base-proposer"]), columns]


def main() -> None:
    """Run what is missing and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes side by side")
    args = parser.parse_args()
    jobs = [(variant, seed) for variant, seeds in SEEDS.items() for seed in seeds]
    with ProcessPoolExecutor(args.jobs, mp_context=get_context("forkserver")) as pool:
        for done, job in enumerate(pool.map(work, jobs), 1):
            print(f"{done} of {len(jobs)}: {job}", flush=True)
            table(jobs).to_csv(TABLE, index=False, float_format="%.5f")
    print(table(jobs).to_string(index=False))


if __name__ == "__main__":
    main()
