"""RQ4: the share of parameters that training left unchanged, with its definition spelled out.

S = unchanged / compared parameters. What "unchanged" means moves S between 0 and 1 for the same update, so a report
carries three choices:

* dtype: both tensors are cast to it before they are compared. In bfloat16 a change below about |w| / 256 rounds away.
* atol: 0 (equal after the cast), a number (|w1 - w0| <= atol), or ``"relative"`` (|w1 - w0| <= |w0| / 256).
* granularity: ``"element"`` counts each parameter; ``"tensor"`` counts the parameters of tensors in which every
  element is unchanged.

>>> import torch
>>> report = update_sparsity({"w": torch.ones(4)}, {"w": torch.tensor([1.0, 1.0, 1.001, 2.0])})
>>> report.overall  # 1.001 is 1 in bfloat16
0.75

Tensors are compared one at a time and in pieces; nothing holds a whole model. Left out: which of the choices is right;
LoRA and full fine-tuning are not comparable by S alone (``LoraReport`` has what is to be said beside it).
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import torch

from azr.errors import UserError
from azr.metrics.checkpoints import AdapterTensors, open_checkpoint, tensor_pairs, untied
from azr.metrics.lora import LoraCount, LoraReport

Checkpoint = Mapping[str, torch.Tensor] | Iterable[tuple[str, torch.Tensor]] | str | Path
Tolerance = float | Literal["relative"]
Granularity = Literal["element", "tensor"]

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
TOLERANCES: tuple[Tolerance, ...] = (0.0, 1e-5, "relative")
SETTINGS: tuple[tuple[str, Tolerance], ...] = tuple((dtype, atol) for dtype in DTYPES for atol in TOLERANCES)
BF16_THRESHOLD = 1 / 256
"""Half a unit in the last of bfloat16's eight bits, relative to the smallest number with that exponent."""

_CHUNK = 2**16  # elements: the float32 copies of a piece stay in the processor's cache
_LAYER = re.compile(r"(?:^|\.)(?:layers|layer|h|blocks|block)\.(\d+)\.")


@dataclass(frozen=True)
class TensorSparsity:
    """One tensor that both checkpoints have, in one shape."""

    parameters: int
    unchanged: int
    """Elements unchanged, whatever the granularity of the report."""
    stored: str
    """Dtypes in the two checkpoints, for instance ``bfloat16 -> float32``."""

    @property
    def share(self) -> float:
        """Unchanged elements over elements, in [0, 1]."""
        return self.unchanged / self.parameters


@dataclass(frozen=True)
class SparsityReport:
    """Update sparsity under one definition. Shares are in [0, 1]; NaN where nothing was compared."""

    dtype: str
    atol: Tolerance
    granularity: Granularity
    tensors: dict[str, TensorSparsity]
    missing: dict[str, int] = field(default_factory=dict)
    """Tensors of the base that the trained checkpoint lacks, with their numbers of parameters; not in any share."""
    extra: dict[str, int] = field(default_factory=dict)
    """Tensors only the trained checkpoint has."""
    reshaped: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = field(default_factory=dict)
    """Tensors whose shapes differ: base's and trained's."""
    not_floating: dict[str, int] = field(default_factory=dict)
    """Integer and boolean tensors (buffers, packed weights), which are no parameters here."""
    lora: LoraReport | None = None

    @property
    def overall(self) -> float:
        """S over all compared parameters."""
        return self._share(self.tensors)

    @property
    def parameters(self) -> int:
        """Number of parameters compared."""
        return sum(tensor.parameters for tensor in self.tensors.values())

    @property
    def by_tensor(self) -> dict[str, float]:
        """S of each tensor; with granularity ``"tensor"`` 0 or 1."""
        return {name: self._share([name]) for name in self.tensors}

    @property
    def by_layer(self) -> dict[str, float]:
        """S of each layer, by its number as text; ``"outside"`` for embeddings, head and final norm."""
        return self._grouped(layer_of)

    @property
    def by_module(self) -> dict[str, float]:
        """S of each module type (``q_proj``, ``embed_tokens``, ...)."""
        return self._grouped(module_of)

    @property
    def stored(self) -> dict[str, int]:
        """Number of tensors by pair of stored dtypes."""
        return dict(Counter(tensor.stored for tensor in self.tensors.values()))

    def definition(self) -> str:
        """The three choices in words: put them beside every number.

        >>> update_sparsity({"w": torch.ones(4)}, {"w": torch.ones(4)}, atol="relative").definition()
        'share of elements with |w1 - w0| <= |w0| / 256 in bfloat16'
        """
        element = self.granularity == "element"
        unit = "elements with" if element else "parameters in tensors of which every element has"
        bound = "|w0| / 256" if self.atol == "relative" else f"{self.atol:g}"
        test = "w1 = w0" if self.atol == 0 else f"|w1 - w0| <= {bound}"
        return f"share of {unit} {test} in {self.dtype}"

    def to_frame(self) -> pd.DataFrame:
        """One row a tensor: name, layer, module, parameters, unchanged, stored, dtype, tolerance."""
        rows = [
            (name, layer_of(name), module_of(name), tensor.parameters, tensor.unchanged, tensor.stored)
            for name, tensor in self.tensors.items()
        ]
        frame = pd.DataFrame(rows, columns=["name", "layer", "module", "parameters", "unchanged", "stored"])
        return frame.assign(dtype=self.dtype, tolerance=tolerance_name(self.atol))

    def _share(self, names: Iterable[str]) -> float:
        chosen = [self.tensors[name] for name in names]
        total = sum(tensor.parameters for tensor in chosen)
        if total == 0:
            return math.nan
        whole = self.granularity == "tensor"
        kept = sum(t.unchanged for t in chosen if not whole or t.unchanged == t.parameters)
        return kept / total

    def _grouped(self, key: Callable[[str], str]) -> dict[str, float]:
        groups: dict[str, list[str]] = {}
        for name in self.tensors:
            groups.setdefault(key(name), []).append(name)
        order = sorted(groups, key=lambda group: (not group.isdigit(), int(group) if group.isdigit() else 0, group))
        return {group: self._share(groups[group]) for group in order}


