"""The tensors of two checkpoints, a range of elements at a time, whatever the model's size.

    before, after = open_pair("models/base", "runs/laptop/nano/rlvr-seed0/adapter")

Opens what transformers opens: a folder's ``model.safetensors``, else the shards that its index names, and no other
file. A LoRA adapter that is W + s B A and nothing else is merged block by block; what may be more (DoRA, PiSSA, saved
modules, ranks by pattern, other methods) is merged by PEFT, with both models in memory; what began by a change of the
base that is not in its folder is refused. Left out: pickled ``.bin`` files (opening one may run code), quantised
weights, hub names (download first).
"""

from __future__ import annotations

import json
import math
import mmap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from azr.errors import UserError

if TYPE_CHECKING:
    import torch

    Checkpoint = str | Path | Mapping[str, torch.Tensor]

FLOATING = {"F64": np.dtype("<f8"), "F32": np.dtype("<f4"), "F16": np.dtype("<f2"), "BF16": np.dtype("<u2")}
"""How each floating type of safetensors is stored: bfloat16, which NumPy lacks, as its bits."""
_CONFIG = "adapter_config.json"
_WITHOUT_EFFECT = {
    "auto_mapping", "base_model_name_or_path", "ensure_weight_tying", "eva_config", "exclude_modules", "inference_mode",
    "init_lora_weights", "layers_pattern", "layers_to_transform", "lora_alpha", "lora_dropout", "megatron_core",
    "peft_type", "peft_version", "qalora_group_size", "r", "revision", "target_modules", "task_type", "use_rslora",
}  # fmt: skip
"""Settings of a LoRA adapter that leave a weight at W + s B A; with any other, PEFT does the merging."""
_PLAIN_STARTS = (True, False, None, "gaussian", "orthogonal", "eva")
"""Values of ``init_lora_weights`` that leave the base as it is."""
_REPEATED_STARTS = ("pissa", "olora", "mica")
"""Those that change the base in a way that PEFT repeats when it opens the adapter."""


