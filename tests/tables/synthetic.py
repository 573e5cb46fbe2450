"""The tidy frames of a small study that never ran: two models, every arm, effects of known sign.

    frames = synthetic_study(seeds=3)
    frames["test"]          # one row a model, method, seed, step and problem, as a measured study has it

Self-play sharpens (right answers to easy problems get likelier, to hard ones rarer: the curves cross), its proposals
get harder and its entropy falls; with the frozen proposer all of that is weaker, with the base as proposer nothing
happens to the proposals. ``effect=0`` is a study in which training did nothing.
"""

from __future__ import annotations

from io import StringIO

import numpy as np
import pandas as pd
from scipy.special import expit
from scipy.stats import norm

from azr.arms import ARMS
from azr.rewards import PROPOSER_REWARDS, proposer_rewards

MODELS = ("nano", "micro")
STEPS = (0, 30, 60)
TYPES = ("deduction", "abduction", "induction")
MAIN = ("base", "sft", "rlvr", "selfplay")
STRENGTH = {"sft": 0.4, "rlvr": 0.8, "rlvr-trr": 0.8, "selfplay": 1.0, "frozen": 0.6, "base-proposer": 0.7, "half": 0.9}
"""How far each arm moves the solver."""
CURRICULUM = {"selfplay": 1.0, "frozen": 0.3, "base-proposer": 0.0, "half": 0.8}
"""How far each arm moves the proposer."""
TENSORS = {f"model.layers.{i}.{m}.weight": 4096 for i in range(2) for m in ("self_attn.q_proj", "mlp.up_proj")}


