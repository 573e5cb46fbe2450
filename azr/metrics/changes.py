"""How large the changes of training are beside the weights: a histogram of |w1 - w0| / |w0|.

>>> frame = change_histogram({"w": torch.ones(4)}, {"w": torch.tensor([1.0, 1.0, 1.25, 0.5])})
>>> frame[frame["share"] > 0].round(3).values.tolist()
[[0.0, 0.0, 0.5], [0.25, 0.354, 0.25], [0.5, 0.707, 0.25]]

It shows why update sparsity depends on its definition: bfloat16 loses what lies under ``BF16_THRESHOLD``, a tolerance
cuts elsewhere. Reads checkpoints as ``azr.metrics.sparsity`` does, one tensor at a time. Left out: adapters' ranks.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from azr.metrics.checkpoints import open_checkpoint, tensor_pairs, untied
from azr.metrics.sparsity import Checkpoint

EDGES = 2.0 ** np.arange(-24, 4.5, 0.5)
"""Half octaves; 1/256 and 1/512 are among them."""
_CHUNK = 2**18


def change_histogram(base: Checkpoint, trained: Checkpoint) -> pd.DataFrame:
    """Share of the parameters by the size of their relative change, in float32.

    Args:
        base: as for ``azr.metrics.update_sparsity``.
        trained: as for ``azr.metrics.update_sparsity``.

    Returns:
        low, high (a bin holds low <= change < high), share (of the parameters that both have in one shape; sums to 1).
        The first row, from 0 to 0, holds the parameters that are equal; the last is open and has the changes from 0.
        NaN everywhere where nothing was compared.
    """
    before = open_checkpoint(base) if isinstance(base, str | Path) else untied(base)
    if isinstance(trained, str | Path):
        after = open_checkpoint(trained, before if isinstance(before, Mapping) else None)
    else:
        after = untied(trained)
    counts = torch.zeros(len(EDGES) + 2, dtype=torch.int64)
    for _, old, new in tensor_pairs(before, after):
        if old is None or new is None or old.shape != new.shape or not old.is_floating_point():
            continue
        for a, b in zip(old.reshape(-1).split(_CHUNK), new.reshape(-1).split(_CHUNK), strict=True):
            counts += _counts(a.float(), b.to(a.device).float())
        del old, new  # before the next pair is read, so that memory holds one pair
    shares = counts.numpy() / counts.sum().item() if counts.sum() else np.full(len(counts), np.nan)
    low = np.concatenate([[0.0, 0.0], EDGES])
    return pd.DataFrame({"low": low, "high": [0.0, *EDGES, np.inf], "share": shares})


def _counts(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Elements in each row of the histogram."""
    change = (y - x).abs_()
    ratio = (change / x.abs()).nan_to_num_(nan=np.inf).masked_fill_(change == 0, 0.0)
    rows = torch.bucketize(ratio, torch.tensor(EDGES, dtype=torch.float32), right=True) + 1
    return torch.bincount(rows.masked_fill_(ratio == 0, 0), minlength=len(EDGES) + 2).cpu()
