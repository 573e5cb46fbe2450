"""RQ4: the share of parameters that training left unchanged, beside what the size of the update alone explains.

    frame = runs(frames["sparsity"])              # what fig07_sparsity draws; E4
    contrasts(frame)                              # C12

``null`` is the share that a Gaussian update of the same norm in each tensor leaves unchanged: where a run lies on the
curve of null against norm, its sparsity is the size of its update. Left out: reading checkpoints
(``azr.metrics.sparsity``).
"""

import pandas as pd

from azr.metrics import sparsity_table
from azr.tables.compare import at_end, differences


def runs(tensors: pd.DataFrame) -> pd.DataFrame:
    """Sparsity of every run and kept step under every definition.

    Args:
        tensors: one row a run, tensor, dtype and tolerance: parameters, unchanged, norm, base_norm, null.

    Returns:
        model, method, seed, step, dtype, tolerance, sparsity, null, residual (sparsity minus null), norm,
        base_norm, size (norm over base_norm), parameters.
    """
    frame = sparsity_table(tensors)
    return frame.assign(residual=frame["sparsity"] - frame["null"], size=frame["norm"] / frame["base_norm"])


def of_definition(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of C12's definition of unchanged: by at most 1e-5, in bfloat16."""
    return frame[(frame["dtype"] == "bfloat16") & (frame["tolerance"] == "1e-05")]


def full_weights(frame: pd.DataFrame) -> pd.DataFrame:
    """The runs that trained all weights, where there are any, else all: LoRA's sparsity is another quantity."""
    full = frame[frame["method"].str.endswith("-full")]
    return full if len(full) else frame


def contrasts(frame: pd.DataFrame) -> pd.DataFrame:
    """C12: differences of every arm from SFT, RLVR and self-play after training, by the claim's definition.

    Args:
        frame: from ``runs``. Those that trained all weights (``-full``) are compared, under the arms' plain names:
            LoRA's sparsity is another quantity.

    Returns:
        model, method, reference, quantity (``sparsity``, ``residual`` or ``size``), and an interval.
    """
    last = of_definition(at_end(frame))
    last = last[last["method"].str.endswith("-full")].assign(method=lambda own: own["method"].str.removesuffix("-full"))
    scores = last.melt(["model", "method", "seed"], ["sparsity", "residual", "size"], "quantity")
    found = [differences(scores, reference, by=["quantity"]) for reference in ("sft", "rlvr", "selfplay")]
    return pd.concat(found, ignore_index=True)