def update_sparsity(
    base: Checkpoint,
    trained: Checkpoint,
    *,
    dtype: str = "bfloat16",
    atol: Tolerance = 0.0,
    granularity: Granularity = "element",
) -> SparsityReport:
    """Share of parameters that training left unchanged, by tensor, layer and module type.

    Args:
        base: state dict, checkpoint folder, or iterator of (name, tensor).
        trained: the same; a folder may be a LoRA adapter, which is merged into the base tensor by tensor. Two iterators
            are matched by name; where their orders differ, tensors wait in memory.
        dtype: ``"bfloat16"`` or ``"float32"``.
        atol: 0, a number, or ``"relative"``.
        granularity: ``"element"`` or ``"tensor"``.

    Returns:
        SparsityReport. Tensors that share memory in a state dict (tied weights) count once. NaN counts as changed.

    Raises:
        UserError: a folder cannot be read, or the checkpoints have no tensor name in common.
    """
    if granularity not in ("element", "tensor"):
        raise ValueError(f"granularity is {granularity!r}; it must be 'element' or 'tensor'.")
    return replace(sparsity_reports(base, trained, [(dtype, atol)])[0], granularity=granularity)


def sparsity_matrix(
    base: Checkpoint, trained: Checkpoint, by: Literal["layer", "module"] | None = None
) -> pd.DataFrame:
    """Update sparsity under all twelve definitions in one pass over the tensors.

    Args:
        base: as for ``update_sparsity``.
        trained: as for ``update_sparsity``.
        by: a column of the result, ``"layer"`` or ``"module"``; None for the whole model.

    Returns:
        Tidy frame: dtype, tolerance (``exact``, ``1e-05``, ``relative``), granularity, [layer or module], sparsity,
        parameters.

    >>> before, after = {"w": torch.ones(2)}, {"w": torch.tensor([1.0, 1.001])}
    >>> frame = sparsity_matrix(before, after).set_index(["dtype", "tolerance", "granularity"])["sparsity"]
    >>> frame["float32", "exact", "element"], frame["bfloat16", "exact", "element"], frame["float32", "exact", "tensor"]
    (np.float64(0.5), np.float64(1.0), np.float64(0.0))
    """
    return matrix_of(sparsity_reports(base, trained), by)


def matrix_of(reports: Iterable[SparsityReport], by: Literal["layer", "module"] | None = None) -> pd.DataFrame:
    """Reports of several definitions as the tidy frame of ``sparsity_matrix``, with both granularities of each."""
    rows = pd.concat([report.to_frame() for report in reports])
    rows["tensor"] = rows["unchanged"].where(rows["unchanged"] == rows["parameters"], 0)
    keys = ["dtype", "tolerance", *([by] if by else [])]
    sums = rows.groupby(keys, sort=False, as_index=False)[["parameters", "unchanged", "tensor"]].sum()
    parts = []
    for granularity, column in (("element", "unchanged"), ("tensor", "tensor")):
        parts.append(sums[keys].assign(granularity=granularity, sparsity=sums[column] / sums["parameters"]))
        parts[-1]["parameters"] = sums["parameters"]
    columns = ["dtype", "tolerance", "granularity", *([by] if by else []), "sparsity", "parameters"]
    return pd.concat(parts, ignore_index=True)[columns]


