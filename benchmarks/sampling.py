"""How much faster the sampler is than the one it replaced: CPU seconds of both, on one core, by turns.

    python benchmarks/sampling.py              # a table of three workloads with the nano model, about three minutes
    python benchmarks/sampling.py --rounds 5

The old sampler runs from a git worktree of its last commit, made in a temporary folder. Workloads: ``evaluation``, 64
samples of test problems; ``step``, what one self-play step samples (proposals, four rollouts of each, and one response
to each task of a batch); ``greedy``, one response to each test problem. CPU seconds, so that other work beside it
disturbs less. Left out: several cores and GPUs.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OLD = "095aa27"
WORKLOADS = ("evaluation", "step", "greedy")


def write_prompts(file: Path, problems_of_a_type: int) -> None:
    """The prompts of all workloads, as lists of batches [prompts, samples of each]; runs with the old code."""
    import random

    from azr.prompts.compact import CompactStyle
    from azr.tasks import TaskType
    from azr.world.corpus import draw_task
    from azr.world.problems import problems

    style, rng = CompactStyle(), random.Random(0)
    tests = [style.solve(p.task) for kind in TaskType for p in problems("test", kind, problems_of_a_type)]

    def tasks(kind: TaskType, count: int) -> list:
        return [draw_task(kind, rng)[0] for _ in range(count)]

    proposals = [style.propose(kind, tasks(TaskType.DEDUCTION, 2)) for kind in TaskType for _ in range(16)]
    estimates, solves = ([style.solve(t) for kind in TaskType for t in tasks(kind, n)] for n in (16, 48))
    step = [[proposals, 1], [estimates, 4], [solves, 1]]
    batches = {"evaluation": [[tests, 64]], "step": step, "greedy": [[tests, 1]]}
    file.write_text(json.dumps(batches), encoding="utf-8")


def old_sampler() -> Callable[[list[str], int, float], int]:
    """Samples each of some prompts n times at a temperature; returns the tokens."""
    from azr.models import load_model
    from azr.sampling import sample_each

    model, tokenizer = load_model("nano")

    def run(prompts: list[str], n: int, temperature: float) -> int:
        drawn = sample_each(model, tokenizer, prompts, n, 96, 0, 256, temperature)
        return sum(len(one.ids) for _, own in drawn for one in own)

    return run


def new_sampler() -> Callable[[list[str], int, float], int]:
    """The same with the sampler of this tree, which takes more rows side by side: 512, where the old one had 256."""
    from azr.models.loading import load_model
    from azr.models.sampling import Decoding, sample

    model, tokenizer = load_model("nano")

    def run(prompts: list[str], n: int, temperature: float) -> int:
        streams = [(0, i, j) for i in range(len(prompts)) for j in range(n)]
        rows = [prompt for prompt in prompts for _ in range(n)]
        drawn = sample(model, tokenizer, rows, Decoding(96, temperature=temperature, chunk=512), streams)
        return sum(len(one.ids) for one in drawn)

    return run


def measure(which: str, file: Path) -> None:
    """Print CPU seconds and tokens of every workload, as JSON; runs in a process of its own."""
    import torch

    torch.set_num_threads(1)
    run = {"old": old_sampler, "new": new_sampler}[which]()
    run(["input 1\n"] * 8, 1, 1.0)  # first calls are slower
    found = {}
    for name, batches in json.loads(file.read_text(encoding="utf-8")).items():
        began = time.process_time()
        tokens = sum(run(prompts, n, float(name != "greedy")) for prompts, n in batches)
        found[name] = (time.process_time() - began, tokens)
    print(json.dumps(found))


def child(tree: Path, *arguments: str) -> str:
    """What this script prints when run with the package of ``tree``."""
    settings = os.environ | {"PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1"}
    command = [sys.executable, __file__, *arguments]
    return subprocess.run(command, env=settings, cwd=tree, check=True, capture_output=True, text=True).stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--problems", type=int, default=32, help="test problems of each task type")
    parser.add_argument("--worker", nargs=2, metavar=("WHAT", "FILE"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        what, file = args.worker[0], Path(args.worker[1])
        return write_prompts(file, args.problems) if what == "prompts" else measure(what, file)
    with tempfile.TemporaryDirectory() as folder:
        tree, file = Path(folder) / "old", Path(folder) / "prompts.json"
        git = ("git", "-C", str(ROOT), "worktree")
        subprocess.run([*git, "add", "--quiet", "--detach", str(tree), OLD], check=True)
        try:
            child(tree, "--worker", "prompts", str(file), "--problems", str(args.problems))
            rounds = [
                {which: json.loads(child(where, "--worker", which, str(file))) for which, where in both}
                for both in [(("old", tree), ("new", ROOT))] * args.rounds
            ]
        finally:
            subprocess.run([*git, "remove", "--force", str(tree)], check=True)
    print(f"{'workload':<12}{'old s':>8}{'new s':>8}{'ratio':>7}   each round's ratio; tokens old, new")
    for name in WORKLOADS:
        old, new = (min(one[which][name][0] for one in rounds) for which in ("old", "new"))
        ratios = "  ".join(f"{one['old'][name][0] / one['new'][name][0]:.2f}" for one in rounds)
        tokens = ", ".join(str(rounds[0][which][name][1]) for which in ("old", "new"))
        print(f"{name:<12}{old:>8.2f}{new:>8.2f}{old / new:>7.2f}   {ratios}; {tokens}")
    return None


if __name__ == "__main__":
    main()
