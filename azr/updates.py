"""How far training moved a study's parameters, as tidy frames: the numbers behind the figures of RQ4.

    matrix = update_matrix(study, ["sft-full", "rlvr-full", "selfplay-full"])

Reads the final weights of run folders and their logs, and compares them with the base one tensor at a time. In every
frame ``training`` is ``full`` or ``lora`` and ``method`` the arm without ``-full``. Left out: the comparison itself
(``azr.metrics``) and the drawing (``azr.figures.sparsity``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from azr.arms import FULL
from azr.metrics.sparsity import sparsity_matrix
from azr.models import resolve

if TYPE_CHECKING:
    from azr.study import Study


def update_matrix(study: Study, arms: Sequence[str], by: Literal["layer", "module"] | None = None) -> pd.DataFrame:
    """Update sparsity of every run of ``arms`` under all twelve definitions.

    Returns:
        training, method, seed, dtype, tolerance, granularity, [layer or module], sparsity, parameters. A LoRA adapter
        is merged into the base first.

    Raises:
        UserError: the base or a run has no weights here.
    """
    base = resolve(study.profile.model.name)
    return _stacked((about, sparsity_matrix(base, weights, by)) for about, weights in _runs(study, arms))


def _runs(study: Study, arms: Sequence[str]) -> Iterator[tuple[dict[str, Any], Path]]:
    """Training, method and seed of each run, and the folder of its final weights."""
    for arm in arms:
        training, weights = ("full", "model") if arm.endswith(FULL) else ("lora", "adapter")
        for seed, folder in enumerate(study.folders(arm)):
            yield {"training": training, "method": arm.removesuffix(FULL), "seed": seed}, folder / weights


def _stacked(parts: Iterator[tuple[dict[str, Any], pd.DataFrame]]) -> pd.DataFrame:
    """The frames one below the other, each with its values of the first columns."""
    frames = []
    for about, frame in parts:
        for place, (column, value) in enumerate(about.items()):
            frame.insert(place, column, value)
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)
