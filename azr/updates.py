"""How far training moved a study's parameters, as tidy frames: the numbers behind the figures of RQ4.

    frame = update_frame(study, ["sft-full", "rlvr-full", "selfplay-full"])

Reads the final weights of run folders and their logs, and compares them with the base one tensor at a time. In every
frame ``training`` is ``full`` or ``lora`` and ``method`` the arm without ``-full``. Left out: the comparison itself
(``azr.metrics``) and the drawing (``azr.figures.sparsity``, ``azr.figures.lora``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from azr.arms import FULL
from azr.metrics.changes import change_histogram
from azr.metrics.sparsity import SparsityReport, layer_of, matrix_of, module_of, sparsity_matrix, sparsity_reports
from azr.weights import weights_folder

if TYPE_CHECKING:
    from azr.study import Study


def update_matrix(study: Study, arms: Sequence[str]) -> pd.DataFrame:
    """Update sparsity of every run of ``arms`` under all twelve definitions.

    Returns:
        training, method, seed, dtype, tolerance, granularity, sparsity, parameters. An adapter is merged first.

    Raises:
        UserError: the base or a run has no weights here.
    """
    base = weights_folder(study.profile.model.name)
    return _stacked((about, sparsity_matrix(base, weights_folder(str(run)))) for about, run in _runs(study, arms))


def update_frame(study: Study, arms: Sequence[str]) -> pd.DataFrame:
    """Everything that ``azr.figures.sparsity.plot_sparsity`` draws of the runs of ``arms``, by ``view``.

    Returns:
        training, method, seed, view and

        view ``whole``: dtype, tolerance, granularity, sparsity, parameters, stored (types in the two checkpoints);
        view ``layer`` and view ``module``: the same for each ``group`` of parameters;
        view ``step``: step, dtype, tolerance, granularity, sparsity, as logged in training (full fine-tuning);
        view ``change``: low, high, share, as ``azr.metrics.changes.change_histogram`` has them.

    Raises:
        UserError: the base or a run has no weights here.
    """
    base = weights_folder(study.profile.model.name)
    parts = []
    logs = {arm: study.records(arm) for arm in arms}
    for (about, run), records in zip(_runs(study, arms), [own for arm in arms for own in logs[arm]], strict=True):
        weights = weights_folder(str(run))
        reports = sparsity_reports(base, weights)
        views = {"whole": matrix_of(reports).assign(stored=", ".join(reports[0].stored))}
        views |= {by: matrix_of(reports, by).rename(columns={by: "group"}) for by in ("layer", "module")}
        views |= {"step": sparsity_steps(records), "change": change_histogram(base, weights)}
        parts += [(about | {"view": view}, frame) for view, frame in views.items() if len(frame)]
    return _stacked(parts)


def sparsity_steps(records: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """What a log has of update sparsity: step, dtype, tolerance, granularity, sparsity; no rows where it has none."""
    rows = [
        (record["step"], *definition.split("/"), "element", value)
        for record in records
        for definition, value in record.get("sparsity", {}).items()
    ]
    return pd.DataFrame(rows, columns=["step", "dtype", "tolerance", "granularity", "sparsity"])


def lora_frame(study: Study, arms: Sequence[str]) -> pd.DataFrame:
    """What there is to say of the adapters of ``arms``, by ``view``.

    Returns:
        training, method, seed, view and

        view ``whole``: dtype, tolerance, granularity (element), sparsity (of all parameters, once merged), adapted (the
        same of the adapted weights alone), untouched (share of parameters in tensors without an adapter);
        view ``weight``: weight, layer, module, rank, effective_rank, relative_norm of each adapted weight.

    Raises:
        UserError: the base or a run has no weights here.
    """
    base = weights_folder(study.profile.model.name)
    parts = []
    for about, run in _runs(study, arms):
        reports = sparsity_reports(base, weights_folder(str(run)))
        matrix = matrix_of(reports)
        whole = matrix[matrix["granularity"] == "element"].drop(columns="parameters").reset_index(drop=True)
        lora = reports[0].lora
        assert lora is not None
        whole = whole.assign(adapted=[_adapted(report) for report in reports], untouched=lora.untouched_share)
        weights = [
            (name, layer_of(name), module_of(name), own.rank, own.effective_rank, own.relative_norm)
            for name, own in lora.modules.items()
        ]
        columns = ["weight", "layer", "module", "rank", "effective_rank", "relative_norm"]
        parts += [(about | {"view": "whole"}, whole)]
        parts += [(about | {"view": "weight"}, pd.DataFrame(weights, columns=columns))]
    return _stacked(parts)


def _adapted(report: SparsityReport) -> float:
    """Update sparsity of the adapted weights alone."""
    assert report.lora is not None
    tensors = [report.tensors[name] for name in report.lora.modules]
    return sum(tensor.unchanged for tensor in tensors) / sum(tensor.parameters for tensor in tensors)


def _runs(study: Study, arms: Sequence[str]) -> list[tuple[dict[str, Any], Path]]:
    """Training, method and seed of each run, and its folder."""
    return [
        ({"training": "full" if arm.endswith(FULL) else "lora", "method": arm.removesuffix(FULL), "seed": seed}, folder)
        for arm in arms
        for seed, folder in enumerate(study.folders(arm))
    ]


def _stacked(parts: Iterable[tuple[dict[str, Any], pd.DataFrame]]) -> pd.DataFrame:
    """The frames one below the other, each with its values of the first columns."""
    frames = []
    for about, frame in parts:
        for place, (column, value) in enumerate(about.items()):
            frame.insert(place, column, value)
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)
