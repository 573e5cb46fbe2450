"""``azr evaluate``: how many of n responses to each test problem are right, for a run or for a model as it is.

    azr evaluate runs/laptop/nano/selfplay-seed0 the model that the run trained, into its folder
    azr evaluate nano --profile laptop          an untrained model, into runs/laptop/nano/base
    azr evaluate FOLDER --split validation      the validation problems instead, see azr/world/problems.py
    azr evaluate FOLDER --exact                 without sampling: bounds on the probability, see azr/exact/measure.py
    azr evaluate FOLDER --benchmark math500     a real benchmark, see azr/benchmarks/run.py

Writes ``test.csv`` (one row a problem; ``proposed`` says whether the run had itself proposed the problem's program) and
``test.json`` (decoding, versions, fingerprint), or the same named after another split; a finished measurement whose
inputs did not change is left alone.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from azr.benchmarks import run as benchmarks
from azr.config import Profile, config_hash
from azr.errors import UserError
from azr.exact.measure import measure_exact
from azr.files import RETRAIN, is_recorded, read_lines, reading, run_config
from azr.paths import DEFAULT_PROFILE, RUNS, base_folder
from azr.training.cli import add_profile_arguments, chosen_profile, run_profile

SPLITS = ("test", "validation", "tuning")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``azr evaluate``."""
    parser.add_argument("target", metavar="RUN|MODEL", help="a run folder, or a model: nano, micro, a folder, a hub id")
    add_profile_arguments(parser)
    parser.set_defaults(profile=None, runs=None)  # so that we see whether they were given: a run has its own
    parser.add_argument(
        "--split",
        action="append",
        choices=SPLITS,
        help="which problems; may be given more than once (default: test, unless something else is asked for)",
    )
    parser.add_argument(
        "--exact", action="store_true", help="bound the probability of a right response, into exact.csv"
    )
    benchmarks.add_arguments(parser)


def main(args: argparse.Namespace) -> int:
    """Measure and say where the table is."""
    if args.exact and args.benchmark:
        raise UserError("--exact measures the built-in problems: leave out --benchmark, or --exact.")
    plan = benchmarks.plan_of(args)
    if plan and args.split:
        raise UserError("--split chooses among the built-in problems: leave out --benchmark, or --split.")
    folder = Path(args.target)
    if args.model:
        raise UserError(f"--model chooses nothing here: {args.target} is what is measured; leave --model out.")
    run = run_config(folder)
    if run:
        for name in ("profile", "runs"):
            if getattr(args, name):
                raise UserError(f"--{name} goes with a model: the run {folder} has its own; leave --{name} out.")
        if not (folder / "done.json").exists():
            raise UserError(f"The run {folder} is not finished: train it first, with the same command as before.")
        profile = run_profile(run["profile"], args.set)
    else:
        args.model, args.profile, args.runs = args.target, args.profile or DEFAULT_PROFILE, args.runs or RUNS
        profile = chosen_profile(args)
        folder = base_folder(args.runs, args.profile, args.target)
    import torch  # after the arguments have been checked: it takes seconds

    torch.set_num_threads(profile.threads)
    if plan:
        model, tokenizer, name, adapter = _load(folder, profile)
        notes = benchmarks.run_notes(folder, run, profile.model.name, profile.model.dtype)
        benchmarks.evaluate(plan, model, tokenizer, benchmarks.weights_digest(name, adapter, model), folder, notes)
        return 0
    if args.exact:
        fingerprint = run.get("fingerprint", profile.model.name)
        table = measure_exact(folder, profile, fingerprint, lambda: _load(folder, profile)[:2])
        print(f"measured: {table}")
    for split in args.split or ([] if args.exact else ["test"]):
        _measure(folder, profile, split)
        print(f"measured: {folder / split}.csv")
    return 0


def _load(folder: Path, profile: Profile) -> tuple[Any, Any, str, Path | None]:
    """Model and tokenizer, and what they were loaded from: a model's name and the run's adapter."""
    import torch

    from azr.models import load_model

    full, adapter = folder / "model", folder / "adapter"
    if run_config(folder) and not (full.is_dir() or adapter.is_dir()):
        raise UserError(
            f"The run {folder} has no final weights: remove its done.json and run the same azr train command, which "
            "writes them anew from the last checkpoint."
        )
    name = str(full) if full.exists() else profile.model.name
    chosen = adapter if adapter.exists() else None
    model, tokenizer = load_model(name, profile.model.dtype, chosen)
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    return model, tokenizer, name, chosen


def _measure(folder: Path, profile: Profile, split: str) -> None:
    from azr.evaluate import COLUMNS, measure, problem_set, solve_counts
    from azr.executor import Executor
    from azr.models import load_style
    from azr.progress import Progress
    from azr.training.run import versions, write_json

    run = run_config(folder)
    trained = run.get("fingerprint", profile.model.name)
    evaluation = profile.evaluation
    size = (evaluation.problems, evaluation.samples if split == "test" else evaluation.final_samples)
    stamp = config_hash(trained, profile.model, split, size, profile.rollout, profile.threads, COLUMNS)
    record, table_file = folder / f"{split}.json", folder / f"{split}.csv"
    if is_recorded(record, table_file, stamp):
        return
    proposes = run.get("method") == "selfplay"
    proposed = _proposed_problems(folder, profile) if proposes and split == "test" else set()
    model, tokenizer, _, _ = _load(folder, profile)
    folder.mkdir(parents=True, exist_ok=True)
    style = load_style(profile.model.prompt_style, tokenizer)
    with (
        Executor(workers=1) as executor,
        Progress(f"measure {folder.name} on {split}", 3 * profile.evaluation.problems) as progress,
    ):
        if split == "test":
            table = measure(model, tokenizer, style, executor, evaluation, profile.rollout, progress.update)
        else:
            tasks, samples = problem_set(split, evaluation.problems), evaluation.final_samples
            rollout = profile.rollout
            table = solve_counts(model, tokenizer, style, executor, tasks, samples, rollout, progress=progress.update)
    if split == "test":
        table["proposed"] = table.problem.isin(proposed)
    table.to_csv(table_file, index=False, float_format="%.6g")
    decoding = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "max_new_tokens": profile.rollout.max_new_tokens}
    notes: dict[str, Any] = {"decoding": decoding, "versions": versions()}
    write_json(record, notes | {"fingerprint": stamp})


def _proposed_problems(folder: Path, profile: Profile) -> set[str]:
    """The test problems on whose program the run itself came: while proposing, or filling the buffer before it."""
    from azr.evaluate import problem_set

    proposals, seeds = folder / "proposals.jsonl", folder / "seeds.jsonl"
    with reading(proposals, RETRAIN):
        programs = {row["task"]["program"] for row in read_lines(proposals) if row["task"]}
    with reading(seeds, RETRAIN):
        programs |= {row["program"] for row in read_lines(seeds)}
    problems = problem_set("test", profile.evaluation.problems)
    return {problem.id for problem in problems if problem.task.program in programs}
