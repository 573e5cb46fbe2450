"""The tensors of two checkpoints, each read when it is asked for, whatever the model's size.

    before, after = open_pair("models/base", "runs/laptop/nano/rlvr-seed0/adapter")
    before["lm_head.weight"]()

A folder's ``model.safetensors`` is read, else the shards that its index names, and no other file. The adapter of a LoRA
that is W + s B A and nothing else is merged into its base tensor by tensor. Left out: adapters that do more (DoRA,
PiSSA, saved modules, ranks by pattern), which PEFT merges; pickled ``.bin`` files (opening one may run code), quantised
weights, hub names (download first).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from azr.errors import UserError

if TYPE_CHECKING:
    import torch
    from safetensors import safe_open

    Checkpoint = str | Path | Mapping[str, torch.Tensor]
    Readers = dict[str, Callable[[], torch.Tensor]]
    """By the name of a tensor, what reads it."""

CONFIG = "adapter_config.json"
_WITHOUT_EFFECT = {
    "auto_mapping", "base_model_name_or_path", "ensure_weight_tying", "eva_config", "exclude_modules", "inference_mode",
    "layers_pattern", "layers_to_transform", "lora_alpha", "lora_dropout", "megatron_core", "peft_type", "peft_version",
    "qalora_group_size", "r", "revision", "target_modules", "task_type", "use_rslora",
}  # fmt: skip
"""Settings of a LoRA adapter that leave a weight at W + s B A."""
_PLAIN = {"peft_type": ("LORA",), "init_lora_weights": (True, False, None, "gaussian", "orthogonal", "eva")}
"""Values that do, of two more; other starts change the base."""


def open_pair(before: Checkpoint, after: Checkpoint) -> tuple[Readers, Readers]:
    """Find the tensors of two checkpoints.

    Args:
        before: a folder, a ``.safetensors`` file, or a state dict (tensors that share memory count once).
        after: the same, or the folder of a LoRA adapter that was trained on ``before``: its tensors are float32.

    Raises:
        UserError: a checkpoint cannot be read, or an adapter does more than add s B A. That an adapter does not fit
            its base is said when the tensor is read.
    """
    base = _find(before)
    if not is_adapter(after):
        return base, _find(after)
    factors = _lora_factors(Path(after))
    if not factors.keys() <= base.keys():
        raise UserError(f"The adapter {after} has weights that its base lacks: give the base it was trained on.")
    return base, base | {name: partial(_merged, base[name], *factors[name], name) for name in factors}


def is_adapter(source: Checkpoint) -> bool:
    """Whether a checkpoint is the folder of an adapter."""
    return not isinstance(source, Mapping) and (Path(source) / CONFIG).is_file()


def _merged(base: Callable[[], torch.Tensor], a: torch.Tensor, b: torch.Tensor, name: str) -> torch.Tensor:
    """W + s B A in float32, of A [rank, in] and s B [out, rank]."""
    weight = base()
    if weight.shape != (len(b), a.shape[1]):
        raise UserError(f"The adapter does not fit {name} of its base: give the base it was trained on.")
    return (b @ a).add_(weight)


def _lora_factors(folder: Path) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """A [rank, in] and s B [out, rank], float32, of each weight that an adapter changes to W + s B A."""
    settings = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    readers = _of_file(folder / "adapter_model.safetensors")
    more = [name for name, plain in _PLAIN.items() if settings.get(name) not in plain]
    others = settings.keys() - _PLAIN.keys() - _WITHOUT_EFFECT
    more += [name for name in sorted(others) if settings[name] and settings[name] != "none"]
    more += [name for name in readers if ".lora_A.weight" not in name and ".lora_B.weight" not in name]
    if more:
        raise UserError(
            f"The adapter {folder} does more than add a product B A to weights ({more[0]}): "
            "merge it by PEFT's merge_and_unload, and give the merged checkpoint."
        )
    factors = {}
    for name in readers:
        if name.endswith(".lora_A.weight"):
            a, b = (readers[name.replace(".lora_A.", part)]().float() for part in (".lora_A.", ".lora_B."))
            scale = settings["lora_alpha"] / (math.sqrt(len(a)) if settings.get("use_rslora") else len(a))
            factors[name.removeprefix("base_model.model.").replace(".lora_A.", ".")] = a, b * scale
    return factors


def _find(source: Checkpoint) -> Readers:
    """The tensors of a full checkpoint."""
    if isinstance(source, Mapping):
        first: dict[object, str] = {}
        for name, tensor in source.items():
            first.setdefault((tensor.data_ptr() or name, tensor.shape, tensor.stride()), name)
        return {name: source[name].detach().cpu for name in first.values()}
    path = Path(source)
    whole, index = path / "model.safetensors", path / "model.safetensors.index.json"
    if is_adapter(path):
        raise UserError(f"{path} is an adapter: give it second, after the model that it was trained on.")
    if path.is_file() or whole.is_file():
        return _of_file(path if path.is_file() else whole)
    if not index.is_file():
        raise UserError(
            f"{path} has no model.safetensors, whole or in shards: save the model by save_pretrained first."
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
    from safetensors import SafetensorError, safe_open

    try:
        return safe_open(path, "pt")
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path} is no readable safetensors file: save or download it again.") from error
