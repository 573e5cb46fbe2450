"""RQ4: the share of parameters that training left unchanged, beside what the size of the update alone explains.

    frame = runs(frames["sparsity"])              # what fig07_sparsity draws; E4
    contrasts(frame)                              # C12

``null`` is the share that a Gaussian update of the same norm in each tensor leaves unchanged: where a run lies on the
curve of null against norm, its sparsity is the size of its update. Left out: reading checkpoints
(``azr.metrics.sparsity``).
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from azr.metrics import sparsity_table
from azr.tables.compare import at_end, differences

CLAIM = {"dtype": "bfloat16", "tolerance": "1e-05"}
"""C12's definition of unchanged."""


def runs(tensors: pd.DataFrame, by: str | None = None) -> pd.DataFrame:
    """Sparsity of every run and kept step under every definition.

    Args:
        tensors: one row a run, tensor, dtype and tolerance: parameters, unchanged, norm, base_norm, null.
        by: ``module`` or ``layer`` for a row each instead of the whole model.

    Returns:
        model, method, seed, step, [by], dtype, tolerance, sparsity, whole, null, residual (sparsity minus null), norm,
        base_norm, size (norm over base_norm), parameters.
    """
    frame = sparsity_table(tensors, by)
    return frame.assign(residual=frame["sparsity"] - frame["null"], size=frame["norm"] / frame["base_norm"])


def of_definition(
    frame: pd.DataFrame, dtype: str = CLAIM["dtype"], tolerance: str = CLAIM["tolerance"]
) -> pd.DataFrame:
    """The rows of one definition of unchanged."""
    return frame[(frame["dtype"] == dtype) & (frame["tolerance"] == tolerance)]


def contrasts(frame: pd.DataFrame, references: Sequence[str] = ("sft", "rlvr", "selfplay")) -> pd.DataFrame:
    """C12 and E4: differences between arms after training, by the claim's definition.

    Args:
        frame: from ``runs``. Where arms were trained with all weights (``-full``), those runs alone are compared, under
            the arms' plain names.
        references: subtrahends.

    Returns:
        model, method, reference, quantity (``sparsity``, ``residual`` or ``size``), estimate, low, high, se, df, seeds,
        problems.
    """
    last = full_weights(of_definition(at_end(frame)))
    last = last.assign(method=last["method"].str.removesuffix("-full"))
    scores = last.melt(["model", "method", "seed"], ["sparsity", "residual", "size"], "quantity", "value")
    return pd.concat([differences(scores, reference, by=["quantity"]) for reference in references], ignore_index=True)


def full_weights(frame: pd.DataFrame) -> pd.DataFrame:
    """The runs that trained all weights, where there are any, else all: LoRA's sparsity is another quantity."""
    full = frame[frame["method"].str.endswith("-full")]
    return full if len(full) else frame
