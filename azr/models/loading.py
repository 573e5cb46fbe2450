"""Load a model by name: a built-in size, a local folder or a hub id; always with a tokenizer that pads on the left.

>>> model, tokenizer = load_model("nano")
>>> model.dtype, tokenizer.padding_side
(torch.float32, 'left')
>>> weights_folder("nano").name
'nano'

A GGUF file, or a folder that holds one and no configuration, is unpacked once into a folder of transformers' form
beside the hub's cache, and that is opened from then on; ``smollm2`` is the file that a package brings. Left out: device
maps (the trainer and ``accelerate`` place the model), and quantised weights.
"""

import inspect
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch
from huggingface_hub import constants, errors, snapshot_download
from huggingface_hub.utils import logging as hub_logging
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    DynamicCache,
    DynamicLayer,
    GenerationConfig,
    GgufConfig,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.cache_utils import DynamicSlidingWindowLayer
from transformers.utils.logging import disable_progress_bar

from azr.errors import UserError
from azr.models.sampling import end_tokens
from azr.runs import Run, file_digest, resolve

ADAPTER = "adapter_config.json"
UNOPENED = (OSError, ValueError, KeyError, SafetensorError)
"""What transformers and its libraries raise for a model that they cannot open."""


def load_config(name: str) -> PretrainedConfig:
    """The configuration alone, of a model of which nothing else is loaded. Raises UserError as ``load_model`` does."""
    path = _found(name)
    with _opening(name):
        return AutoConfig.from_pretrained(path)


def load_model(
    name: str, dtype: str = "float32", adapter: Path | None = None
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Model in evaluation mode and tokenizer.

    Args:
        name: a built-in size, ``smollm2``, a folder, a GGUF file, or a model of the hub, which is downloaded unless it
            was before.
        dtype: of the weights, by torch's name.
        adapter: a PEFT folder. It is merged into float32 weights; beside others, which would keep only part of it, it
            stays apart.

    Raises:
        UserError: there is no such model, it is gated, the hub cannot be reached, or it keeps a state (Mamba, RWKV and
            hybrids of them), with which it cannot be sampled here.
    """
    disable_progress_bar()
    path = _found(name)
    with _opening(name):
        tokenizer = AutoTokenizer.from_pretrained(path, padding_side="left")
        model = AutoModelForCausalLM.from_pretrained(path, dtype=getattr(torch, dtype))
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    _check_state(model, name)
    own, ends = model.generation_config, sorted(end_tokens(model, tokenizer))
    model.generation_config = GenerationConfig(  # without its sampling defaults, which would change what we sample
        bos_token_id=own.bos_token_id,
        eos_token_id=ends if len(ends) > 1 else own.eos_token_id,  # TRL's trainers end a response at these
        pad_token_id=tokenizer.pad_token_id,
    )
    return (model if adapter is None else _adapted(model, adapter)).eval(), tokenizer


def weights_folder(name: str) -> Path:
    """The folder that holds the weights of ``name``; of a run folder its ``model/`` or ``adapter/``.

    Raises:
        UserError: there is nothing of that name on this machine (a model of the hub must be in its cache), or the run
            is not finished.
    """
    path = Path(resolve(name))
    if (path / "run.json").exists():
        return Run(path).weights
    if path.exists():
        return path if path.suffix == ".safetensors" else Path(_found(name))
    try:
        return Path(snapshot_download(name, local_files_only=True))
    except (errors.HFValidationError, errors.LocalEntryNotFoundError):
        raise UserError(
            f"There are no weights '{name}' here: give nano, micro, a run, a folder, or a model downloaded before."
        ) from None


def checkpoint(name: str, base: str) -> Path | dict[str, torch.Tensor]:
    """What ``update_sparsity`` reads of ``name``: its folder; of an adapter, ``base`` with it merged, in float32."""
    folder = weights_folder(name)
    return load_model(base, adapter=folder)[0].state_dict() if (folder / ADAPTER).exists() else folder


def _found(name: str) -> str:
    """Where transformers opens the model.

    The hub is asked for the configuration first: it says by its errors what is wrong, where transformers wraps them.
    """
    path = Path(resolve(name))
    packed = [path] if path.suffix == ".gguf" and path.is_file() else sorted(path.glob("*.gguf"))
    if packed and not (path / "config.json").exists():
        return str(_unpacked(packed[0]))
    if path.is_dir():
        return str(path)
    if name.startswith(("runs/", ".")) or path.is_absolute():
        raise UserError(f"There is no folder '{name}': give that of a run or a model, nano, micro, or a hub id.")
    hub_logging.set_verbosity_error()
    try:
        snapshot_download(name, allow_patterns="config.json")
    except (errors.RepositoryNotFoundError, errors.HFValidationError) as error:
        raise UserError(
            f"There is no model '{name}' that you may open: give nano, micro, a local folder or a hub id (a gated one "
            "once its licence is accepted, after `hf auth login`)."
        ) from error
    except (OSError, errors.HTTPError) as error:
        raise UserError(
            f"The model '{name}' is not here and the hub cannot be reached: give a local folder, or connect."
        ) from error
    return name


def _unpacked(file: Path) -> Path:
    """The folder of a GGUF file's model, written if it is not there: weights in bfloat16, none of them quantised."""
    folder = Path(constants.HF_HOME) / "azr" / f"{file.stem}-{file_digest(file)[:12]}"
    if folder.exists():
        return folder
    print(f"Unpacking {file.name} into {folder} ...", flush=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    packed = {"pretrained_model_name_or_path": file.parent, "gguf_file": file.name}
    with tempfile.TemporaryDirectory(dir=folder.parent) as new, _opening(str(file)):
        tokenizer = AutoTokenizer.from_pretrained(**packed)
        plain = GgufConfig(dequantize=True)
        model = AutoModelForCausalLM.from_pretrained(**packed, quantization_config=plain, dtype=torch.bfloat16)
        model.save_pretrained(new)
        tokenizer.save_pretrained(new)
        with suppress(OSError):  # another process was quicker
            Path(new).rename(folder)
    return folder


@contextmanager
def _opening(name: str) -> Iterator[None]:
    try:
        yield
    except UNOPENED as error:
        raise UserError(
            f"'{name}' is no causal language model with its tokenizer that transformers can open: take another."
        ) from error


def _check_state(model: PreTrainedModel, name: str) -> None:
    """Refuse a model that remembers what it has read by anything but the keys and values of attention."""
    takes_cache = "past_key_values" in inspect.signature(model.forward).parameters
    kinds = {type(layer) for layer in DynamicCache(config=model.config).layers}
    if not takes_cache or not kinds <= {DynamicLayer, DynamicSlidingWindowLayer}:
        raise UserError(
            f"'{name}' has layers with a state of their own ({model.config.model_type}), which azr cannot sample: take "
            "a model of attention alone, as Qwen2.5, Llama or Gemma."
        )


def _adapted(model: PreTrainedModel, adapter: Path) -> PreTrainedModel:
    """The model with an adapter merged into it, or beside its weights where these would round most of it away."""
    if not (adapter / ADAPTER).exists():  # PEFT would look for it on the hub
        raise UserError(f"There is no adapter {adapter}: run the azr train command of its run again.")
    try:
        from peft import PeftModel  # which takes a second to import, and most models are loaded without an adapter

        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)  # PEFT asks
            adapted = PeftModel.from_pretrained(model, str(adapter))
            return adapted.merge_and_unload() if model.dtype == torch.float32 else adapted.get_base_model()
    except (*UNOPENED, RuntimeError) as error:
        raise UserError(f"The adapter {adapter} is not whole, or of another model: train it again.") from error
