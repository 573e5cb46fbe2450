"""Why the proposer's programs get shorter: the pressure of one update by suspect, and short runs that remove one each.

    python benchmarks/shrinking.py --part 1             # no training: a few CPU minutes with nano
    python benchmarks/shrinking.py --part 2 --jobs 2    # short runs, one suspect at a time; continues where it stopped
    python benchmarks/shrinking.py --part 2 --steps 96 --seeds 4 --only default "base as proposer"

Part 1 samples proposals of the untrained model from a seeded buffer, estimates their solve rate with 16 rollouts, and
asks what one policy-gradient step does to the statement count S. Row i enters the update as w_i times the gradient of
its log-probability, w its advantage times its group's balance, so to first order the mean of S moves with Cov(w, S)
over rows: below 0, programs get shorter. Weights that are shared by all tokens see a long response more often; the
same covariance over tokens is the other extreme. Part 1 writes figures/table05_shrinking_*.csv.

Part 2 trains, and draws figures/fig05_shrinking (with another number of steps, fig05_shrinking_<steps>_steps). Samples
and runs are kept in runs/shrinking. Left out: induction, whose proposals have no program; Adam; the solver's gradient.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import comb

from azr.advantages import group_balance, task_relative_advantages
from azr.config import Profile, config_hash, load_profile, override
from azr.figures.shrinking import plot_shrinking
from azr.figures.style import save, use_style
from azr.files import read_lines
from azr.jobs import Job, run_jobs
from azr.metrics.curriculum import statement_count
from azr.metrics.stats import percentile_interval, t_interval
from azr.metrics.trends import cluster_interval
from azr.paths import ROOT, RUNS
from azr.rewards import MALFORMED, WRONG, proposer_rewards
from azr.tasks import TaskType

FOLDER = RUNS / "shrinking"
TYPES = (TaskType.ABDUCTION, TaskType.DEDUCTION)
ROLLOUTS = 16
DRAWS = 500
STEPS = 24
"""Steps of a run of part 2, unless told otherwise: the laptop profile's."""


# --- part 1: without training ----------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Variant:
    """The trainer's weights of proposals under changed settings."""

    suspect: str
    """a: invalid ones are paid -1; b: few rollouts, extremes paid -0.5; c: weighing by token; else empty."""
    rollouts: int = 4
    reward: str = "learnability"
    invalid: float | None = MALFORMED
    """Reward of an invalid proposal; None leaves it out of the update."""
    advantage_by: str = "token"
    loss_by: str = "token"


VARIANTS = {
    "default": Variant(""),
    "invalid paid -0.5": Variant("a", invalid=-0.5),
    "invalid left out": Variant("a", invalid=None),
    "only validity paid": Variant("a", reward="valid_only"),
    "8 rollouts": Variant("b", rollouts=8),
    "16 rollouts": Variant("b", rollouts=16),
    "extremes paid 0": Variant("b", reward="learnability_equation"),
    "extremes paid 0, 8 rollouts": Variant("b", reward="learnability_equation", rollouts=8),
    "extremes paid 0, 16 rollouts": Variant("b", reward="learnability_equation", rollouts=16),
    "advantage by sequence": Variant("c", advantage_by="sequence"),
    "loss by sequence": Variant("c", loss_by="sequence"),
    "both by sequence": Variant("c", advantage_by="sequence", loss_by="sequence"),
}


