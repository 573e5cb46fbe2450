"""The number behind each claim: from the study's tidy tables to an estimate with an interval.

    FINDINGS["C1"](tables, "deduction")     # Finding(interval=Interval(estimate=0.02, ...), seeds=3, problems=64, ...)

Differences are paired by problem and seed. What an interval covers depends on what there is: seeds and problems,
problems of one run, seeds alone (entropies, lengths), steps of origin (C4 and C11); ``Finding.covers`` says which. Left
out: the claims, their rules and verdicts (``azr.claims``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from azr.exact.gains import pass_at_k_bounds, problem_matrices
from azr.figures.entropy import entropy_by_role, entropy_ends
from azr.figures.passk import default_ks
from azr.metrics import (
    Interval,
    crossing_bootstrap,
    paired_seed_interval,
    pass_at_k,
    t_interval,
)
from azr.tasks import TaskType

CODE = tuple(str(task_type) for task_type in TaskType)
"""The task types of self-play; arithmetic is not among them."""
EXACT_K = 10_000
"""Samples allowed in C2 where the probability of a right response is known."""
NO_MASS, SOLVABLE = -20.0, -7.0
"""E2: log-probabilities of a right response below which a model gives it no mass, and above which it can be sampled."""
_POINT = (np.nan, np.nan, np.nan)


class NotMeasuredError(Exception):
    """The tables lack what a claim needs; the message names it."""


@dataclass(frozen=True)
class Tables:
    """What the claims are computed from, of one model; None, or without a method's rows, where it was not measured."""

    test: pd.DataFrame | None = None
    """``Study.table("test", ...)``: method, seed, task_type, problem, n, c, answer_entropy."""
    exact: pd.DataFrame | None = None
    """``Study.table("exact", ...)``: method, seed, task_type, problem, log_lower, log_upper."""
    validation: pd.DataFrame | None = None
    """``Study.table("validation", ...)`` after training: method, seed, task_type, problem, n, c."""
    trends: pd.DataFrame | None = None
    """``azr.figures.curriculum.curriculum_trends``: one row a method and statistic."""
    steps: pd.DataFrame | None = None
    """``Study.steps``: method, seed, step, role, task_type, entropy_full, entropy_nll, tokens."""
    order: pd.DataFrame | None = None
    """``azr.figures.sparsity.sparsity_order``: seed, between."""


@dataclass(frozen=True)
class Finding:
    """An estimate with its interval, and what both rest on."""

    interval: Interval
    seeds: int
    covers: str
    """What the interval is over; empty for an estimate without one."""
    problems: int | None = None
    note: str = ""
    p: float | None = None
    """Where another p belongs to it than the interval's own."""


def rows_of(table: pd.DataFrame | None, name: str, *methods: str) -> pd.DataFrame:
    """The rows of ``methods``. Raises NotMeasuredError where the table or one of them is not there."""
    for method in methods:
        if table is None or method not in set(table["method"]):
            raise NotMeasuredError(f"{name} of {method}")
    assert table is not None
    return table[table["method"].isin(methods)]


def paired(scores: pd.DataFrame, method: str, reference: str) -> tuple[np.ndarray, np.ndarray]:
    """Scores of a method [S, M], and of a reference [S, M] for the same seeds; [M] for the base, which has none.

    ``scores``: method, seed, task_type, problem, score. Problems of several task types are taken together.
    """
    matrices = [
        scores[scores["method"] == name].pivot(index="seed", columns=["task_type", "problem"], values="score")
        for name in (method, reference)
    ]
    own, control = matrices
    if reference == "base":
        return own.to_numpy(), control[own.columns].to_numpy().mean(axis=0)
    seeds = own.index.intersection(control.index)
    return own.loc[seeds].to_numpy(), control.loc[seeds, own.columns].to_numpy()


def difference(scores: pd.DataFrame, method: str, reference: str) -> Finding:
    """Mean paired difference of scores over seeds and problems."""
    own, control = paired(scores, method, reference)
    interval = paired_seed_interval(own, control, np.random.default_rng(0))
    return Finding(interval, own.shape[0], _crossed(own.shape[0]), own.shape[1])


def over_seeds(values: Sequence[float] | np.ndarray, note: str = "") -> Finding:
    """Mean of one number a seed with a t-interval; without interval for a single seed."""
    interval = t_interval(values)
    return Finding(interval, len(values), "seeds" if len(values) > 1 else "", note=note)


def _crossed(seeds: int) -> str:
    return "seeds and problems" if seeds > 1 else "problems of one run"


