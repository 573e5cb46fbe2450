"""RQ4: which share of the parameters each way of training leaves unchanged.

    order = sparsity_order(frame)

Left out: comparing checkpoints (``azr.metrics.sparsity``) and finding those of a study (``azr.updates``).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from azr.figures.style import require_columns

CLAIM = {"dtype": "bfloat16", "tolerance": "1e-05", "granularity": "element"}
"""The definition of claim C12: elements with |w1 - w0| <= 1e-5 in bfloat16, full fine-tuning."""


def sparsity_order(frame: pd.DataFrame) -> pd.DataFrame:
    """Claim C12: does self-play's update sparsity lie between SFT's and RLVR's, seed by seed?

    Args:
        frame: rows as of ``azr.updates.update_matrix``: training (``full`` or ``lora``), method, seed, dtype,
            tolerance, granularity, sparsity. Rows of LoRA and of other definitions than ``CLAIM`` are not looked at.

    Returns:
        One row a seed that all three methods have: seed, sft, rlvr, selfplay (S in [0, 1]) and ``between``: whether
        sign(S_selfplay - S_sft) differs from sign(S_selfplay - S_rlvr).

    Raises:
        ValueError: no seed has all three.
    """
    require_columns(frame, ("training", "method", "seed", "sparsity", *CLAIM))
    rows = frame[(frame["training"] == "full") & (frame[list(CLAIM)] == pd.Series(CLAIM)).all(axis=1)]
    table = rows.pivot(index="seed", columns="method", values="sparsity").reindex(columns=["sft", "rlvr", "selfplay"])
    table = table.dropna()
    if table.empty:
        raise ValueError("No seed has sft, rlvr and selfplay with all weights trained.")
    signs = [np.sign(table["selfplay"] - table[other]) for other in ("sft", "rlvr")]
    return table.assign(between=signs[0] != signs[1]).rename_axis(columns=None).reset_index()
