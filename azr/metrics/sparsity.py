"""RQ4: how many parameters training left unchanged, by what one calls unchanged, and how many chance would have left.

>>> import torch
>>> frame = update_sparsity({"w": torch.ones(4)}, {"w": torch.tensor([1.0, 1.0, 1.001, 2.0])})
>>> sparsity_table(frame)[["dtype", "tolerance", "sparsity"]].values.tolist()[3:]  # 1.001 is 1 in bfloat16
[['bfloat16', 'exact', 0.75], ['bfloat16', '1e-05', 0.75]]

For one and the same update the share lies anywhere between 0 and 1, with the type in which tensors are compared and the
tolerance; so each number stands beside its definition, the norm of the update, and a null: what a Gaussian update of
that norm would have left unchanged. Tensors are read in blocks, by two threads; nothing holds a whole model. Left out:
which definition is right. LoRA and full fine-tuning are not comparable by these numbers alone: see ``effective_ranks``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from azr.errors import UserError
from azr.metrics.checkpoints import load, lora_factors, open_pair

if TYPE_CHECKING:
    import pandas as pd
    import torch

    from azr.metrics.checkpoints import Checkpoint

DEFINITIONS = {
    ("float32", "exact"): "w1 = w0",
    ("float32", "1e-05"): "|w1 - w0| <= 1e-05",
    ("float32", "relative"): "|w1 - w0| < |w0| / 256",
    ("bfloat16", "exact"): "w1 = w0, both rounded to bfloat16",
    ("bfloat16", "1e-05"): "|w1 - w0| <= 1e-05, both rounded to bfloat16",
}
"""When an element counts as unchanged, by dtype and tolerance; in bfloat16 ``relative`` would be ``exact``."""
NULL_DRAWS = 2**14
"""Elements of a tensor from which its null is estimated: a standard error of at most 0.004 of its size."""
_BELOW_THRESHOLD = float(np.nextafter(np.float32(1 / 256), np.float32(0)))
_BLOCK = 2**18
"""Elements that are compared at once: few enough to stay in the processor's cache."""
_TASK = 4  # blocks: what a thread does at once
_LAYER = re.compile(r"(?:^|\.)(?:layers|layer|h|blocks|block)\.(\d+)\.")


def update_sparsity(before: Checkpoint, after: Checkpoint) -> pd.DataFrame:
    """Elements of each tensor that training left unchanged, under five definitions.

    Args:
        before: state dict, checkpoint folder, or ``.safetensors`` file.
        after: the same, or the folder of an adapter of PEFT, which is merged into ``before`` in float32.

    Returns:
        One row a tensor and definition: tensor, parameters, dtype (in which both are compared), tolerance (see
        ``DEFINITIONS``), unchanged (elements), norm (of w1 - w0), base_norm (of w0; both Frobenius) and null: the
        elements that a Gaussian update of the same norm, stored as w1 is, would leave unchanged, by one draw.
        ``attrs["skipped"]`` says which tensors cannot be compared, and why. Tensors that share memory in a state dict
        count once.

    Raises:
        UserError: a checkpoint cannot be read, or the two have no comparable tensor in common.
    """
    import pandas as pd
    import torch

    old, new, factors = open_pair(before, after)
    rows = []
    skipped = {name: "is only in the base" for name in old if name not in new}
    skipped |= {name: "is only in the trained" for name in new if name not in old}
    with _two_threads() as pool:
        for name in (name for name in old if name in new):
            base, trained = load(old, name), load(new, name)
            if why := _why_not(base, trained):
                skipped[name] = why
                continue
            *counts, squares, base_squares = _compared(base, trained, factors.get(name), pool)
            if not math.isfinite(squares + base_squares):
                skipped[name] = "holds numbers that are not finite"
                continue
            size, norm, base_norm = base.numel(), math.sqrt(squares), math.sqrt(base_squares)
            null = _null(base, norm / math.sqrt(size), torch.float32 if name in factors else trained.dtype)
            for definition, unchanged, share in zip(DEFINITIONS, counts, null, strict=True):
                rows.append((name, size, *definition, int(unchanged), norm, base_norm, size * share))
    if not rows:
        some = next((f"{name} {why}" for name, why in skipped.items()), "both are empty")
        raise UserError(f"The two checkpoints have no comparable tensor in common ({some}): give two of one model.")
    columns = ["tensor", "parameters", "dtype", "tolerance", "unchanged", "norm", "base_norm", "null"]
    frame = pd.DataFrame(rows, columns=columns)
    frame.attrs["skipped"] = skipped
    return frame