def _gain(tables: Tables, task_type: str, k: int | None = None) -> Finding:
    """pass@k of self-play minus the base's; ``k`` None for half the samples."""
    counts = rows_of(tables.test, "test problems", "base", "selfplay")
    counts = counts[counts["task_type"] == task_type]
    k = k or default_ks(int(counts["n"].min()))[-1]
    scores = counts.assign(score=pass_at_k(counts["n"].to_numpy(), counts["c"].to_numpy(), k))
    return replace(difference(scores, "selfplay", "base"), note=f"k = {k}")


def _exact_gain(tables: Tables, task_type: str) -> Finding:
    """The same at ``EXACT_K`` from bounds on probabilities: the interval holds for any truth within the bounds.

    The estimate is the middle of what these bounds leave possible, which says no more than the bounds do.
    """
    exact = rows_of(tables.exact, "exact probabilities", "base", "selfplay")
    exact = exact[exact["task_type"] == task_type]
    bounds = pass_at_k_bounds(exact, EXACT_K)
    lower, upper = bounds["log_lower"], bounds["log_upper"]
    worst, best = (
        paired_seed_interval(own["selfplay"], control["base"].mean(axis=0), np.random.default_rng(0))
        for own, control in ((lower, upper), (upper, lower))
    )
    seeds, problems = lower["selfplay"].shape
    margin = 0.01
    certain = best.estimate < margin or worst.estimate > margin
    return Finding(
        Interval((worst.estimate + best.estimate) / 2, worst.low, best.high, np.nan),
        seeds,
        f"{_crossed(seeds)}, and what enumeration left open",
        problems,
        f"k = {EXACT_K}; {worst.estimate:+.3f} to {best.estimate:+.3f} on these problems and runs",
        max(worst.p_value(margin), best.p_value(margin)) if certain else 1.0,
    )


def _large_k(tables: Tables, part: str) -> Finding:
    task_type, _, how = part.partition(", ")
    return _exact_gain(tables, task_type) if how == "exact" else _gain(tables, task_type)


def _crossing(tables: Tables, _: str) -> Finding:
    """Share of bootstrap draws in which the curve of all task types together falls below the base's."""
    counts = rows_of(tables.test, "test problems", "base", "selfplay")
    counts = counts[counts["task_type"].isin(CODE)]
    ks = default_ks(int(counts["n"].min()))
    if len(ks) < 2:
        raise NotMeasuredError("more than one sample a problem to half of which k can go")
    n, c = counts["n"].to_numpy(), counts["c"].to_numpy()
    gaps = []
    for k in ks:
        own, control = paired(counts.assign(score=pass_at_k(n, c, k)), "selfplay", "base")
        gaps.append(own - control)
    found = crossing_bootstrap(np.stack(gaps, axis=-1), ks, np.random.default_rng(0))
    seeds, problems = gaps[0].shape
    where = "no crossing on the data" if np.isnan(found.estimate) else f"k* = {found.estimate:.0f} on the data"
    share = Interval(found.share_crossing, *_POINT)
    return Finding(share, seeds, "", problems, f"{where}; k in 2 to {ks[-1]}; draws of {_crossed(seeds)}")


def _trend(statistic: str, method: str = "selfplay", *, of_seeds: bool = False) -> Callable[[Tables, str], Finding]:
    """rho with the bootstrap by step that C4 asks for; ``of_seeds``: over the seeds' own, where there are several."""

    def find(tables: Tables, part: str) -> Finding:
        trends = rows_of(tables.trends, "re-solved proposals", method)
        name = f"{statistic}_{part.replace(' ', '_')}" if part.startswith("within") else statistic
        row = trends[trends["statistic"] == name].iloc[0]
        if np.isnan(row["estimate"]):
            raise NotMeasuredError(f"variation of both quantities in the proposals of {method}")
        seeds, tasks = int(row["seeds"]), int(row["tasks"])
        if of_seeds and seeds > 1:
            keys = ("mean_over_seeds", "low_over_seeds", "high_over_seeds", "se_over_seeds")
            return Finding(Interval(*(float(row[key]) for key in keys), seeds - 1), seeds, "seeds", tasks)
        interval = Interval(*(float(row[key]) for key in ("estimate", "low", "high", "se")))
        return Finding(interval, seeds, "steps of origin in these runs", tasks)

    return find


def _entropies(tables: Tables, *methods: str) -> pd.DataFrame:
    """Entropy at both ends of training by method and role, one row a seed."""
    ends = entropy_ends(rows_of(tables.steps, "training log", *methods))
    return ends.set_index(["method", "role", "seed"]).sort_index()


def _collapse(role: str) -> Callable[[Tables, str], Finding]:
    def find(tables: Tables, _: str) -> Finding:
        ends = _entropies(tables, "selfplay").loc["selfplay", role]
        return over_seeds((ends["last"] - ends["first"]).to_numpy(), f"from {ends['first'].mean():.3f} nats")

    return find


