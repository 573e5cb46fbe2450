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
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from azr.errors import UserError
from azr.metrics.checkpoints import FLOATING, Weight, lora_factors, open_pair

if TYPE_CHECKING:
    import pandas as pd

    from azr.metrics.checkpoints import Checkpoint

DEFINITIONS = {
    ("float32", "exact"): "w1 = w0",
    ("float32", "1e-05"): "|w1 - w0| <= 1e-05",
    ("float32", "relative"): "|w1 - w0| < |w0| / 256",
    ("bfloat16", "exact"): "w1 = w0, both rounded to bfloat16",
    ("bfloat16", "1e-05"): "|w1 - w0| <= 1e-05, both rounded to bfloat16",
}
"""When an element counts as unchanged, by dtype and tolerance; in bfloat16 ``relative`` would be ``exact``."""
BF16_THRESHOLD = 1 / 256
"""Half a unit in the last of bfloat16's eight bits, relative to the smallest number with that exponent."""
_BELOW_THRESHOLD = np.nextafter(np.float32(BF16_THRESHOLD), np.float32(0))
NULL_DRAWS = 2**14
"""Elements of a tensor from which its null is estimated: a standard error of at most 0.004 of its size."""

_BLOCK = 2**16  # elements: the float32 copies of a block stay in the processor's cache
_TASK = 2**20  # elements: what a thread does at once, and gives back to the system afterwards
_LAYER = re.compile(r"(?:^|\.)(?:layers|layer|h|blocks|block)\.(\d+)\.")


def update_sparsity(before: Checkpoint, after: Checkpoint) -> pd.DataFrame:
    """Elements of each tensor that training left unchanged, under five definitions.

    Args:
        before: state dict, checkpoint folder, or ``.safetensors`` file.
        after: the same, or the folder of an adapter of PEFT, which is merged into ``before`` in float32.

    Returns:
        One row a tensor and definition: tensor, parameters, dtype (in which both are compared), tolerance (``exact``:
        equal; ``1e-05``: |w1 - w0| <= it; ``relative``: equal or |w1 - w0| < |w0| / 256, in
        float32 only, since in bfloat16 it is ``exact``), unchanged (elements), norm (of w1 - w0), base_norm (of w0;
        both Frobenius) and null: the elements that a Gaussian update of the same norm, stored as w1 is, would leave
        unchanged, by one draw. ``attrs["skipped"]`` says which tensors cannot be compared, and why. Tensors that
        share memory in a state dict count once.

    Raises:
        UserError: a checkpoint cannot be read, or the two have no comparable tensor in common.
    """
    import pandas as pd

    old, new = open_pair(before, after)
    skipped = {name: why for name in {**old, **new} if (why := _why_not(old.get(name), new.get(name)))}
    pairs = {name: (weight, new[name]) for name, weight in old.items() if name not in skipped}
    rows = []
    for name, sums, sample in _compared(pairs):
        if not np.isfinite(sums).all():
            skipped[name] = "holds numbers that are not finite"
            continue
        trained, size, (norm, base_norm) = pairs[name][1], math.prod(pairs[name][1].shape), np.sqrt(sums[5:])
        stored = "F32" if trained.factors else trained.dtype
        null = size * _null(sample, norm / math.sqrt(size), stored)
        for definition, unchanged, expected in zip(DEFINITIONS, sums[:5], null, strict=True):
            rows.append((name, size, *definition, int(unchanged), norm, base_norm, expected))
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

    rows = []
    factors = lora_factors(Path(adapter)) if (Path(adapter) / "adapter_config.json").is_file() else {}
    for name, (a, b) in factors.items():
        # The singular values of B A are those of the small product of the two triangular factors.
        inner = np.linalg.qr(b.astype(float), "r") @ np.linalg.qr(a.astype(float).T, "r").T
        values = np.linalg.svd(inner, compute_uv=False)
        shares = values[values > 0] / values.sum() if values.any() else values[:0]
        entropy = -float(np.sum(shares * np.log(shares)))
        rows.append((name, len(a), math.exp(entropy) if len(shares) else 0.0))
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


def _why_not(old: Weight | None, new: Weight | None) -> str:
    """Why two tensors of one name cannot be compared; empty where they can."""
    if old is None or new is None:
        return "is only in the trained" if old is None else "is only in the base"
    if old.shape != new.shape:
        return f"has another shape, {list(old.shape)} -> {list(new.shape)}"
    if not {old.dtype, new.dtype} <= FLOATING.keys():
        return f"is of no known floating type, {old.dtype} -> {new.dtype}"
    return "" if math.prod(old.shape) else "is empty"


