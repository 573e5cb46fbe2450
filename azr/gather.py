"""What the claims need of a study: made where it is missing, and read from the run folders.

    study.ensure(NEEDED)
    for size in study.sizes:
        claims_table(read_tables(size), size.model)

Left out: the claims (``azr.claims``) and the numbers behind them (``azr.findings``).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from azr.errors import UserError
from azr.figures.curriculum import curriculum_trends
from azr.figures.sparsity import sparsity_order
from azr.findings import Tables
from azr.study import Study
from azr.updates import update_matrix

FULLY_TRAINED = ("sft-full", "rlvr-full", "selfplay-full")
NEEDED = ("selfplay", "frozen", "half", *FULLY_TRAINED)
"""Arms on whose measures the claims rest."""


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