@dataclass(frozen=True, eq=False)
class Weight:
    """One tensor, whose elements lie in memory or in a file that is mapped into it."""

    dtype: str
    """Name of its stored type in safetensors, such as ``BF16``."""
    shape: tuple[int, ...]
    flat: np.ndarray
    file: mmap.mmap | None = None
    offset: int = 0
    """Place of the first element in ``file``, in bytes."""
    factors: tuple[np.ndarray, np.ndarray] | None = None
    """A [rank, in] and s B [out, rank], float32, of an adapter that is to be merged in."""

    def read(self, start: int, stop: int, out: np.ndarray) -> None:
        """Write elements ``start`` to ``stop`` of the flattened tensor to ``out``, float32, the adapter merged in."""
        elements = self.flat[start:stop]
        if self.dtype == "BF16":
            np.left_shift(elements, 16, out=out.view(np.uint32), dtype=np.uint32)
        else:
            np.copyto(out, elements, casting="same_kind")
        if self.factors is not None:
            a, b = self.factors
            width = self.shape[1]
            update = b[start // width : -(-stop // width)] @ a
            out += update.ravel()[start % width :][: stop - start]

    def release(self, start: int, stop: int) -> None:
        """Give back the memory into which the system has read this range of a file."""
        if self.file is not None and hasattr(mmap, "MADV_DONTNEED"):
            first, last = (self.offset + place * self.flat.itemsize for place in (start, stop))
            page = first - first % mmap.PAGESIZE
            self.file.madvise(mmap.MADV_DONTNEED, page, last - page)


def open_pair(before: Checkpoint, after: Checkpoint) -> tuple[Mapping[str, Weight], Mapping[str, Weight]]:
    """The tensors of two checkpoints by name.

    Args:
        before: a folder, a ``.safetensors`` file, or a state dict (tensors that share memory count once).
        after: the same, or the folder of an adapter that was trained on ``before``. Weights that it leaves alone are
            the same objects in both.

    Raises:
        UserError: a checkpoint cannot be read, or an adapter cannot be merged with right numbers.
    """
    if isinstance(after, Mapping) or not (Path(after) / _CONFIG).is_file():
        return _open(before), _open(after)
    folder, settings = Path(after), _read_json(Path(after) / _CONFIG)
    start = settings.get("init_lora_weights")
    if settings.get("peft_type") == "LORA" and start not in (*_PLAIN_STARTS, *_REPEATED_STARTS):
        raise UserError(
            f"{folder} was initialised by {start}, which changes the base by what the adapter does not hold: "
            "merge it where it was trained, and give the merged checkpoint."
        )
    base, factors = _open(before), lora_factors(folder)
    if not factors or 2 * len(factors) < len(_adapter_weights(folder)) or not factors.keys() <= base.keys():
        return _merged_by_peft(before, folder)
    for name, (a, b) in factors.items():
        if base[name].shape != (len(b), a.shape[1]):
            raise UserError(f"The adapter {folder} does not fit {name} of the base: give the base it was trained on.")
    return base, base | {name: replace(base[name], factors=pair) for name, pair in factors.items()}


def lora_factors(folder: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """A [rank, in] and s B [out, rank], float32, of each weight that an adapter changes to W + s B A, by its name.

    Empty for an adapter that does anything else, such as DoRA or PiSSA.
    """
    settings = _read_json(folder / _CONFIG)
    more = [key for key, value in settings.items() if value and value != "none" and key not in _WITHOUT_EFFECT]
    if settings.get("peft_type") != "LORA" or settings.get("init_lora_weights") not in _PLAIN_STARTS or more:
        return {}
    weights = _adapter_weights(folder)
    matrices = {name: np.empty(weight.shape, dtype=np.float32) for name, weight in weights.items()}
    for name, matrix in matrices.items():
        weights[name].read(0, matrix.size, matrix.ravel())
    factors = {}
    for name, a in matrices.items():
        if name.endswith(".lora_A.weight"):
            scale = settings["lora_alpha"] / (math.sqrt(len(a)) if settings.get("use_rslora") else len(a))
            b = matrices[name.replace(".lora_A.", ".lora_B.")]
            factors[name.removeprefix("base_model.model.").replace(".lora_A.", ".")] = a, b * np.float32(scale)
    return factors


def _adapter_weights(folder: Path) -> dict[str, Weight]:
    return _open_files([folder / "adapter_model.safetensors"])


def _merged_by_peft(before: Checkpoint, folder: Path) -> tuple[Mapping[str, Weight], Mapping[str, Weight]]:
    """Both models as transformers opens them, in float32, the second with the adapter merged by PEFT."""
    if isinstance(before, Mapping) or not (Path(before) / "config.json").is_file():
        raise UserError(f"{folder} can be merged by PEFT alone: give its base as a folder with a config.json.")
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    try:
        base, model = (AutoModelForCausalLM.from_pretrained(before, dtype="float32") for _ in range(2))
        merged = PeftModel.from_pretrained(model, folder).merge_and_unload()
    except Exception as error:  # whatever PEFT's many methods raise, the answer to it is the same
        reason = str(error).split("\n")[0]
        raise UserError(f"PEFT cannot merge {folder} into {before} ({reason}): give a merged checkpoint.") from error
    return _of_tensors(base.state_dict()), _of_tensors(merged.state_dict())


def _open(source: Checkpoint) -> dict[str, Weight]:
    """The tensors of a full checkpoint."""
    if isinstance(source, Mapping):
        return _of_tensors(source)
    path = Path(source)
    if path.is_file():
        return _open_files([path])
    if not path.is_dir():
        raise UserError(f"{path} is neither a folder nor a file: give a checkpoint folder on this machine.")
    if (path / _CONFIG).is_file():
        raise UserError(f"{path} is an adapter: give it second, after the model that it was trained on.")
    config = _read_json(path / "config.json") if (path / "config.json").is_file() else {}
    names = [config.get("transformers_weights") or "model.safetensors", "model.safetensors.index.json"]
    found = next((path / name for name in names if (path / name).is_file()), None)
    if found is None:
        raise UserError(f"{path} holds no {names[0]} and no {names[1]}: save the model with save_pretrained first.")
    if found.suffix != ".json":
        return _open_files([found])
    places = _read_json(found).get("weight_map", {})
    weights = _open_files(path / name for name in sorted(set(places.values())))
    if not places or weights.keys() != places.keys():
        raise UserError(f"{found} does not name the tensors that its shards hold: download the checkpoint again.")
    return weights


def _of_tensors(tensors: Mapping[str, torch.Tensor]) -> dict[str, Weight]:
    """A state dict's tensors, without the second names of those that share memory (tied weights)."""
    import torch

    types = {torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}
    weights: dict[str, Weight] = {}
    seen = set()
    for name, tensor in tensors.items():
        place = (tensor.data_ptr(), tensor.shape, tensor.stride())
        if place not in seen or not tensor.data_ptr():
            seen.add(place)
            flat = tensor.detach().cpu().contiguous().flatten()
            flat = (flat.view(torch.uint16) if flat.dtype == torch.bfloat16 else flat).numpy()
            weights[name] = Weight(types.get(tensor.dtype, str(tensor.dtype)), tuple(tensor.shape), flat)
    return weights


def _open_files(paths: Iterable[Path]) -> dict[str, Weight]:
    weights: dict[str, Weight] = {}
    for path in paths:
        try:
            weights.update(_mapped(path))
        except (OSError, ValueError, KeyError) as error:
            raise UserError(f"{path} is no readable safetensors file: save or download it again.") from error
    return weights


def _mapped(path: Path) -> Iterator[tuple[str, Weight]]:
    """The tensors of one safetensors file: eight bytes of length, a JSON header, the elements."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(min(length, path.stat().st_size)))
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    header.pop("__metadata__", None)
    for name, entry in header.items():
        first, last = (8 + length + end for end in entry["data_offsets"])
        kind = FLOATING.get(entry["dtype"], np.dtype("u1"))
        flat = np.frombuffer(content, np.uint8)[first:last].view(kind)
        yield name, Weight(entry["dtype"], tuple(entry["shape"]), flat, content, first)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{path} is no readable JSON file: save or download it again.") from error
