"""What the claims need of a study: made where it is missing, and read from the run folders.

    for size in study.sizes:
        claims_table(read_tables(size), size.model)

Left out: the claims (``azr.claims``) and the numbers behind them (``azr.findings``).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import pandas as pd

from azr.arms import arm_profile
from azr.errors import UserError
from azr.figures.curriculum import curriculum_trends
from azr.figures.sparsity import sparsity_order
from azr.findings import Tables
from azr.paths import base_folder
from azr.study import MEASURES, Study
from azr.updates import update_matrix

FULLY_TRAINED = ("sft-full", "rlvr-full", "selfplay-full")
NEEDED: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (("selfplay",), ("test", "exact", "validation", "curriculum")),
    (("frozen",), ("validation", "curriculum")),
    (("half",), ("validation",)),
    (FULLY_TRAINED, ()),
)
"""Arms and their measures on which the claims rest."""
_SECTIONS = ("model", "rollout", "train", "evaluation")


def ensure_measured(study: Study) -> None:
    """Train and measure, with both models, what the claims need and is missing.

    What is there and was made with the study's settings is not asked for again: each question to a run costs a process.
    """
    for arms, measures in NEEDED:
        if not all(is_complete(size, arms, measures) for size in study.sizes):
            study.ensure(arms, measures)


def is_complete(study: Study, arms: Sequence[str], measures: Sequence[str]) -> bool:
    """Whether every run of ``arms`` is finished, made with the study's settings, and measured, and so is the base."""
    base = base_folder(study.runs, study.profile.name, study.profile.model.name)
    if not all((base / f"{name}.csv").exists() for name in measures if name in MEASURES):
        return False
    for arm in arms:
        settings = asdict(arm_profile(arm, study.profile)[1])
        for folder in study.folders(arm):
            if not all((folder / name).exists() for name in ("done.json", *(f"{name}.csv" for name in measures))):
                return False
            made = json.loads((folder / "config.json").read_text())["profile"]
            if any(made[section] != settings[section] for section in _SECTIONS):
                return False
    return True


def read_tables(study: Study) -> Tables:
    """The tables of the claims, of a study's one model; what is not there is left out."""
    curriculum = _measured(study, "curriculum", ["selfplay", "frozen"])
    logged = [arm for arm in ("selfplay", "frozen", "half") if is_trained(study, arm)]
    return Tables(
        test=_measured(study, "test", ["base", "selfplay"]),
        exact=_measured(study, "exact", ["base", "selfplay"]),
        validation=_measured(study, "validation", ["selfplay", "frozen", "half"]),
        trends=None if curriculum is None else curriculum_trends(curriculum, np.random.default_rng(0)),
        steps=study.steps(logged) if logged else None,
        order=_order(study),
    )


def is_trained(study: Study, arm: str) -> bool:
    """Whether all runs of an arm are finished."""
    return all((folder / "done.json").exists() for folder in study.folders(arm))


def _measured(study: Study, measure: str, methods: Sequence[str]) -> pd.DataFrame | None:
    found = []
    for method in methods:
        try:
            found.append(study.table(measure, [] if method == "base" else [method], base=method == "base"))
        except FileNotFoundError:
            continue
    return pd.concat(found, ignore_index=True) if found else None


def _order(study: Study) -> pd.DataFrame | None:
    if not all(is_trained(study, arm) for arm in FULLY_TRAINED):
        return None
    try:
        return sparsity_order(update_matrix(study, FULLY_TRAINED))
    except UserError:  # the base or a run has no weights here
        return None
