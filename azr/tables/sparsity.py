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
_RUN = ["model", "method", "seed", "step"]


def runs(tensors: pd.DataFrame, by: str | None = None) -> pd.DataFrame:
    """Sparsity of every run and kept step under every definition.

    Args:
        tensors: one row a run, tensor, dtype and tolerance: parameters, unchanged, norm, base_norm, null.
        by: ``module`` or ``layer`` for a row each instead of the whole model.

    Returns:
        model, method, seed, step, [by], dtype, tolerance, sparsity, whole, null, residual (sparsity minus null), norm,
        base_norm, size (norm over base_norm), parameters.
    """
    parts = [
        sparsity_table(own, by).assign(**dict(zip(_RUN, run, strict=True)))
        for run, own in tensors.groupby(_RUN, sort=False)
    ]
    frame = pd.concat(parts, ignore_index=True)
    frame = frame.assign(residual=frame["sparsity"] - frame["null"], size=frame["norm"] / frame["base_norm"])
    return frame[[*_RUN, *(name for name in frame if name not in _RUN)]]


def of_definition(
    frame: pd.DataFrame, dtype: str = CLAIM["dtype"], tolerance: str = CLAIM["tolerance"]
) -> pd.DataFrame:
    """The rows of one definition of unchanged."""
    return frame[(frame["dtype"] == dtype) & (frame["tolerance"] == tolerance)]


def contrasts(
    frame: pd.DataFrame, pairs: Sequence[tuple[str, str]] = (("selfplay", "sft"), ("selfplay", "rlvr"))
) -> pd.DataFrame:
    """C12 and E4: differences between arms trained with all weights, by the claim's definition, after training.

    Args:
        frame: from ``runs``.
        pairs: arms, minuend first; where an arm was trained with all weights (its name ends in ``-full``), that run is
            compared.

    Returns:
        model, method, reference, step, quantity (``sparsity``, ``residual`` or ``size``), estimate, low, high, se, df,
        seeds, problems.
    """
    last = of_definition(at_end(frame))
    full = last[last["method"].str.endswith("-full")]
    last = full if len(full) else last
    last = last.assign(method=last["method"].str.removesuffix("-full"), step=0)
    scores = last.melt(["model", "method", "seed", "step"], ["sparsity", "residual", "size"], "quantity", "value")
    found = []
    for method, reference in pairs:
        if reference in set(scores["method"]):
            rows = differences(scores, reference, by=["quantity"])
            found.append(rows[rows["method"] == method])
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=["model", "method", "reference"])
