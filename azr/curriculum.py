"""``azr curriculum RUN``: a self-play run's proposals, solved again by the model that the run started from (RQ2).

    azr curriculum runs/laptop/nano/selfplay-seed0

Up to ``evaluation.curriculum_problems`` valid deduction proposals, spread evenly over the steps, get
``evaluation.curriculum_samples`` responses each at temperature 1 from the untrained base: one solver for every arm and
seed, so a trend is the proposals' and not the solver's. Writes ``curriculum.csv`` (one row a problem, ``COLUMNS``) and
``curriculum.json`` (settings, versions, fingerprint) into the run's folder; a finished measurement whose inputs did not
change is left alone. Left out: the trends (``azr.figures.curriculum``), abduction and induction.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from azr.config import Profile, RolloutConfig, config_hash
from azr.errors import UserError
from azr.files import RETRAIN, is_recorded, read_lines, reading, run_config
from azr.metrics.curriculum import ast_novelty, program_shape
from azr.prompts.base import PromptStyle
from azr.tasks import Task, TaskType
from azr.training.cli import run_profile

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from azr.executor import Executor

COLUMNS = (
    "problem", "step", "program", "input", "statements", "operators", "novelty", "repeats", "n", "c", "length",
    "truncated",
)  # fmt: skip
"""problem: its line in proposals.jsonl, from 0; step: of origin; statements and operators (distinct operations) as in
``azr.metrics.curriculum``; novelty: see ``described``; repeats: whether the run had this very program before; n
responses, c right, their mean length in tokens (end token included), and the share of them that was cut off."""
REFERENCES = 32
"""Most earlier programs with which a proposal is compared."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``azr curriculum``."""
    parser.add_argument("run", metavar="RUN", type=Path, help="the folder of a finished self-play run")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="as evaluation.curriculum_samples=16"
    )


def main(args: argparse.Namespace) -> int:
    """Measure and say where the table is."""
    folder: Path = args.run
    config = run_config(folder)
    if not config:
        raise UserError(f"{folder} is not the folder of a run: give one that azr train has made.")
    if config["method"] != "selfplay":
        raise UserError(f"The run {folder} has no proposals, since {config['method']} proposes nothing.")
    if not (folder / "done.json").exists():
        raise UserError(f"The run {folder} is not finished: train it first, with the same command as before.")
    profile = run_profile(config["profile"], args.set)
    _measure(folder, profile, config["seed"], config["fingerprint"])
    print(f"measured: {folder / 'curriculum.csv'}")
    return 0