def sparsity_table(frame: pd.DataFrame, by: Literal["layer", "module"] | None = None) -> pd.DataFrame:
    """Update sparsity of whole models, or of their layers or module types.

    Args:
        frame: from ``update_sparsity``; other columns (method, seed, step) are kept apart.
        by: a column of the result; None for the whole model.

    Returns:
        One row a definition and group: the other columns, [layer or module], dtype, tolerance, sparsity (share of
        elements unchanged), whole (share in tensors of which every element is unchanged), null (the share that a
        Gaussian update of the same norms would leave), norm and base_norm (Frobenius), parameters.
    """
    own = {"tensor", "parameters", "dtype", "tolerance", "unchanged", "norm", "base_norm", "null"}
    keys = [column for column in frame if column not in own] + ([by] if by else []) + ["dtype", "tolerance"]
    frame = frame.assign(whole=frame["unchanged"].where(frame["unchanged"] == frame["parameters"], 0))
    if by:
        frame = frame.assign(**{by: frame["tensor"].map({"layer": layer_of, "module": module_of}[by])})
    frame = frame.assign(norm=frame["norm"] ** 2, base_norm=frame["base_norm"] ** 2)
    names = ["unchanged", "whole", "null", "norm", "base_norm", "parameters"]
    sums = frame.groupby(keys, sort=False)[names].sum().rename(columns={"unchanged": "sparsity"})
    sums[["sparsity", "whole", "null"]] = sums[["sparsity", "whole", "null"]].div(sums["parameters"], axis=0)
    sums[["norm", "base_norm"]] **= 0.5
    return sums.reset_index()


@dataclass(frozen=True)
class SparsityReport:
    """What ``azr sparsity`` says of two checkpoints."""

    frame: pd.DataFrame
    """From ``sparsity_table``, with the definition in words."""
    skipped: dict[str, str]
    """Tensors that were not compared, and why."""
    ranks: pd.DataFrame
    """From ``effective_ranks``; empty where no adapter was given."""

    def text(self) -> str:
        """To be printed."""
        shown = self.frame.drop(columns=["dtype", "tolerance"])
        lines = [shown.to_string(index=False, float_format="{:.4g}".format)]
        lines += [f"not compared: {name} {why}" for name, why in self.skipped.items()]
        if len(self.ranks):
            rank = self.ranks["effective_rank"]
            lines.append("A LoRA adapter, merged: do not set these numbers beside those of full fine-tuning.")
            lines.append(f"effective rank of {len(rank)} updates: mean {rank.mean():.2f} of {self.ranks['rank'].max()}")
        return "\n".join(lines)


def sparsity_report(before: Path, after: Path, by: Literal["layer", "module"] | None = None) -> SparsityReport:
    """Compare two checkpoints; arguments and errors are those of ``update_sparsity`` and ``sparsity_table``."""
    frame = update_sparsity(before, after)
    table = sparsity_table(frame, by)
    table["unchanged is"] = [DEFINITIONS[key] for key in zip(table["dtype"], table["tolerance"], strict=True)]
    return SparsityReport(table, frame.attrs["skipped"], effective_ranks(after))


def effective_ranks(adapter: str | Path) -> pd.DataFrame:
    """Rank that each update of a LoRA adapter could have, and the one it uses.

    Args:
        adapter: a folder; of one that holds no adapter, or one that adds more than B A, the frame is empty.

    Returns:
        tensor, rank (columns of B) and effective_rank: exp of the entropy of the singular values of B A, normalised to
        sum to 1 (Roy and Vetterli 2007), between 1 and rank; 0 for B A = 0.
    """
    import pandas as pd
    import torch
    from scipy.stats import entropy

    rows = []
    factors = lora_factors(Path(adapter)) if (Path(adapter) / "adapter_config.json").is_file() else {}
    for name, (a, b) in factors.items():
        # The singular values of B A are those of the small product of the two triangular factors.
        inner = torch.linalg.qr(b.double(), "r").R @ torch.linalg.qr(a.double().T, "r").R.T
        values = torch.linalg.svdvals(inner).numpy()
        rows.append((name, len(a), math.exp(entropy(values)) if values.any() else 0.0))
    return pd.DataFrame(rows, columns=["tensor", "rank", "effective_rank"])


