"""``azr sparsity``: the share of parameters that training left unchanged, by what one calls unchanged.

    azr sparsity nano runs/laptop/nano/rlvr-full-seed0            all twelve definitions
    azr sparsity BASE TRAINED --dtype bfloat16 --atol 1e-5 --granularity element --by module
    azr sparsity nano runs/laptop/nano/rlvr-seed0                 an adapter: merged, and what is to be said beside it

Reads one tensor at a time, so that a model of any size fits. Left out: weights that are not in safetensors files, and
downloading models.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from azr.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

    from azr.metrics.sparsity import SparsityReport

MOST_NAMES = 5
"""Names that are printed of tensors which cannot be compared; their number is always told."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``azr sparsity``."""
    what = "nano, micro, a run, a checkpoint folder, a .safetensors file, or a hub model that is already downloaded"
    parser.add_argument("base", metavar="BASE", help=f"the model before training: {what}")
    parser.add_argument("trained", metavar="TRAINED", help="the same after it; a LoRA adapter is merged into BASE")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), help="compare in this type only (default: both)")
    parser.add_argument(
        "--atol",
        metavar="X",
        help="unchanged is |w1 - w0| <= X, or, for 'relative', <= |w0| / 256 (default: 0, 1e-5, relative)",
    )
    parser.add_argument("--granularity", choices=("element", "tensor"), help="count elements, or whole tensors only")
    parser.add_argument("--by", choices=("layer", "module"), help="one number for each layer or module type")
    parser.add_argument("--csv", metavar="FILE", type=Path, help="write the numbers there as well")


def main(args: argparse.Namespace) -> int:
    """Compare and print."""
    settings = _settings(args)
    if args.csv and not args.csv.parent.is_dir():
        raise UserError(f"There is no folder {args.csv.parent} for --csv: make it first.")
    from azr.metrics.sparsity import matrix_of, sparsity_reports  # torch takes seconds
    from azr.weights import weights_folder

    base, trained = weights_folder(args.base), weights_folder(args.trained)
    reports = sparsity_reports(base, trained, settings)
    if not reports[0].tensors:
        raise UserError(
            f"{args.base} and {args.trained} have tensors of the same names, but none of the same shape: "
            "give two models of one size."
        )
    matrix = matrix_of(reports, args.by)
    if args.granularity:
        matrix = matrix[matrix["granularity"] == args.granularity].reset_index(drop=True)
    matrix["definition"] = _definitions(matrix, reports)
    print(f"base      {base}\ntrained   {trained}")
    _print_compared(reports[0])
    _print_matrix(matrix, args.by)
    if reports[0].lora is not None:
        _print_lora(reports)
    if args.csv:
        matrix.to_csv(args.csv, index=False, float_format="%.10g", lineterminator="\n")
        print(f"written: {args.csv}")
    return 0


def _settings(args: argparse.Namespace) -> list[tuple[str, Any]]:
    """The pairs of dtype and tolerance asked for."""
    tolerances: tuple[Any, ...] = (0.0, 1e-5, "relative")
    if args.atol is not None:
        try:
            tolerances = (args.atol if args.atol == "relative" else float(args.atol),)
        except ValueError:
            tolerances = (-1.0,)
        if tolerances[0] != "relative" and not 0 <= tolerances[0] < float("inf"):
            raise UserError(f"--atol cannot be {args.atol!r}: give a number of at least 0, or relative.")
    return [(dtype, atol) for dtype in ([args.dtype] if args.dtype else ["float32", "bfloat16"]) for atol in tolerances]


def _definitions(matrix: pd.DataFrame, reports: list[SparsityReport]) -> list[str]:
    """The definition of each row in words."""
    from azr.metrics.sparsity import tolerance_name

    texts = {
        (report.dtype, tolerance_name(report.atol), unit): replace(report, granularity=unit).definition()
        for report in reports
        for unit in ("element", "tensor")
    }
    keys = matrix[["dtype", "tolerance", "granularity"]].itertuples(index=False, name=None)
    return [texts[key] for key in keys]


def _print_compared(report: SparsityReport) -> None:
    stored = ", ".join(f"{pair} ({count})" for pair, count in report.stored.items())
    print(f"compared  {report.parameters:,} parameters in {len(report.tensors):,} tensors, stored {stored}")
    shapes = {f"{name} {list(old)} -> {list(new)}": 0 for name, (old, new) in report.reshaped.items()}
    for heading, names in (
        ("only in the base", report.missing),
        ("only in the trained", report.extra),
        ("of another shape", shapes),
        ("no floating point", report.not_floating),
    ):
        if names:
            print(f"not compared, {heading}: {_named(names)}")


def _named(names: Mapping[str, int]) -> str:
    total = sum(names.values())
    size = f" with {total:,} parameters" if total else ""
    shown = ", ".join(list(names)[:MOST_NAMES]) + (", ..." if len(names) > MOST_NAMES else "")
    return f"{len(names):,} tensor{'s' if len(names) > 1 else ''}{size} ({shown})"


def _print_matrix(matrix: pd.DataFrame, by: str | None) -> None:
    print("\nunchanged")
    if by is None:
        for row in matrix.itertuples():
            print(f"{row.sparsity:9.4f}  {row.definition}")
        return
    width = max(map(len, matrix[by]))
    for definition, rows in matrix.groupby("definition", sort=False):
        print(f"\n{definition}, by {by}")
        for group, sparsity, parameters in rows[[by, "sparsity", "parameters"]].itertuples(index=False, name=None):
            print(f"{sparsity:9.4f}  {group:{width}}  {parameters:>15,} parameters")


def _print_lora(reports: list[SparsityReport]) -> None:
    """What has to be said of an adapter beside the matrix, which is of its merged weights."""
    lora = reports[0].lora
    assert lora is not None
    print("\nThis is a LoRA adapter, merged for the numbers above: do not set them beside those of full fine-tuning.")
    print(f"{lora.untouched_share:9.4f}  share of parameters untouched by construction: in tensors without an adapter")
    for report in reports:
        adapted = [report.tensors[name] for name in lora.modules if name in report.tensors]
        total = sum(tensor.parameters for tensor in adapted)
        if total:
            share = sum(tensor.unchanged for tensor in adapted) / total
            print(f"{share:9.4f}  of the adapted weights alone, once merged: {report.definition()}")
    ranks = [module.effective_rank for module in lora.modules.values()]
    if ranks:
        largest = max(module.rank for module in lora.modules.values())
        print(f"{lora.effective_rank:9.2f}  effective rank of an adapted weight's update (exp of the entropy of its")
        print(f"           singular values), mean of {len(ranks)}: {min(ranks):.2f} to {max(ranks):.2f} of {largest}")
        norms = [module.relative_norm for module in lora.modules.values()]
        ends = f"{min(norms):.4f} to {max(norms):.4f}"
        print(f"{sum(norms) / len(norms):9.4f}  norm of the update over that of the weight, mean: {ends}")