def spread(steps: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Which of the observations at ``steps`` [N] to take: ``count`` of them, of each step as many as of any other.

    A step that has fewer gives all it has. Returns sorted indices [min(count, N)].

    >>> spread(np.array([1, 1, 1, 1, 2]), 3, np.random.default_rng(0)).tolist()[-1]
    4
    """
    shuffled = rng.permutation(len(steps))
    turn = np.empty(len(steps), dtype=int)  # how many of its step come before it
    for step in np.unique(steps):
        own = shuffled[steps[shuffled] == step]
        turn[own] = np.arange(len(own))
    return np.sort(np.lexsort((rng.random(len(steps)), turn))[:count])


def described(
    fates: Sequence[dict[str, Any]], seeds: Sequence[dict[str, Any]], chosen: Sequence[int], rng: np.random.Generator
) -> pd.DataFrame:
    """What the chosen proposals look like: the columns up to ``repeats``.

    Args:
        fates: the lines of proposals.jsonl, in order.
        seeds: the lines of seeds.jsonl.
        chosen: sorted indices of valid proposals in ``fates``.
        rng: draws the references.

    Returns:
        One row a proposal. ``novelty`` is the distance between its syntax tree and the nearest of a sample of distinct
        programs that the run had before its step (seeds, and valid proposals of earlier steps): one sample a step, of
        the same size at every step, since the nearest of more is nearer.
    """
    known = dict.fromkeys(seed["program"] for seed in seeds)
    size = min(REFERENCES, len(known))
    before: dict[int, list[str]] = {}  # a sample of the programs before a step
    repeated = []
    for fate in fates:
        if fate["step"] not in before:
            pool = list(known)
            before[fate["step"]] = [pool[i] for i in rng.permutation(len(pool))[:size]]
        program = fate["task"]["program"] if fate["task"] else None
        repeated.append(program in known)
        if program is not None:
            known.setdefault(program)
    rows = []
    for i in chosen:
        step, task = fates[i]["step"], fates[i]["task"]
        shape = program_shape(task["program"])
        looks = (shape.statements, len(shape.operations)) if shape else (np.nan, np.nan)
        novelty = ast_novelty(task["program"], before[step])
        rows.append((i, step, task["program"], task["inputs"][0], *looks, novelty, repeated[i]))
    return pd.DataFrame(rows, columns=list(COLUMNS[:8]))


def solved(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    style: PromptStyle,
    executor: Executor,
    tasks: Sequence[Task],
    samples: int,
    rollout: RolloutConfig,
    progress: Callable[[int], None] = lambda done: None,
) -> pd.DataFrame:
    """The columns n, c, length and truncated of ``tasks``, in their order; problems of like length are sampled side by
    side, and each prompt is read once for all its samples. ``progress`` is called with the problems done.
    """
    from azr.evaluate import graded_samples

    drawn, right = graded_samples(model, tokenizer, style, executor, tasks, samples, rollout, seed=0, progress=progress)
    lengths = np.array([[len(completion.ids) for completion in own] for own in drawn])
    ended = np.array([[completion.ids[-1] == tokenizer.eos_token_id for completion in own] for own in drawn])
    shares = {"length": lengths.mean(axis=1), "truncated": 1 - ended.mean(axis=1)}
    return pd.DataFrame({"n": samples, "c": right.sum(axis=1)} | shares)


def _measure(folder: Path, profile: Profile, seed: int, fingerprint: str) -> None:
    evaluation, rollout = profile.evaluation, profile.rollout
    proposals, seeds_file = folder / "proposals.jsonl", folder / "seeds.jsonl"
    with reading(proposals, RETRAIN):
        digest = hashlib.sha256(proposals.read_bytes()).hexdigest()
    choices = {
        "solver": profile.model.name,
        "problems": evaluation.curriculum_problems,
        "samples": evaluation.curriculum_samples,
        "references": REFERENCES,
        "temperature": 1.0,
        "max_new_tokens": rollout.max_new_tokens,
    }
    stamp = config_hash(fingerprint, digest, profile.model, choices, rollout.chunk, profile.threads)
    record, table_file = folder / "curriculum.json", folder / "curriculum.csv"
    if is_recorded(record, table_file, stamp):
        return
    with reading(proposals, RETRAIN):
        fates = [{key: fate[key] for key in ("step", "task_type", "task")} for fate in read_lines(proposals)]
        valid_tasks = {i: Task.from_json(fate["task"]) for i, fate in enumerate(fates) if fate["task"]}
    with reading(seeds_file, RETRAIN):
        seeds = [{"program": seed["program"]} for seed in read_lines(seeds_file)]
    valid = np.array([i for i in valid_tasks if fates[i]["task_type"] == TaskType.DEDUCTION], dtype=int)
    if not len(valid):
        raise UserError(f"No deduction proposal of the run {folder} was valid, so there is nothing to solve.")
    rng = np.random.default_rng([seed, 2])
    steps = np.array([fates[i]["step"] for i in valid])
    chosen = valid[spread(steps, evaluation.curriculum_problems, rng)].tolist()
    looks = described(fates, seeds, chosen, rng)

    import torch  # what takes seconds to import, after the checks

    from azr.executor import Executor
    from azr.models import load_model, load_style
    from azr.progress import Progress
    from azr.training.run import versions, write_json

    torch.set_num_threads(profile.threads)
    model, tokenizer = load_model(profile.model.name, profile.model.dtype)
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    style = load_style(profile.model.prompt_style, tokenizer)
    tasks = [valid_tasks[i] for i in chosen]
    with Executor(workers=1) as executor, Progress(f"curriculum {folder.name}", len(tasks)) as progress:
        counts = solved(
            model, tokenizer, style, executor, tasks, evaluation.curriculum_samples, rollout, progress.update
        )
    pd.concat([looks, counts], axis=1).to_csv(table_file, index=False, float_format="%.6g")
    write_json(record, {"settings": choices, "versions": versions(), "fingerprint": stamp})