def sparsity_reports(
    base: Checkpoint, trained: Checkpoint, settings: Sequence[tuple[str, Tolerance]] = SETTINGS
) -> list[SparsityReport]:
    """A report, per element, for each pair of dtype and atol, from one pass over the tensors.

    Arguments and errors are those of ``update_sparsity``.
    """
    for dtype, atol in settings:
        if dtype not in DTYPES:
            raise ValueError(f"dtype is {dtype!r}; it must be one of {', '.join(DTYPES)}.")
        if atol != "relative" and not (isinstance(atol, int | float) and atol >= 0):
            raise ValueError(f"atol is {atol!r}; it must be a number of at least 0 or 'relative'.")
    before = open_checkpoint(base) if isinstance(base, str | Path) else untied(base)
    if isinstance(trained, str | Path):
        trained = open_checkpoint(trained, before if isinstance(before, Mapping) else None)
    else:
        trained = untied(trained)
    found: list[dict[str, TensorSparsity]] = [{} for _ in settings]
    missing: dict[str, int] = {}
    extra: dict[str, int] = {}
    reshaped: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {}
    not_floating: dict[str, int] = {}
    lora = LoraCount(trained) if isinstance(trained, AdapterTensors) else None
    for name, old, new in tensor_pairs(before, trained):
        if lora is not None and old is not None:
            lora.add(name, old)
        if old is None or new is None:
            (missing if new is None else extra)[name] = (old if new is None else new).numel()
        elif old.shape != new.shape:
            reshaped[name] = (tuple(old.shape), tuple(new.shape))
        elif not (old.is_floating_point() and new.is_floating_point()):
            not_floating[name] = old.numel()
        elif old.numel():
            stored = f"{_short(old.dtype)} -> {_short(new.dtype)}"
            for tensors, unchanged in zip(found, _unchanged(old, new, settings), strict=True):
                tensors[name] = TensorSparsity(old.numel(), unchanged, stored)
        del old, new  # before the next pair is read, so that memory holds one pair
    if not found[0] and (missing or extra) and not reshaped:
        names = f"{next(iter(missing), 'nothing')} and {next(iter(extra), 'nothing')}"
        raise UserError(f"The two checkpoints have no comparable tensor in common (they begin with {names}).")
    lora_report = lora.report() if lora is not None else None
    return [
        SparsityReport(dtype, atol, "element", tensors, missing, extra, reshaped, not_floating, lora_report)
        for (dtype, atol), tensors in zip(settings, found, strict=True)
    ]


def layer_of(name: str) -> str:
    """Number of the layer that a parameter belongs to, or ``"outside"``.

    >>> layer_of("model.layers.11.mlp.up_proj.weight"), layer_of("lm_head.weight")
    ('11', 'outside')
    """
    match = _LAYER.search(name)
    return match[1] if match else "outside"


def module_of(name: str) -> str:
    """Module type of a parameter: the last part of its name before ``weight`` or ``bias``.

    >>> module_of("model.layers.11.mlp.up_proj.weight")
    'up_proj'
    """
    parts = name.split(".")
    return parts[-2] if len(parts) > 1 and parts[-1] in {"weight", "bias"} else parts[-1]


def tolerance_name(atol: Tolerance) -> str:
    """``exact``, ``relative`` or the number.

    >>> tolerance_name(0.0), tolerance_name(1e-5)
    ('exact', '1e-05')
    """
    return atol if isinstance(atol, str) else "exact" if atol == 0 else f"{atol:g}"


def _unchanged(old: torch.Tensor, new: torch.Tensor, settings: Sequence[tuple[str, Tolerance]]) -> list[int]:
    """Unchanged elements under each setting; in pieces, so that no copy of the tensors is made."""
    if old.dtype == new.dtype == torch.bfloat16:  # then float32 sees the same numbers
        settings = [("bfloat16", atol) for _, atol in settings]
    size = min(_CHUNK, old.numel())
    scratch, same = torch.empty(2, size), np.empty(size, dtype=bool)
    totals: Counter[tuple[str, Tolerance]] = Counter()
    for a, b in zip(old.reshape(-1).split(size), new.reshape(-1).split(size), strict=True):
        x, y = scratch[:, : len(a)]
        for dtype in dict(settings):
            x.copy_(a.to(DTYPES[dtype]))  # float32 holds bfloat16 exactly: differences are not rounded again
            y.copy_(b.to(DTYPES[dtype]))
            wanted = {atol for its_dtype, atol in settings if its_dtype == dtype}
            for atol, count in _counts(x.numpy(), y.numpy(), same[: len(a)], wanted):
                totals[dtype, atol] += count
    return [totals[setting] for setting in settings]


def _counts(
    x: np.ndarray, y: np.ndarray, same: np.ndarray, tolerances: set[Tolerance]
) -> Iterator[tuple[Tolerance, int]]:
    """Elements of float32 ``x`` and ``y`` that are equal by each tolerance; overwrites all three arrays.

    In NumPy, which compares and counts several times as fast as PyTorch on a CPU, and in place: making arrays would
    take as long as comparing them.
    """
    if 0 in tolerances:
        yield 0, int(np.count_nonzero(np.equal(x, y, out=same)))
    if tolerances == {0}:
        return
    with np.errstate(invalid="ignore", over="ignore"):  # inf - inf
        change = np.abs(np.subtract(y, x, out=y), out=y)
    for atol in tolerances - {0, "relative"}:
        yield atol, int(np.count_nonzero(np.less_equal(change, atol, out=same)))
    if "relative" in tolerances:
        bound = np.multiply(np.abs(x, out=x), BF16_THRESHOLD, out=x)
        yield "relative", int(np.count_nonzero(np.less_equal(change, bound, out=same)))


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
