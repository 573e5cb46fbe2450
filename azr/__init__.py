"""Self-play for language models, small enough to study: the Absolute Zero Reasoner and its neighbours.

    import azr
    run = azr.train("selfplay", profile="laptop", seed=0)       # a run folder; shows progress; resumes
    run.log, run.proposals                                      # tidy data frames
    azr.evaluate(run, problems="world/test", samples=64)        # one row a problem
    azr.compare(run, azr.train("half", profile="laptop"))       # paired differences with intervals

Importing the package imports nothing else; each function loads what it needs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import pandas as pd

    from azr.runs import Run

__version__ = "0.2.0"


def train(
    arm: str,
    profile: str | None = None,
    seed: int = 0,
    *,
    settings: Mapping[str, Any] | None = None,
    proposer_reward: Callable[[np.ndarray], np.ndarray] | None = None,
    watch: Callable[[Run], object] | None = None,
    folder: str | Path | None = None,
) -> Run:
    """Train an arm and return its run; a finished run is returned as it is, a killed one continues.

    ``profile`` is by default the model's: laptop for a built-in one, else real or gpu. ``settings`` changes it by
    dotted name, as ``{"train.steps": 24}``; ``proposer_reward`` is a function from solve rates in [0, 1], an array, to
    rewards. Either gives the run a folder of its own, unless ``folder`` names one. ``watch`` is called with the run
    after each step: a live plot (notebook 11). Raises UserError for what the arm, the profile or the settings cannot
    be.
    """
    from azr.arms import arm_profile
    from azr.cli import custom_name
    from azr.config import choose_profile
    from azr.runs import RUNS, run_folder
    from azr.training.run import train as train_run

    changes = dict(settings or {})
    chosen = arm_profile(arm, choose_profile(profile, None, changes))
    if proposer_reward:
        changes["proposer_reward"] = getattr(proposer_reward, "__name__", "own")
    own = run_folder(RUNS, chosen.name, chosen.model.name, custom_name(arm, changes), seed)
    place = Path(folder) if folder else own
    return train_run(arm, chosen, seed, place, proposer_reward=proposer_reward, watch=watch)


def evaluate(
    run: Run | str | Path,
    problems: str | Path | Sequence[str | Path] = "world/test",
    samples: int = 64,
    limit: int = 64,
    seed: int = 0,
    *,
    settings: Mapping[str, Any] | None = None,
) -> pd.DataFrame:
    """How many of ``samples`` responses to each problem are right: of a run, or of a model by name.

    ``problems`` is a problem set's name or a JSONL file, or several; ``limit`` the problems of each of its groups,
    ``seed`` that of sampling; ``settings`` changes the run's or the model's profile by dotted name, as
    ``{"model.prompt_style": "plain"}``. Columns as ``azr.problems.evaluate`` has them.
    """
    from azr.study.measures import evaluate_sets
    from azr.study.subject import subject_of

    changes = {"evaluation.samples": samples, "evaluation.problems": limit} | dict(settings or {})
    names = [problems] if isinstance(problems, str | Path) else problems
    return evaluate_sets(subject_of(getattr(run, "folder", run), None, changes, seed), list(map(str, names)))


def compare(first: Run | str | Path, second: Run | str | Path, k: Sequence[int] = ()) -> pd.DataFrame:
    """pass@k of ``second`` minus ``first``, paired by problem, on every problem set on which both were measured.

    Each is a run, its folder, or a table that ``azr evaluate --out`` wrote. Columns: set, group, k, problems, first,
    second, difference, low, high (95 %, over problems).
    """
    from azr.tables.compare import compare_counts, counts_of

    return compare_counts(counts_of(first), counts_of(second), k)
