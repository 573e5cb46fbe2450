"""RQ4: how many parameters training left unchanged, by what one calls unchanged, and how many chance would have left.

>>> import torch
>>> frame = update_sparsity({"w": torch.ones(4)}, {"w": torch.tensor([1.0, 1.0, 1.001, 2.0])})
>>> sparsity_table(frame)[["dtype", "tolerance", "sparsity"]].values.tolist()[3:]  # 1.001 is 1 in bfloat16
[['bfloat16', 'exact', 0.75], ['bfloat16', '1e-05', 0.75]]

For one and the same update the share lies anywhere between 0 and 1, with the type in which tensors are compared and the
tolerance; so each number stands beside its definition, the norm of the update, and a null: what a Gaussian update of
that norm would have left unchanged. A folder's ``model.safetensors`` is read, else the shards that its index names, and
no other file; two tensors are compared at once, by two threads, so nothing holds a whole model. Left out: which
definition is right (LoRA and full fine-tuning are not comparable by these numbers); adapters, which PEFT merges
(``azr.models.loading.checkpoint``); pickled ``.bin`` files (opening one may run code), quantised weights, hub names.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from safetensors import SafetensorError, safe_open

from azr.errors import UserError

if TYPE_CHECKING:
    import torch

    Checkpoint = str | Path | Mapping[str, torch.Tensor]
    Readers = dict[str, Callable[[], torch.Tensor]]
    """By the name of a tensor, what reads it."""

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
_BLOCK = 2**20
"""Elements that are compared at once: other types than bfloat16 and float32 are converted first."""
_PARTS = {
    "layer": r"(?:^|\.)(?:layers|layer|h|blocks|block)\.(\d+)\.",
    "module": r"([^.]+)(?:\.(?:weight|bias))?$",
}
"""The part of a tensor's name that says to which layer or type of module it belongs."""


