"""What a base model can do: solving sampled and greedy, proposing, and the check that test programs are fresh.

``solving("nano", problems=48, samples=256)`` and ``proposing("nano", count=64)`` measure, on validation problems.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pandas as pd

from azr.config import RolloutConfig
from azr.evaluate import problem_set, solve_counts
from azr.executor import Executor
from azr.metrics import pass_at_k
from azr.models import load_model, load_style
from azr.progress import Progress
from azr.sampling import sample
from azr.selfplay import Fate, SelfPlay
from azr.world.corpus import documents

DOCUMENTS = 20_000


def solving(size: str, count: int, samples: int) -> pd.DataFrame:
    """One row a task type: greedy accuracy, pass@1, pass@samples (``pass_n``) and mean response length in tokens."""
    model, tokenizer = load_model(size)
    style, rollout = load_style("compact", tokenizer), RolloutConfig()
    tasks = problem_set("validation", count)
    with Executor(workers=1) as executor, Progress("solving", len(tasks)) as progress:
        greedy = solve_counts(model, tokenizer, style, executor, tasks, 1, rollout, temperature=0.0)
        sampled = solve_counts(model, tokenizer, style, executor, tasks, samples, rollout, progress=progress.update)
    table = sampled.assign(
        greedy=greedy.c,
        pass_1=sampled.c / sampled.n,
        pass_n=pass_at_k(sampled.n.to_numpy(), sampled.c.to_numpy(), samples),
    )
    return table.groupby("task_type", sort=False)[["greedy", "pass_1", "pass_n", "length"]].mean().reset_index()


def proposing(size: str, count: int, seed: int = 0) -> dict[str, Any]:
    """Shares of at least ``count`` proposals per task type that are valid, distinct, learnable, after seeding."""
    model, tokenizer = load_model(size)
    style, rollout = load_style("compact", tokenizer), RolloutConfig()
    calls = iter(range(10**9))

    def generate(prompts: Any) -> Any:
        return sample(model, tokenizer, prompts, rollout.max_new_tokens, seed + next(calls), rollout.chunk)

    fates: list[Fate] = []
    with Executor(workers=1) as executor:
        source = SelfPlay(rollout, style, executor, seed)
        source.seed_buffer(generate)
        for step in range(1, -(-count // rollout.batch) + 1):
            fates += source.step(step, generate).fates
    valid = [fate for fate in fates if fate.task]
    rates = [fate.solve_rate for fate in valid if fate.solve_rate is not None]
    return {
        "count": len(fates),
        "valid": len(valid) / len(fates),
        "distinct": len({fate.task for fate in valid}) / len(valid),
        "learnable": sum(0 < rate < 1 for rate in rates) / len(rates),
        "rollouts": rollout.rollouts,
        "rejected": dict(Counter(fate.fate for fate in fates if not fate.task)),
    }


def overlap_with_corpus() -> int:
    """How many of the test and validation programs stand anywhere in the first DOCUMENTS documents of the corpus."""
    held_out = {problem.task.program for split in ("test", "validation") for problem in problem_set(split, 200)}
    programs = re.compile(r"def f\(x\):\n(?: {4}[^\n]*\n?)+")
    seen = {
        program.rstrip("\n")
        for prompt, response in documents(0, DOCUMENTS)
        for text in (prompt, response)
        for program in programs.findall(text)
    }
    return len(held_out & seen)