def sample_proposals(profile: Profile, count: int, seed: int) -> pd.DataFrame:
    """``count`` proposals of the untrained model: task_type, statements, tokens, valid, c of 16 (0 if invalid)."""
    import torch

    from azr.curriculum import solved
    from azr.executor import Executor
    from azr.models import load_model, load_style
    from azr.progress import Progress
    from azr.sampling import sample
    from azr.selfplay import SelfPlay, propose

    torch.set_num_threads(profile.threads)
    model, tokenizer = load_model(profile.model.name, profile.model.dtype)
    style, rollout = load_style(profile.model.prompt_style, tokenizer), profile.rollout
    seeds = iter(range(seed * 100_000, (seed + 1) * 100_000))  # one for each call, never the same twice

    def generate(prompts: list[str]) -> list:
        return sample(model, tokenizer, prompts, rollout.max_new_tokens, next(seeds), rollout.chunk)

    rng = np.random.default_rng([seed, 5])
    with Executor(workers=1) as executor:
        play = SelfPlay(rollout, style, executor, seed)
        play.seed_buffer(generate)
        requests = [(t, play.buffer.references(t, rollout.references, rng)) for t in TYPES for _ in range(count // 2)]
        responses = generate([style.propose(*request) for request in requests])
        fates, formed = propose(requests, responses, style, executor, step=1)
        valid = np.array([f.task is not None for f in fates]) & np.array(formed)
        tasks = [f.task for f, ok in zip(fates, valid, strict=True) if ok]
        with Progress(f"solve {profile.model.name}'s proposals", len(tasks)) as progress:
            counts = solved(model, tokenizer, style, executor, tasks, ROLLOUTS, rollout, progress.update)
    right = np.zeros(len(fates), dtype=int)
    right[valid] = counts.c
    rows = [(str(f.task_type), statements_of(f.response), f.tokens) for f in fates]
    return pd.DataFrame(rows, columns=["task_type", "statements", "tokens"]).assign(valid=valid, c=right)


def statements_of(response: str) -> float:
    """Statements of a proposal, valid or not: as in ``azr.metrics.curriculum``, or indented lines where none parses.

    >>> statements_of("def f(x):\\n    y = (\\n    return y\\ninput 1")
    2.0
    """
    program = "\n".join(line for line in response.splitlines() if line.startswith(("def ", " ")))
    count = statement_count(program)
    lines = float(sum(line.startswith("    ") for line in response.splitlines()))
    return lines if np.isnan(count) or not count else count


def solve_rate(table: pd.DataFrame, rollouts: int, rng: np.random.Generator) -> np.ndarray:
    """The solve rates that ``rollouts`` of the 16 give, drawn at random."""
    return rng.hypergeometric(table.c, ROLLOUTS - table.c, rollouts) / rollouts


def weights(table: pd.DataFrame, rate: np.ndarray, variant: Variant) -> np.ndarray:
    """What the trainer multiplies each row's log-probability gradient with; NaN for rows that it leaves out.

    Scaled by the number of responses, so that ``loss_by`` token gives the advantage itself.
    """
    valid, lengths = table.valid.to_numpy(), table.tokens.to_numpy()
    groups = table.task_type.eq(TYPES[1]).to_numpy().astype(int)
    rewards = proposer_rewards(rate, valid, variant.reward)
    kept = np.ones(len(table), dtype=bool) if variant.invalid is not None else valid
    if variant.invalid is not None:
        rewards[~valid] = variant.invalid
    result = np.full(len(table), np.nan)
    advantages = task_relative_advantages(rewards[kept], lengths[kept], groups[kept], by=variant.advantage_by)
    ones = np.ones(kept.sum(), dtype=bool)
    result[kept] = advantages * group_balance(lengths[kept], groups[kept], ones, by=variant.loss_by)
    return result


def covariances(table: pd.DataFrame, weight: np.ndarray, per: str) -> np.ndarray:
    """Each row's part of Cov(w, S) and of its scale: columns part, w'^2, S'^2 (centred within task type); they sum to
    the covariance and the variances. ``per`` token counts a row as often as it has tokens.
    """
    kept = ~np.isnan(weight)
    share = np.where(kept, table.tokens if per == "token" else 1.0, 0.0)
    share, groups = share / share.sum(), table.task_type.to_numpy()
    w, s = np.where(kept, weight, 0.0), np.array(table.statements, dtype=float)
    for values in (w, s):
        for group in np.unique(groups):
            own = groups == group
            values[own] -= np.average(values[own], weights=share[own])
    return np.column_stack([share * w * s, share * w * w, share * s * s])


def pressure(table: pd.DataFrame, variant: Variant, rng: np.random.Generator) -> dict[str, float]:
    """Covariance and correlation of weight and statement count, per row and per token, and the covariance's parts by
    what became of the proposal (they sum to it).
    """
    rate = solve_rate(table, variant.rollouts, rng)
    weight = weights(table, rate, variant)
    valid = table.valid.to_numpy()
    fate = {"invalid": ~valid, "solved by none": valid & (rate == 0), "solved by all": valid & (rate == 1)}
    fate["solved by some"] = valid & (rate > 0) & (rate < 1)
    result = {}
    for per in ("row", "token"):
        parts = covariances(table, weight, per)
        total = parts.sum(axis=0)
        result[f"covariance/{per}"] = total[0]
        result[f"correlation/{per}"] = total[0] / np.sqrt(total[1] * total[2])
        result |= {f"{name}/{per}": parts[own, 0].sum() for name, own in fate.items()}
    return result


def bootstrap(
    table: pd.DataFrame, statistics: Callable[[pd.DataFrame], dict[str, float]], rng: np.random.Generator
) -> pd.DataFrame:
    """Estimates (means over draws of rollouts) and 95 % percentile intervals that resample proposals."""
    estimates = pd.DataFrame([statistics(table) for _ in range(50)]).mean()
    draws = pd.DataFrame([statistics(table.iloc[rng.integers(len(table), size=len(table))]) for _ in range(DRAWS)])
    rows = []
    for name, estimate in estimates.items():
        interval = percentile_interval(estimate, draws[name].to_numpy())
        rows.append((name, estimate, interval.low, interval.high))
    return pd.DataFrame(rows, columns=["statistic", "estimate", "low", "high"])


def of_counts(table: pd.DataFrame) -> dict[str, float]:
    """What a statement count comes to: validity, solve rates, and the default's reward, in the mean over which 4 of the
    16 rollouts are taken.
    """
    right = table[table.valid].c.to_numpy()
    none, every = comb(ROLLOUTS - right, 4) / comb(ROLLOUTS, 4), comb(right, 4) / comb(ROLLOUTS, 4)
    reward = (
        1 - right / ROLLOUTS - none + WRONG * (none + every)
    )  # 1 - s, but for s of 0, where it would be 1, and of 1
    values = {
        "solve rate": right / ROLLOUTS,
        "solved by none of 4": none,
        "solved by all of 4": every,
        "solved by none of 16": right == 0,
        "solved by all of 16": right == ROLLOUTS,
        "reward, 4 rollouts, valid": reward,
    }
    means = {name: float(value.mean()) if len(value) else np.nan for name, value in values.items()}
    invalid = len(table) - len(right)
    whole = {"valid share": len(right) / len(table), "tokens": table.tokens.mean()}
    return whole | means | {"reward, 4 rollouts, all": (reward.sum() + MALFORMED * invalid) / len(table)}


def part_one(models: list[str], proposals: int, seed: int, figures: Path) -> None:
    """Sample what is not there, and write the three tables."""
    by_count, pressures, parts = [], [], []
    for name in models:
        profile = override(load_profile("laptop"), {"model.name": name})
        file = FOLDER / f"proposals-{name}-{config_hash(profile.rollout, proposals, seed, ROLLOUTS)}.csv"
        if not file.exists():
            FOLDER.mkdir(parents=True, exist_ok=True)
            sample_proposals(profile, proposals, seed).to_csv(file, index=False)
        table, rng = pd.read_csv(file), np.random.default_rng(seed)
        for task_type, of_type in [("both", table), *table.groupby("task_type")]:
            for count, own in of_type.groupby(of_type.statements.clip(upper=6)):  # 6: six or more
                about = {"model": name, "task_type": task_type, "statements": int(count), "proposals": len(own)}
                by_count.append(bootstrap(own, of_counts, rng).assign(**about))
        for variant_name, variant in VARIANTS.items():
            result = bootstrap(table, partial(pressure, variant=variant, rng=rng), rng)
            result[["statistic", "per"]] = result.statistic.str.split("/", expand=True)
            about = {"model": name, "variant": variant_name, "suspect": variant.suspect, "proposals": len(table)}
            whole = result.statistic.isin(["covariance", "correlation"])
            pressures.append(result[whole].assign(**about))
            parts.append(result[~whole].assign(**about))
    for name, frames in {"by_statements": by_count, "pressure": pressures, "parts": parts}.items():
        write(pd.concat(frames, ignore_index=True), name, figures)


# --- part 2: with training -------------------------------------------------------------------------------------------
RUNS_OF_PART_TWO: dict[str, tuple[str, dict[str, object]]] = {
    "default": ("", {}),
    "proposer not trained": ("", {"train.proposer": "frozen"}),
    "base as proposer": ("", {"train.proposer": "base"}),
    "only validity paid": ("a", {"train.proposer_reward": "valid_only"}),
    "extremes paid 0": ("b", {"train.proposer_reward": "learnability_equation"}),
    "16 rollouts": ("b", {"rollout.rollouts": 16}),
    "advantage by sequence": ("c", {"train.advantage_by": "sequence"}),
    "loss by sequence": ("c", {"train.loss_by": "sequence"}),
    "references from seeds": ("d", {"rollout.references_from": "seeds"}),
    "32 proposals, 32 solves": ("f", {"rollout.batch": 32, "rollout.solves": 0}),
    "b, c and d together": (
        "bcd",
        {
            "rollout.rollouts": 16,
            "train.proposer_reward": "learnability_equation",
            "train.advantage_by": "sequence",
            "rollout.references_from": "seeds",
        },
    ),
    "micro": ("e", {"model.name": "micro"}),
}
"""Suspect and settings of each: a to c as in part 1; d: references that get shorter; e: a weak base; f: the profile's
shares of proposals and solves, where AZR has as many of one as of the other; bcd: what is left of the push is that
invalid proposals are paid -1.
"""
STATEMENTS, VALID, HALF, SEED, STEP = range(5)
"""Columns of ``halves``."""


def part_two(seeds: int, jobs: int, changes: dict[str, object], only: list[str], figures: Path) -> None:
    """Train what is missing, and write how the statement count of valid proposals moved, and validation accuracy.

    Runs of one seed start from the same buffer and draw the same problems, so differences are taken within seeds.
    """
    folders = {
        (name, seed): FOLDER / f"{name.replace(' ', '-')}-{config_hash(changes | settings)}-seed{seed}"
        for seed in range(seeds)
        for name, (_, settings) in RUNS_OF_PART_TWO.items()
        if name in only
    }
    work = []
    for (name, seed), folder in folders.items():
        options = [f"--set={key}={json.dumps(value)}" for key, value in (changes | RUNS_OF_PART_TWO[name][1]).items()]
        train = ("train", "selfplay", "--profile", "laptop", "--seed", str(seed), "--out", str(folder), *options)
        work.append(Job(f"{name} seed {seed}", (train, ("evaluate", str(folder), "--split", "validation"))))
    run_jobs(work, jobs, threads=1)
    tables = {n: np.concatenate([halves(folders[n, seed], seed) for seed in range(seeds)]) for n in only}
    ends = {name: of_seeds(table, partial(mean_of_half, half=2)) for name, table in tables.items()}
    accuracies = {name: np.array([accuracy(folders[name, seed]) for seed in range(seeds)]) for name in only}
    unmoved = ends.get("base as proposer", np.full(seeds, np.nan))
    rows = []
    for name, table in tables.items():
        suspect, settings = RUNS_OF_PART_TWO[name]
        other_model = np.nan if "model.name" in settings else 0.0  # no difference is taken between models
        changes_of_run = of_seeds(table, change)
        clusters = np.unique(table[:, [SEED, STEP]], axis=0, return_inverse=True)[1].ravel()
        over_steps = cluster_interval(table, clusters, np.random.default_rng(0), statistic=change, num_draws=DRAWS)
        valid = [table[table[:, HALF] == half, VALID].mean() for half in (1, 2)]
        rows.append(
            {"variant": name, "suspect": suspect, "settings": json.dumps(settings), "seeds": seeds}
            | {"steps": int(table[:, STEP].max())}
            | {"first": ends[name].mean() - changes_of_run.mean(), "second": ends[name].mean()}
            | interval("change", changes_of_run)
            | {"change_low_over_steps": over_steps.low, "change_high_over_steps": over_steps.high}
            | interval("drift", ends[name] - unmoved + other_model)
            | interval("difference", ends[name] - ends[only[0]] + other_model)
            | {"valid_first": valid[0], "valid_second": valid[1], "proposals": len(table)}
            | {"accuracy": accuracies[name].mean()}
            | interval("accuracy_difference", accuracies[name] - accuracies[only[0]] + other_model)
        )
    table = pd.DataFrame(rows)
    print(table.drop(columns="settings").round(3).to_string(index=False))
    use_style()
    name = "fig05_shrinking" if changes["train.steps"] == STEPS else f"fig05_shrinking_{changes['train.steps']}_steps"
    save(plot_shrinking(table, "nano (but for a row micro), laptop profile, T = 1"), name, table, figures)


def halves(folder: Path, seed: int) -> np.ndarray:
    """A run's proposals of deduction and abduction: statements, validity, half of the run (1 or 2), seed, step."""
    fates = read_lines(folder / "proposals.jsonl")
    last = max(fate["step"] for fate in fates)
    rows = [
        (statements_of(fate["response"]), fate["fate"] == "valid", 1 + (2 * fate["step"] > last), seed, fate["step"])
        for fate in fates
        if fate["task_type"] in TYPES
    ]
    return np.array(rows, dtype=float)


def mean_of_half(rows: np.ndarray, half: int) -> float:
    """Mean statements of valid proposals in a half of training, of rows as ``halves`` has them."""
    return float(rows[(rows[:, VALID] == 1) & (rows[:, HALF] == half), STATEMENTS].mean())


def change(rows: np.ndarray) -> float:
    """The second half's mean minus the first's."""
    return mean_of_half(rows, 2) - mean_of_half(rows, 1)


def of_seeds(rows: np.ndarray, statistic: Callable[[np.ndarray], float]) -> np.ndarray:
    """The statistic of each seed's rows."""
    return np.array([statistic(rows[rows[:, SEED] == seed]) for seed in np.unique(rows[:, SEED])])


def accuracy(folder: Path) -> float:
    """pass@1 on the validation problems, all task types."""
    counts = pd.read_csv(folder / "validation.csv")
    return float((counts.c / counts.n).mean())


def interval(name: str, values: np.ndarray) -> dict[str, float]:
    """The mean over seeds with its 95 % t interval, as columns of the table."""
    of_mean = t_interval(values)
    return {name: of_mean.estimate, f"{name}_low": of_mean.low, f"{name}_high": of_mean.high}


def write(table: pd.DataFrame, name: str, figures: Path) -> None:
    """Keep a table, and print it."""
    figures.mkdir(parents=True, exist_ok=True)
    file = figures / f"table05_shrinking_{name}.csv"
    table.to_csv(file, index=False, float_format="%.6g")
    print(f"\n{file}\n{table.round(3).to_string(index=False)}")


def main() -> None:
    """The options above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", type=int, choices=(1, 2), required=True)
    parser.add_argument("--figures", type=Path, default=ROOT / "figures", help="where the tables go")
    parser.add_argument("--models", nargs="+", default=["nano"], help="part 1: whose proposals (nano micro)")
    parser.add_argument("--proposals", type=int, default=1500, help="part 1: how many, half of them of each type")
    parser.add_argument("--seeds", type=int, default=4, help="part 2: runs of each variant, at least 2")
    parser.add_argument("--steps", type=int, default=STEPS, help="part 2: steps of a run")
    parser.add_argument("--jobs", type=int, default=2, help="part 2: runs side by side")
    parser.add_argument("--only", nargs="+", default=list(RUNS_OF_PART_TWO), choices=RUNS_OF_PART_TWO, metavar="NAME")
    args = parser.parse_args()
    if args.part == 1:
        part_one(args.models, args.proposals, 0, args.figures)
    else:
        changes = {"train.validate_every": 0, "train.steps": args.steps}
        part_two(args.seeds, args.jobs, changes, args.only, args.figures)


if __name__ == "__main__":
    main()
