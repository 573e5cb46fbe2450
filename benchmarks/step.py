"""A self-play step of nano against the code of an earlier commit: CPU seconds on one core, and their ratio.

    python benchmarks/step.py --steps 6 --repeats 3

The earlier code runs in a git worktree made for it in a temporary folder. Both train the same weights from the same
seeds with batch 16, 48 solves, 4 rollouts, 96 new tokens and a LoRA adapter of rank 16, in turns, each in a process of
its own. The first step, which loads what is needed later, is left out. Where the new step spends its time is printed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EARLIER = "095aa27"
SETTINGS = {
    "rollout.batch": 16,
    "rollout.solves": 48,
    "rollout.rollouts": 4,
    "rollout.max_new_tokens": 96,
    "train.micro_batch": 16,
    "train.save_every": 1000,
}
TRAIN = """
import sys, time
time.perf_counter = time.process_time  # the log's seconds become CPU seconds
import torch
torch.set_num_threads(1)
from pathlib import Path
from azr.config import load_profile, override
from azr.training.run import train
profile = override(load_profile("laptop"), {settings!r})
train("selfplay", profile, 0, Path(sys.argv[1]))
"""


def seconds_of(code: Path, folder: Path, seeds: Path | None, settings: dict[str, object]) -> list[dict[str, float]]:
    """CPU seconds by phase of each step but the first, of a run in ``folder`` by the package in ``code``."""
    folder.mkdir(parents=True)
    if seeds:
        shutil.copy(seeds, folder / "seeds.jsonl")
    environment = os.environ | {"PYTHONPATH": str(code), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", TRAIN.format(settings=settings), str(folder)]
    subprocess.run(command, cwd=code, env=environment, check=True, stdout=subprocess.DEVNULL)
    return [json.loads(line)["seconds"] for line in (folder / "log.jsonl").read_text().splitlines()][1:]


def main() -> None:
    """Print the median step of both, and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        worktree, runs = Path(place) / "earlier", Path(place) / "runs"
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", str(worktree), EARLIER], check=True)
        try:
            shared = {"model.name": str(worktree / "azr/world/checkpoints/nano"), "train.steps": args.steps}
            of_old = SETTINGS | shared | {"train.micro_batch": 8, "train.validate_every": 0}
            old: list[dict[str, float]] = []
            new: list[dict[str, float]] = []
            seeds = None
            for repeat in range(args.repeats):
                old += seconds_of(worktree, runs / f"old{repeat}", seeds, of_old)
                seeds = runs / "old0" / "seeds.jsonl"
                new += seconds_of(ROOT, runs / f"new{repeat}", seeds, SETTINGS | shared)
        finally:
            subprocess.run([*git, "remove", "--force", str(worktree)], check=True)
    medians = {
        name: {phase: statistics.median(step[phase] for step in steps) for phase in steps[0]}
        for name, steps in (("earlier", old), ("now", new))
    }
    for name, phases in medians.items():
        print(f"{name:<8}", *(f"{phase} {seconds:.2f}" for phase, seconds in phases.items()), "s CPU")
    print(f"ratio {medians['earlier']['step'] / medians['now']['step']:.2f}")


if __name__ == "__main__":
    main()