def update_sparsity(before: Checkpoint, after: Checkpoint) -> pd.DataFrame:
    """Elements of each tensor that training left unchanged, under five definitions.

    Args:
        before: state dict, checkpoint folder, or ``.safetensors`` file.
        after: the same; of an adapter, what it gives merged into the base (``azr.models.loading.checkpoint``).

    Returns:
        One row a tensor and definition: tensor, parameters, dtype (in which both are compared), tolerance (see
        ``DEFINITIONS``), unchanged (elements), norm (of w1 - w0), base_norm (of w0; both Frobenius) and null: the
        elements that a Gaussian update of the same norm, stored as w1 is, would leave unchanged, by one draw.
        ``attrs["skipped"]`` says which tensors cannot be compared, and why. Tensors that share memory in a state dict
        count once.

    Raises:
        UserError: a checkpoint cannot be read, or the two have no comparable tensor in common.
    """
    old, new = open_checkpoint(before), open_checkpoint(after)
    common = [name for name in old if name in new]
    with ThreadPoolExecutor(2) as pool:
        found = dict(zip(common, pool.map(lambda name: _compared(old[name](), new[name]()), common), strict=True))
    skipped = {name: "is only in the base" for name in old if name not in new}
    skipped |= {name: "is only in the trained" for name in new if name not in old}
    skipped |= {name: why for name, why in found.items() if isinstance(why, str)}
    rows = [(name, *row) for name, own in found.items() if name not in skipped for row in own]
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
        by: a column of the result; None for the whole model. What is in no layer (embeddings, head) is ``outside``.

    Returns:
        One row a definition and group: the other columns, [layer or module], dtype, tolerance, sparsity (share of
        elements unchanged), null (the share that a Gaussian update of the same norms would leave), norm and base_norm
        (Frobenius), parameters.
    """
    own = ["unchanged", "null", "norm", "base_norm", "parameters"]
    keys = [column for column in frame if column not in (*own, "tensor", "dtype", "tolerance")]
    if by:
        keys, frame = [*keys, by], frame.assign(**{by: frame["tensor"].str.extract(_PARTS[by])[0].fillna("outside")})
    frame = frame.assign(norm=frame["norm"] ** 2, base_norm=frame["base_norm"] ** 2)
    sums = frame.groupby([*keys, "dtype", "tolerance"], sort=False)[own].sum().rename(columns={"unchanged": "sparsity"})
    sums[["sparsity", "null"]] = sums[["sparsity", "null"]].div(sums["parameters"], axis=0)
    sums[["norm", "base_norm"]] **= 0.5
    return sums.reset_index()


def sparsity_report(
    before: Checkpoint, after: Checkpoint, by: Literal["layer", "module"] | None = None
) -> tuple[pd.DataFrame, str]:
    """What ``azr sparsity`` says of two checkpoints: the table, with its definitions in words, and the text to print.

    Arguments and errors are those of ``update_sparsity`` and ``sparsity_table``.
    """
    frame = update_sparsity(before, after)
    table = sparsity_table(frame, by)
    table["unchanged is"] = [DEFINITIONS[key] for key in zip(table["dtype"], table["tolerance"], strict=True)]
    lines = [table.drop(columns=["dtype", "tolerance"]).to_string(index=False, float_format="{:.4g}".format)]
    lines += [f"not compared: {name} {why}" for name, why in frame.attrs["skipped"].items()]
    if not isinstance(after, Path):
        lines.append("An adapter, merged: do not set these numbers beside those of full fine-tuning.")
    return table, "\n".join(lines)


def _compared(base: torch.Tensor, trained: torch.Tensor) -> str | list[tuple[str | float, ...]]:
    """The rows of two tensors, one a definition, without their name; or why the two cannot be compared."""
    from azr.metrics.unchanged import count_unchanged

    if base.shape != trained.shape:
        return f"has another shape, {list(base.shape)} -> {list(trained.shape)}"
    if not all(tensor.is_floating_point() and tensor.itemsize > 1 for tensor in (base, trained)):
        return f"is of no known floating type, {base.dtype} -> {trained.dtype}"
    x, y, size = base.flatten(), trained.flatten(), base.numel()
    if not size:
        return "is empty"
    sums = np.zeros(7)
    for old, new in zip(x.split(_BLOCK), y.split(_BLOCK), strict=True):
        sums += count_unchanged(old, new)
    *counts, norm, base_norm = *sums[:5], *np.sqrt(sums[5:])
    if not math.isfinite(norm + base_norm):
        return "holds numbers that are not finite"
    sample, moved = _moved_sample(x, norm / math.sqrt(size), trained.dtype)
    null = size / len(sample) * count_unchanged(sample, moved)[:5]
    numbers = zip(DEFINITIONS, counts, null, strict=True)
    return [(size, *definition, int(count), norm, base_norm, share) for definition, count, share in numbers]


def _moved_sample(base: torch.Tensor, deviation: float, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """A sample of a tensor, and the same moved by a Gaussian update of a standard deviation, by one draw."""
    stride = len(base) // NULL_DRAWS | 1  # odd: it does not meet the same columns in every row
    sample = base[::stride].float()
    update = np.random.default_rng(0).normal(0, deviation, len(sample))
    return sample, (sample + sample.new_tensor(update)).to(dtype)


def open_checkpoint(source: Checkpoint) -> Readers:
    """The tensors of a folder, of a ``.safetensors`` file, or of a state dict (those that share memory count once).

    Raises UserError where there are none that can be read.
    """
    if isinstance(source, Mapping):
        first: dict[object, str] = {}
        for name, tensor in source.items():
            first.setdefault((tensor.data_ptr() or name, tensor.shape, tensor.stride()), name)
        return {name: source[name].detach().cpu for name in first.values()}
    path = Path(source)
    whole, index = path / "model.safetensors", path / "model.safetensors.index.json"
    if path.is_file() or whole.is_file():
        return _of_file(path if path.is_file() else whole)
    if not index.is_file():
        raise UserError(
            f"{path} has no model.safetensors, whole or in shards: save the model by save_pretrained first, an adapter "
            "merged into its base."
        )
    shards = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    return {name: reader for shard in shards for name, reader in _of_file(path / shard).items()}


def _of_file(path: Path) -> Readers:
    with _opened(path) as file:
        names = file.keys()
    return {name: partial(_read, path, name) for name in names}


def _read(path: Path, name: str) -> torch.Tensor:
    """A tensor as it is stored; its pages come into memory as they are read, and leave it with it."""
    with _opened(path) as file:
        return file.get_tensor(name)


def _opened(path: Path) -> safe_open:
    try:
        return safe_open(path, "pt")
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path} is no readable safetensors file: save or download it again.") from error
