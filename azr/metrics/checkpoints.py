"""The tensors of a checkpoint, each read when it is asked for, whatever the model's size.

    tensors = open_checkpoint("models/base")
    tensors["lm_head.weight"]()

A folder's ``model.safetensors`` is read, else the shards that its index names, and no other file. Left out: adapters,
which PEFT merges (``azr.models.loading.checkpoint``); pickled ``.bin`` files (opening one may run code), quantised
weights, hub names (download first).
"""

from __future__ import annotations

import json
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
    from safetensors import SafetensorError, safe_open

    try:
        return safe_open(path, "pt")
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path} is no readable safetensors file: save or download it again.") from error
