"""The tensors of two checkpoints, each opened when it is asked for, whatever the model's size.

    before, after, factors = open_pair("models/base", "runs/laptop/nano/rlvr-seed0/adapter")
    load(before, "lm_head.weight")

Finds what transformers opens: a folder's ``model.safetensors``, else the shards that its index names, and no other
file. A LoRA adapter that is W + s B A and nothing else stays factors; what may be more (DoRA, PiSSA, saved modules,
ranks by pattern, other methods) is merged by PEFT, with both models in memory; what began by a change of the base that
is not in its folder is refused. Left out: pickled ``.bin`` files (opening one may run code), quantised weights, hub
names (download first).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from azr.errors import UserError

if TYPE_CHECKING:
    import torch
    from safetensors import safe_open

    Checkpoint = str | Path | Mapping[str, torch.Tensor]
    Places = Mapping[str, Path | torch.Tensor]
    """By the name of a tensor, the file that holds it, or the tensor itself."""
    Factors = dict[str, tuple[torch.Tensor, torch.Tensor]]
    """A [rank, in] and s B [out, rank], float32, of each weight that an adapter changes to W + s B A."""

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


def open_pair(before: Checkpoint, after: Checkpoint) -> tuple[Places, Places, Factors]:
    """Find the tensors of two checkpoints, and what an adapter adds to those of the second.

    Args:
        before: a folder, a ``.safetensors`` file, or a state dict (tensors that share memory count once).
        after: the same, or the folder of an adapter that was trained on ``before``.

    Raises:
        UserError: a checkpoint cannot be read, or an adapter cannot be merged with right numbers.
    """
    if isinstance(after, Mapping) or not (Path(after) / _CONFIG).is_file():
        return _find(before), _find(after), {}
    folder, settings = Path(after), _read_json(Path(after) / _CONFIG)
    start = settings.get("init_lora_weights")
    if settings.get("peft_type") == "LORA" and start not in (*_PLAIN_STARTS, *_REPEATED_STARTS):
        raise UserError(
            f"{folder} was initialised by {start}, which changes the base by what the adapter does not hold: "
            "merge it where it was trained, and give the merged checkpoint."
        )
    base, factors = _find(before), lora_factors(folder)
    if not factors or not factors.keys() <= base.keys():
        return *_merged_by_peft(before, folder), {}
    for name, (a, b) in factors.items():
        if load(base, name).shape != (len(b), a.shape[1]):
            raise UserError(f"The adapter {folder} does not fit {name} of the base: give the base it was trained on.")
    return base, base, factors


def load(places: Places, name: str) -> torch.Tensor:
    """A tensor as it is stored; of a file, its pages come into memory as they are read, and leave it with it."""
    place = places[name]
    if not isinstance(place, Path):
        return place.detach().cpu()
    with _open_file(place) as file:
        return file.get_tensor(name)


def lora_factors(folder: Path) -> Factors:
    """The factors of an adapter; empty for one that does more than add s B A, such as DoRA or PiSSA."""
    settings = _read_json(folder / _CONFIG)
    more = [key for key, value in settings.items() if value and value != "none" and key not in _WITHOUT_EFFECT]
    if settings.get("peft_type") != "LORA" or settings.get("init_lora_weights") not in _PLAIN_STARTS or more:
        return {}
    places, factors = _of_files([folder / "adapter_model.safetensors"]), {}
    for name in places:
        if ".lora_A.weight" not in name and ".lora_B.weight" not in name:
            return {}
        if name.endswith(".lora_A.weight"):
            a, b = (load(places, name.replace(".lora_A.", part)).float() for part in (".lora_A.", ".lora_B."))
            scale = settings["lora_alpha"] / (math.sqrt(len(a)) if settings.get("use_rslora") else len(a))
            factors[name.removeprefix("base_model.model.").replace(".lora_A.", ".")] = a, b * scale
    return factors


def _merged_by_peft(before: Checkpoint, folder: Path) -> tuple[Places, Places]:
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


def _find(source: Checkpoint) -> Places:
    """The tensors of a full checkpoint."""
    if isinstance(source, Mapping):
        return _of_tensors(source)
    path = Path(source)
    if path.is_file():
        return _of_files([path])
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
        return _of_files([found])
    shards = sorted(set(_read_json(found).get("weight_map", {}).values()))
    return _of_files(path / name for name in shards)


def _of_tensors(tensors: Mapping[str, torch.Tensor]) -> Places:
    """A state dict's tensors, without the second names of those that share memory (tied weights)."""
    first: dict[object, str] = {}
    for name, tensor in tensors.items():
        first.setdefault((tensor.data_ptr() or name, tensor.shape, tensor.stride()), name)
    return {name: tensors[name] for name in first.values()}


def _of_files(paths: Iterable[Path]) -> Places:
    places: dict[str, Path] = {}
    for path in paths:
        with _open_file(path) as file:
            places |= dict.fromkeys(file.keys(), path)
    return places


def _open_file(path: Path) -> safe_open:
    from safetensors import SafetensorError, safe_open

    try:
        return safe_open(path, "pt")
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path} is no readable safetensors file: save or download it again.") from error


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{path} is no readable JSON file: save or download it again.") from error