def _compared(pairs: Mapping[str, tuple[Weight, Weight]]) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Name, sums [7] and sample of each pair, as ``_range_found`` has them, in their order.

    By two threads, since NumPy's loops do not hold Python's lock; each works on one range at a time.
    """
    sizes = {name: math.prod(old.shape) for name, (old, _) in pairs.items()}
    tasks = [(name, start) for name, size in sizes.items() for start in range(0, size, _TASK)]

    def work(task: tuple[str, int]) -> tuple[np.ndarray, np.ndarray]:
        name, start = task
        return _range_found(*pairs[name], start, min(start + _TASK, sizes[name]))

    with ThreadPoolExecutor(2) as pool:
        results = zip(tasks, pool.map(work, tasks), strict=True)
        for name, group in groupby(results, key=lambda item: item[0][0]):
            sums, samples = zip(*(found for _, found in group), strict=True)
            yield name, np.sum(sums, axis=0), np.concatenate(samples)


def _range_found(old: Weight, new: Weight, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
    """Of a range of two tensors: sums [7] (``_counts`` [6], squares of the base) and some of the base's elements."""
    stride = math.prod(old.shape) // NULL_DRAWS | 1  # odd: it does not meet the same columns in every row
    arrays, sums, sample = np.empty((4, _BLOCK), dtype=np.float32), np.zeros(7), []
    for first in range(start, stop, _BLOCK):
        last = min(first + _BLOCK, stop)
        scratch = arrays[:, : last - first]
        x, y, *_ = scratch
        old.read(first, last, x)
        sums[6] += np.dot(x, x)
        sample.append(x[-first % stride :: stride].copy())
        if old is new:
            sums[:5] += last - first
        else:
            new.read(first, last, y)
            sums[:6] += _counts(scratch, old.dtype == new.dtype == "BF16" and new.factors is None)
    for weight in (old, new):
        weight.release(start, stop)
    return sums, np.concatenate(sample)


def _counts(scratch: np.ndarray, both_rounded: bool = False) -> tuple[float, ...]:
    """Elements of two tensors that are equal by each of the five definitions, and the sum of squared changes.

    ``scratch`` [4, n], float32, holds the tensors in its first rows. All of it is overwritten, and no such array is
    made, which would take as long as comparing. ``both_rounded``: the numbers are of bfloat16 already.
    """
    x, y, change, other = scratch
    limit = np.float32(1e-5)
    flags = np.empty(len(x), dtype=bool)

    def within(bound: np.ndarray | np.float32) -> int:
        return np.count_nonzero(np.less_equal(change, bound, out=flags))

    np.subtract(y, x, out=change)
    squares = float(np.dot(change, change))
    np.abs(change, out=change)
    exact, close = within(np.float32(0)), within(limit)
    if both_rounded:
        return exact, close, exact, exact, close, squares
    np.multiply(np.abs(x, out=other), _BELOW_THRESHOLD, out=other)
    relative = within(other)
    for tensor in (x, y):
        _round_to_bfloat16(tensor, other)
    np.abs(np.subtract(y, x, out=change), out=change)
    return exact, close, relative, within(np.float32(0)), within(limit), squares


def _round_to_bfloat16(numbers: np.ndarray, scratch: np.ndarray) -> None:
    """Round float32 numbers to bfloat16 in place, ties to even; ``scratch`` is an array like them."""
    bits, last = numbers.view(np.uint32), scratch.view(np.uint32)
    np.bitwise_and(np.right_shift(bits, 16, out=last), 1, out=last)
    np.add(bits, last, out=bits)
    np.add(bits, 0x7FFF, out=bits)
    np.bitwise_and(bits, 0xFFFF0000, out=bits)


def _null(sample: np.ndarray, deviation: float, dtype: str) -> np.ndarray:
    """[5], shares of the sample that a Gaussian update of a standard deviation leaves unchanged, by one draw."""
    scratch = np.empty((4, len(sample)), dtype=np.float32)
    scratch[0] = sample
    scratch[1] = sample + np.random.default_rng(0).normal(0, deviation, len(sample))
    if dtype == "BF16":
        _round_to_bfloat16(scratch[1], scratch[2])
    elif dtype == "F16":
        scratch[1] = scratch[1].astype(np.float16)
    return np.array(_counts(scratch)[:5]) / len(sample)