def _above(tables: Tables, _: str) -> Finding:
    averaged = entropy_by_role(rows_of(tables.steps, "training log", "selfplay"))
    table = averaged.pivot(index=["seed", "step"], columns="role", values="entropy_full")
    return over_seeds((table["proposer"] > table["solver"]).groupby("seed").mean().to_numpy())


def _end_gap(tables: Tables, method: str, role: str, relative: bool = False) -> Finding:
    """Entropy at the end of training minus the default's, paired by seed; ``relative`` to the default's mean."""
    ends = _entropies(tables, method, "selfplay")["last"]
    default = ends.loc["selfplay", role]
    gaps = (ends.loc[method, role] - default).dropna().to_numpy()
    return over_seeds(gaps / default.mean() if relative else gaps, f"the default ends at {default.mean():.3f} nats")


def _accuracy(method: str) -> Callable[[Tables, str], Finding]:
    def find(tables: Tables, _: str) -> Finding:
        table = rows_of(tables.validation, "validation problems", method, "selfplay")
        return difference(table.assign(score=table["c"] / table["n"]), method, "selfplay")

    return find


def _frozen_is_worse(tables: Tables, part: str) -> Finding:
    find = _accuracy("frozen") if part == "validation accuracy" else _trend("rho_step_solve_rate", "frozen")
    return find(tables, part)


def _sparsity_order(tables: Tables, _: str) -> Finding:
    if tables.order is None:
        raise NotMeasuredError("sparsity of fully trained SFT, RLVR and self-play")
    between = tables.order["between"]
    return Finding(Interval(float(between.mean()), *_POINT), len(between), "", note="share of seeds")


def _no_mass_gained(tables: Tables, _: str) -> Finding:
    """Problems a seed that certainly gained support (estimate and low) and that may have (high)."""
    exact = rows_of(tables.exact, "exact probabilities", "base", "selfplay")
    certain, possible, seeds, problems = 0, 0, 0, 0
    for _, table in exact.groupby("task_type"):
        lower, upper = (problem_matrices(table, column) for column in ("log_lower", "log_upper"))
        certain += int(((upper["base"][0] < NO_MASS) & (lower["selfplay"] > SOLVABLE)).sum())
        possible += int(((lower["base"][0] < NO_MASS) & (upper["selfplay"] > SOLVABLE)).sum())
        seeds, problems = len(lower["selfplay"]), problems + lower["selfplay"].shape[1]
    counts = Interval(certain / seeds, certain / seeds, possible / seeds, np.nan)
    return Finding(counts, seeds, "what enumeration left open", problems, "problems a run")


def _answers_against_tokens(tables: Tables, _: str) -> Finding:
    """Relative change of answer-level entropy on test problems over that of the solver's token entropy."""
    counts = rows_of(tables.test, "test problems", "base", "selfplay")
    if "answer_entropy" not in counts:
        raise NotMeasuredError("answer-level entropy")
    counts = counts[counts["task_type"].isin(CODE)]
    own, control = paired(counts.assign(score=counts["answer_entropy"]), "selfplay", "base")
    answers = own.mean(axis=1) / control.mean() - 1
    ends = _entropies(tables, "selfplay").loc["selfplay", "solver"]
    tokens = (ends["last"] / ends["first"] - 1).to_numpy()
    note = f"answers {answers.mean():+.1%}, tokens {tokens.mean():+.1%}"
    if (tokens >= 0).any():
        return Finding(
            Interval(np.nan, *_POINT), len(tokens), "", note=f"{note}: no ratio where token entropy does not fall"
        )
    return over_seeds(answers / tokens, note)


FINDINGS: dict[str, Callable[[Tables, str], Finding]] = {
    "C1": lambda tables, part: _gain(tables, part, 1),
    "C2": _large_k,
    "C3": _crossing,
    "C4": _trend("rho_step_solve_rate"),
    "C5": _trend("rho_step_length", of_seeds=True),
    "C6": _trend("rho_solve_rate_length", of_seeds=True),
    "C7": _collapse("solver"),
    "C8": _collapse("proposer"),
    "C9": _above,
    "C10": lambda tables, _: _end_gap(tables, "frozen", "solver"),
    "C11": _frozen_is_worse,
    "C12": _sparsity_order,
    "C13": _accuracy("half"),
    "C14": lambda tables, role: _end_gap(tables, "half", role, relative=True),
    "E1": lambda tables, _: _gain(tables, "arithmetic", 1),
    "E2": _no_mass_gained,
    "E3": _answers_against_tokens,
}
"""By a claim's id: the number behind each of its parts. All raise NotMeasuredError where tables are missing."""
