"""Made-up tables of a study from which every claim can be computed, as the paper has it or the other way round."""

from __future__ import annotations

import numpy as np
import pandas as pd

from azr.findings import Tables

from .synthetic import TASKS

EMPTY = Tables()


def tables(seeds: int = 3, reverse: bool = False) -> Tables:
    """A study in which all of the paper's claims hold; ``reverse`` turns each effect round."""
    rng, sign = np.random.default_rng(0), -1.0 if reverse else 1.0
    return Tables(
        test=_test(seeds, sign, rng),
        exact=_exact(seeds),
        validation=_validation(seeds, sign, rng),
        trends=_trends(seeds, sign),
        steps=_steps(seeds, sign),
        order=pd.DataFrame({"seed": range(seeds), "between": sign > 0}),
    )


def _test(seeds: int, sign: float, rng: np.random.Generator) -> pd.DataFrame:
    """Chances of a right response that move to both ends, or to the middle."""
    rows = []
    for task in (*TASKS, "arithmetic"):
        base = np.where(rng.random(60) < 0.7, rng.uniform(0.3, 0.7, 60), 0.02)
        for seed in range(-1, seeds):
            chance = base if seed < 0 else base + sign * np.where(base > 0.1, 0.25, -0.02 if sign > 0 else 0.0)
            method, entropy = ("base", 1.0) if seed < 0 else ("selfplay", 1.0 - 0.3 * sign)
            counts = rng.binomial(128, chance)
            for problem, c in enumerate(counts):
                rows.append((method, max(seed, 0), task, f"{task}-{problem}", 128, c, entropy * (1 + problem / 60)))
    return pd.DataFrame(rows, columns=["method", "seed", "task_type", "problem", "n", "c", "answer_entropy"])


def _exact(seeds: int) -> pd.DataFrame:
    """Known to a hair: no problem that the base gives no mass becomes solvable."""
    rows = []
    for task in TASKS:
        for method, seed in [("base", 0), *(("selfplay", s) for s in range(seeds))]:
            for problem in range(10):
                log_p = -25.0 if problem == 0 else -1.0 - problem / 10
                rows.append((method, seed, task, f"{task}-{problem}", log_p - 1e-9, log_p))
    return pd.DataFrame(rows, columns=["method", "seed", "task_type", "problem", "log_lower", "log_upper"])


def _validation(seeds: int, sign: float, rng: np.random.Generator) -> pd.DataFrame:
    rows = []
    for task in TASKS:
        base = rng.uniform(0.3, 0.7, 40)
        for method, effect in (("selfplay", 0.0), ("frozen", -0.1), ("half", -0.05)):
            for seed in range(seeds):
                counts = rng.binomial(128, base + sign * effect)
                rows += [(method, seed, task, f"{task}-{i}", 128, c) for i, c in enumerate(counts)]
    return pd.DataFrame(rows, columns=["method", "seed", "task_type", "problem", "n", "c"])


def _trends(seeds: int, sign: float) -> pd.DataFrame:
    rhos = {
        "rho_step_solve_rate": -0.3, "rho_step_length": 0.2,
        "rho_solve_rate_length": -0.4, "rho_solve_rate_length_within_statements": -0.2,
    }  # fmt: skip
    rows = []
    for method in ("selfplay", "frozen"):
        for name, rho in rhos.items():
            estimate = sign * rho if method == "selfplay" else (0.01 if sign > 0 else 0.3)
            ends = (estimate, estimate - 0.05, estimate + 0.05, 0.025)
            rows.append((method, name, *ends, 800, seeds, *ends))
    columns = ["estimate", "low", "high", "se"]
    over_seeds = [f"{name}_over_seeds" for name in ("mean", "low", "high", "se")]
    return pd.DataFrame(rows, columns=["method", "statistic", *columns, "tasks", "seeds", *over_seeds])


def _steps(seeds: int, sign: float, steps: int = 20) -> pd.DataFrame:
    """Entropies that go down (or up) in both roles, slower where the proposer is frozen, each seed a little apart."""
    rows = []
    for method, rate in (("selfplay", 0.02), ("frozen", 0.01), ("half", 0.02)):
        for seed in range(seeds):
            for step in range(steps):
                for task in TASKS:
                    for role, level in (("proposer", 0.9), ("solver", 0.5 if sign > 0 else 1.2)):
                        value = level - sign * rate * (1 + 0.02 * seed) * step * level
                        rows.append((method, seed, step, role, task, value, value, 10))
    columns = ["method", "seed", "step", "role", "task_type", "entropy_full", "entropy_nll", "tokens"]
    return pd.DataFrame(rows, columns=columns)