def layer_of(tensor: str) -> str:
    """Number of the layer that a tensor belongs to, or ``outside`` (embeddings, head, final norm).

    >>> layer_of("model.layers.11.mlp.up_proj.weight"), layer_of("lm_head.weight")
    ('11', 'outside')
    """
    match = _LAYER.search(tensor)
    return match[1] if match else "outside"


def module_of(tensor: str) -> str:
    """Module type of a tensor: the last part of its name before ``weight`` or ``bias``.

    >>> module_of("model.layers.11.mlp.up_proj.weight")
    'up_proj'
    """
    parts = tensor.split(".")
    return parts[-2] if len(parts) > 1 and parts[-1] in {"weight", "bias"} else parts[-1]


def _why_not(base: torch.Tensor, trained: torch.Tensor) -> str:
    """Why two tensors of one name cannot be compared; empty where they can."""
    if base.shape != trained.shape:
        return f"has another shape, {list(base.shape)} -> {list(trained.shape)}"
    if not all(tensor.is_floating_point() and tensor.itemsize > 1 for tensor in (base, trained)):
        return f"is of no known floating type, {base.dtype} -> {trained.dtype}"
    return "" if base.numel() else "is empty"


@contextmanager
def _two_threads() -> Iterator[Executor]:
    """Threads that work at once, since neither torch nor NumPy holds Python's lock, with no threads of torch's own."""
    import torch

    number = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(2, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield pool
    finally:
        torch.set_num_threads(number)


def _compared(
    base: torch.Tensor, trained: torch.Tensor, factors: tuple[torch.Tensor, torch.Tensor] | None, pool: Executor
) -> np.ndarray:
    """Sums [7] over two tensors, as ``_block_compared`` has them, the adapter merged in block by block."""
    import torch

    width = base.shape[-1] if base.dim() else 1
    base, trained = base.reshape(-1, width), trained.reshape(-1, width)
    step = max(1, _BLOCK // width)

    def work(first: int) -> np.ndarray:
        room, sums = torch.empty(2, step * width), np.zeros(7)
        for start in range(first, min(first + _TASK * step, len(base)), step):
            x, y = base[start : start + step], trained[start : start + step]
            if factors:
                a, b = factors
                y = (b[start : start + step] @ a).add_(y)
            sums += _block_compared(x.flatten(), y.flatten(), room)
        return sums

    return np.sum(list(pool.map(work, range(0, len(base), _TASK * step))), axis=0)


def _block_compared(base: torch.Tensor, trained: torch.Tensor, room: torch.Tensor) -> tuple[float, ...]:
    """Elements that are equal by each of the five definitions, and squares of the change and of the base, summed.

    Torch converts types several times as fast as NumPy, which compares and counts several times as fast as torch.
    ``room`` [2, at least n], float32, is overwritten: new memory would take as long as comparing.
    """
    import torch

    first, second = room[:, : len(base)]
    x = base if base.dtype == torch.float32 else first.copy_(base)
    y = trained if trained.dtype == torch.float32 else second.copy_(trained)
    base_squares = float(x.dot(x))
    change = torch.sub(y, x, out=second)
    squares = float(change.dot(change))
    exact, close = _within(change.abs_(), 0), _within(change, 1e-5)
    if exact == len(base) or base.dtype == trained.dtype == torch.bfloat16:
        return exact, close, exact, exact, close, squares, base_squares
    relative = _within(change, torch.mul(x, _BELOW_THRESHOLD, out=first).abs_().numpy())
    torch.sub(second.copy_(trained.bfloat16()), first.copy_(base.bfloat16()), out=change).abs_()
    return exact, close, relative, _within(change, 0), _within(change, 1e-5), squares, base_squares


def _within(change: torch.Tensor, bound: float | np.ndarray) -> int:
    return np.count_nonzero(change.numpy() <= bound)


def _null(base: torch.Tensor, deviation: float, dtype: torch.dtype) -> np.ndarray:
    """[5], shares of a sample that a Gaussian update of a standard deviation leaves unchanged, by one draw."""
    stride = base.numel() // NULL_DRAWS | 1  # odd: it does not meet the same columns in every row
    sample = base.flatten()[::stride].float()
    moved = sample + sample.new_tensor(np.random.default_rng(0).normal(0, deviation, len(sample)))
    return np.array(_block_compared(sample, moved.to(dtype), sample.new_empty(2, len(sample)))[:5]) / len(sample)