def synthetic_study(
    seeds: int = 3, problems: int = 24, samples: int = 64, effect: float = 1.0, models: tuple[str, ...] = MODELS
) -> dict[str, pd.DataFrame]:
    """All frames of a study, by name: test, validation, entropy, curriculum, proposals, log, sparsity.

    Args:
        seeds: training seeds of every arm; the base has one more, of which seed 0 is the control.
        problems: problems a group; prompts of each role and task type are a third of them.
        samples: of each problem; twice as many of the base and of the main arms at the end.
        effect: multiplies what training does; 0 for nothing.
        models: names of the models.
    """
    rng = np.random.default_rng(0)
    parts: dict[str, list[pd.DataFrame]] = {}
    for model in models:
        abilities = {group: rng.normal(-0.7, 1.6, problems) for group in (*TYPES, "arithmetic")}
        for method, seed, step in _measured(seeds):
            at = {"model": model, "method": method, "seed": seed, "step": step}
            moved = effect * STRENGTH.get(method, 0) * step / STEPS[-1]
            for name, groups in (("test", (*TYPES, "arithmetic")), ("validation", TYPES)):
                for group in groups:
                    about = {"sampling_seed": seed if method == "base" else 0, "set": f"world/{name}", "group": group}
                    n = 2 * samples if method in MAIN and step in (0, STEPS[-1]) else samples
                    rows = _answers(abilities[group], moved if group in TYPES else moved / 4, n, rng)
                    parts.setdefault(name, []).append(pd.DataFrame(at | about | rows))
            proposer = effect * CURRICULUM.get(method, 0) * step / STEPS[-1]
            parts.setdefault("entropy", []).extend(_entropies(at, moved, proposer, problems // 3, rng))
        for method, seed in ((m, s) for m in STRENGTH for s in range(seeds)):
            at = {"model": model, "method": method, "seed": seed}
            parts.setdefault("log", []).append(_log(method, effect * STRENGTH[method], rng).assign(**at))
            if method in CURRICULUM:
                found = _proposals(method, effect * CURRICULUM[method], rng).assign(**at)
                parts.setdefault("proposals", []).append(found)
                parts.setdefault("curriculum", []).append(_solved_again(found, rng).assign(**at))
        for method, seed, step in (
            (m, s, t) for m in ARMS if m.endswith("-full") for s in range(seeds) for t in (30, 60)
        ):
            at = {"model": model, "method": method, "seed": seed, "step": step}
            parts.setdefault("sparsity", []).append(_updates(method, step, rng).assign(**at))
    return {name: pd.concat(found, ignore_index=True) for name, found in parts.items()}


def _measured(seeds: int) -> list[tuple[str, int, int]]:
    """Method, seed and step of every measured model: the base with one seed more, arms after training steps."""
    arms = [(method, seed, step) for method in STRENGTH for seed in range(seeds) for step in STEPS[1:]]
    return [("base", seed, 0) for seed in range(seeds + 1)] + arms


def _answers(ability: np.ndarray, moved: float, n: int, rng: np.random.Generator) -> dict[str, object]:
    """Counts of right answers: training adds to the logit of easy problems and takes from that of hard ones."""
    at_random = rng.normal(0, 0.05) + rng.normal(0, 0.1, ability.size) if moved else 0
    p = expit(ability + moved * (0.7 + 0.35 * ability) + at_random)
    size = np.arange(ability.size) % 6 + 1
    return {
        "problem": [f"p{i}" for i in range(ability.size)],
        "size": size,
        "n": n,
        "c": rng.binomial(n, p),
        "p": np.clip(p + rng.normal(0, 0.01, p.size), 1e-4, 1 - 1e-4),
        "greedy": (p + rng.normal(0, 0.05, p.size) > 0.45).astype(int),
        "answers": 1 + rng.poisson(5 * (1 - p)),
        "answer_entropy": 2.5 * (1 - p) * (1 - 0.2 * moved),
        "length": 8 + 4 * size + rng.normal(0, 1, size.size),
        "ended": 1.0,
    }


def _entropies(
    at: dict[str, object], moved: float, proposer: float, prompts: int, rng: np.random.Generator
) -> list[pd.DataFrame]:
    """Sums over one response to each fixed prompt; proposals get shorter as the proposer moves."""
    rows = []
    for role, start, change, length in (("solver", 0.48, 0.12 * moved, 20), ("proposer", 0.85, 0.08 * proposer, 26)):
        for group in TYPES:
            tokens = rng.poisson(length * (1 - 0.3 * proposer * (role == "proposer")), prompts) + 1
            entropy = tokens * (start - change + np.linspace(-0.1, 0.1, prompts) + rng.normal(0, 0.01, prompts))
            answers = np.linspace(0.4, 1.6, prompts) * (1 - 0.15 * moved)
            about = at | {"role": role, "group": group, "prompt": np.arange(prompts), "tokens": tokens}
            nll = entropy + rng.normal(0, 0.3, prompts)
            rows.append(pd.DataFrame(about | {"nll": nll, "entropy": entropy, "answer_entropy": answers}))
    return rows


def _proposals(method: str, moved: float, rng: np.random.Generator, each: int = 4) -> pd.DataFrame:
    """A few proposals a step and task type, whose solve rates fall with training."""
    step = np.repeat(np.arange(1, STEPS[-1] + 1), each * len(TYPES))
    statements = 1 + rng.binomial(5, 0.5, step.size)
    valid = rng.random(step.size) < 0.8
    p = expit(1.5 - 0.5 * statements - 1.2 * moved * step / STEPS[-1] + rng.normal(0, 1, step.size))
    solve_rate = np.where(valid, rng.binomial(8, p) / 8, np.nan)
    shape = "half" if method == "half" else "learnability"
    return pd.DataFrame(
        {
            "step": step,
            "task_type": np.tile(np.repeat(TYPES, each), STEPS[-1]),
            "fate": np.where(valid, "valid", rng.choice(["malformed", "error"], step.size)),
            "solve_rate": solve_rate,
            "reward": proposer_rewards(solve_rate, valid, PROPOSER_REWARDS[shape]),
            "tokens": 4 * statements + rng.poisson(8, step.size),
            "program": [f"def f(x):\n    return x + {i}" for i in range(step.size)],
            "input": "1",
            "statements": statements,
            "p": p,
        }
    )


def _solved_again(proposals: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """The valid deduction proposals, solved again by the base."""
    tasks = proposals[(proposals["fate"] == "valid") & (proposals["task_type"] == "deduction")]
    frame = tasks[["step", "program", "input", "statements"]].reset_index(drop=True)
    c = rng.binomial(8, tasks["p"])
    length = 6 + 4 * frame["statements"] + 2 * (1 - c / 8) + rng.normal(0, 1, len(frame))
    return frame.assign(n=8, c=c, length=length, ended=1.0)


def _log(method: str, moved: float, rng: np.random.Generator) -> pd.DataFrame:
    """Reward, length and entropy of each group, and what a step cost."""
    rows = []
    roles = ("solver", "proposer") if method in CURRICULUM else ("solver",)
    for step in range(1, STEPS[-1] + 1):
        done = moved * step / STEPS[-1]
        for group, role in ((group, role) for group in TYPES for role in roles):
            values = {"reward": 0.1 + 0.2 * done, "length": 20 - 3 * done, "entropy_full": 0.6 - 0.1 * done}
            rows += [(step, f"{group}/{role}", q, v + rng.normal(0, 0.05)) for q, v in values.items()]
        rows += [(step, "", "tokens/trained", 4000.0), (step, "", "seconds/update", 2.0)]
    return pd.DataFrame(rows, columns=["step", "group", "quantity", "value"])


def _updates(method: str, step: int, rng: np.random.Generator) -> pd.DataFrame:
    """Unchanged parameters of each tensor, close to what a Gaussian update of the same size leaves."""
    size = {"sft-full": 3e-4, "rlvr-full": 1.2e-4, "selfplay-full": 1.8e-4}[method] * np.sqrt(step / 60)
    definitions = [("float32", "exact", 1e-8), ("float32", "1e-05", 1e-5), ("float32", "relative", 1e-4)]
    definitions += [("bfloat16", "exact", 1e-4), ("bfloat16", "1e-05", 1e-4)]
    rows = [(tensor, count, *definition) for tensor, count in TENSORS.items() for definition in definitions]
    frame = pd.DataFrame(rows, columns=["tensor", "parameters", "dtype", "tolerance", "bound"])
    root = np.sqrt(frame["parameters"])
    null = frame["parameters"] * (2 * norm.cdf(frame["bound"] / size) - 1)
    unchanged = np.minimum(frame["parameters"], null * rng.uniform(1.0, 1.05)).round()
    updated = frame.assign(unchanged=unchanged, norm=size * root, base_norm=0.02 * root, null=null)
    return updated.drop(columns="bound")


CLAIMS = """id,part,paper,unit,estimate,low,high,side_low,side_high,base,base_low,base_high,verdict
C1,,solves more at small k,pass@k,0.045,0.03,0.06,0,inf,0.002,-0.01,0.014,supported
C2,,not more at large k,pass@k,-0.05,-0.08,-0.02,-inf,0.011,0,-0.02,0.02,supported
C4,,later problems are harder,Spearman's ρ,0.09,-0.02,0.2,-inf,0,,,,undecided
C6,,length follows difficulty,Spearman's ρ,-0.2,-0.3,-0.1,-inf,0,-0.25,-0.3,-0.2,not informative
C7,,solver's entropy falls,nats a token,-0.11,-0.13,-0.09,-inf,0,0.001,-0.01,0.01,supported
C14,solver,½ leaves it unchanged,nats a token,0.01,-0.02,0.04,-0.03,0.03,,,,undecided
C9,,proposer stays above,share of the gap,-0.1,-0.2,0,-0.25,inf,0,-0.1,0.1,not informative
C12,from SFT,between SFT and RLVR,sparsity,,,,0,inf,,,,not measured
E2,,sharpens,slope,1.3,1.2,1.4,1,inf,1,0.95,1.05,above 1
"""


def synthetic_claims(models: tuple[str, ...] = MODELS) -> pd.DataFrame:
    """A claims table with a row of each kind: margins other than 0, a bounded side, no interval, not measured."""
    table = pd.read_csv(StringIO(CLAIMS))
    table["confirmatory"] = table["id"].str.startswith("C")
    return pd.concat([table.assign(model=model, seeds=3, problems=72) for model in models], ignore_index=True)
