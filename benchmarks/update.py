"""RLVR by TRR++ (self-play's trainer) against TRL's GRPOTrainer as it is: CPU seconds of a step on one core.

    python benchmarks/update.py --steps 4 --repeats 2

Both train nano on the same problem set with 192 responses a step of at most 96 tokens, in micro-batches of 8, TRL's
default. GRPOTrainer samples by itself here; the arm ``rlvr``, whose step is printed as well, gives it our sampler. In
turns, each in a process of its own; the first step is left out. Responses have the lengths that the model gives them,
so seconds a token are compared, too.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SETTINGS = {"rollout.batch": 32, "rollout.max_new_tokens": 96, "train.micro_batch": 8, "train.save_every": 1000}
TRAIN = """
import sys, time
time.perf_counter = time.process_time  # the log's seconds become CPU seconds
import torch
torch.set_num_threads(1)
from pathlib import Path
from azr.config import load_profile, override
from azr.training import baselines, run
arm = sys.argv[1]
if arm == "stock":
    arm, baselines.sampler = "rlvr", lambda *_: None
run.train(arm, override(load_profile("laptop"), {settings!r}), 0, Path(sys.argv[2]))
"""


def steps_of(arm: str, folder: Path, settings: dict[str, object]) -> list[tuple[float, float]]:
    """CPU seconds and response tokens of each step but the first."""
    command = [sys.executable, "-c", TRAIN.format(settings=settings), arm, str(folder)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    steps = []
    for line in (folder / "log.jsonl").read_text().splitlines()[1:]:
        row = json.loads(line)
        tokens = row["tokens"]["trained"] if "tokens" in row else 192 * row["groups"]["solver"]["length"]
        steps.append((row["seconds"]["step"], tokens))
    return steps


def main() -> None:
    """Print the median step of each, and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=2)
    args = parser.parse_args()
    found: dict[str, list[tuple[float, float]]] = {"stock": [], "rlvr": [], "rlvr-trr": []}
    with tempfile.TemporaryDirectory() as place:
        for repeat in range(args.repeats):
            for arm, steps in found.items():
                steps += steps_of(arm, Path(place) / f"{arm}{repeat}", SETTINGS | {"train.steps": args.steps})
    seconds = {arm: statistics.median(s for s, _ in steps) for arm, steps in found.items()}
    for arm, steps in found.items():
        each = sum(s for s, _ in steps) / sum(tokens for _, tokens in steps)
        print(f"{arm:<9}{seconds[arm]:.2f} s CPU a step, {1000 * each:.3f} ms a response token")
    for arm in ("rlvr", "rlvr-trr"):
        print(f"GRPOTrainer as it is / {arm}: {seconds['stock'] / seconds[arm]:.2f}")


if __name__ == "__main__":
    main()
