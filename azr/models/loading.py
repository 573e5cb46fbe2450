"""Load a model by name: a built-in size, a local folder or a hub id; always with a tokenizer that pads on the left.

>>> model, tokenizer = load_model("nano")
>>> model.dtype, tokenizer.padding_side
(torch.float32, 'left')

Left out: device maps; the trainer and ``accelerate`` place the model.
"""

from __future__ import annotations

import importlib.util
import warnings
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from huggingface_hub import get_hf_file_metadata, hf_hub_url, try_to_load_from_cache
from huggingface_hub.constants import CONFIG_NAME, HF_HUB_ETAG_TIMEOUT
from huggingface_hub.utils import logging as hub_logging
from peft import PeftModel
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    GenerationConfig,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils.logging import disable_progress_bar

from azr.errors import UserError
from azr.prompts.base import PromptStyle
from azr.prompts.compact import CompactStyle
from azr.world.base import CHECKPOINTS

BUILT_IN = ("nano", "micro")
UNOPENED = (OSError, ValueError, KeyError, ImportError, SafetensorError)
"""What transformers and its libraries raise for a model that they cannot open."""
UNREACHABLE = "The model '{name}' is not here and the hub cannot be reached: give a local folder, or connect."


def resolve(name: str) -> str:
    """The folder of a built-in size, else the name itself (a folder or a hub id)."""
    return str(CHECKPOINTS / name) if name in BUILT_IN else name


def load_config(name: str) -> PretrainedConfig:
    """The configuration alone, of a model of which nothing else is loaded. Raises UserError as ``load_model`` does."""
    _demand_there(name)
    try:
        return AutoConfig.from_pretrained(resolve(name))
    except UNOPENED as error:
        raise UserError(_why_not(name, error)) from error


def four_bit_settings(dtype: str) -> dict[str, Any]:
    """What ``from_pretrained`` is told for a base quantised to 4 bits (QLoRA), on this process's GPU."""
    if importlib.util.find_spec("bitsandbytes") is None:
        raise UserError("A base in 4 bits needs bitsandbytes: pip install bitsandbytes, or leave model.four_bit off.")
    if not torch.cuda.is_available():
        raise UserError("A base in 4 bits needs a CUDA GPU, and there is none here: leave model.four_bit off.")
    quantisation = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=getattr(torch, dtype),
    )
    return {"quantization_config": quantisation, "device_map": {"": PartialState().local_process_index}}


def load_model(
    name: str, dtype: str = "float32", adapter: str | Path | None = None, four_bit: bool = False
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Model in evaluation mode and tokenizer; ``adapter`` is a PEFT folder that is merged into the weights.

    ``four_bit`` quantises the weights while they are loaded. Raises UserError where there is no such model, it is
    gated, or the hub cannot be reached.
    """
    path = resolve(name)
    disable_progress_bar()
    _demand_there(name)
    quantised = four_bit_settings(dtype) if four_bit else {}
    try:
        tokenizer = AutoTokenizer.from_pretrained(path, padding_side="left")
        model = AutoModelForCausalLM.from_pretrained(path, dtype=getattr(torch, dtype), **quantised)
    except UNOPENED as error:
        raise UserError(_why_not(name, error)) from error
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    own = model.generation_config  # keep its tokens; its sampling defaults would change what we say we sample
    model.generation_config = GenerationConfig(
        bos_token_id=own.bos_token_id, eos_token_id=own.eos_token_id, pad_token_id=tokenizer.pad_token_id
    )
    if adapter is not None:
        model = _adapted(model, adapter)
    return model.eval(), tokenizer


def _adapted(model: PreTrainedModel, adapter: str | Path) -> PreTrainedModel:
    """The model with a run's adapter merged into it."""
    try:
        if not all((Path(adapter) / name).exists() for name in ("adapter_config.json", "adapter_model.safetensors")):
            raise FileNotFoundError("PEFT would look for it on the hub")
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)  # PEFT asks
            return PeftModel.from_pretrained(model, str(adapter)).merge_and_unload()
    except (OSError, ValueError, LookupError, TypeError, SafetensorError) as error:
        raise UserError(
            f"The adapter {adapter} is not whole: restore it, or remove done.json beside it and run the same azr train "
            "command, which writes it anew from the last checkpoint."
        ) from error


def load_style(name: str, tokenizer: PreTrainedTokenizerBase) -> PromptStyle:
    """The prompt style of a profile; the paper's style uses the tokenizer's chat template where it has one."""
    if name == "compact":
        return CompactStyle()
    if name == "paper":
        from azr.prompts.paper import PaperStyle  # compact runs never need it

        return PaperStyle(tokenizer if tokenizer.chat_template else None)
    raise UserError(f"There is no prompt style '{name}'; choose compact or paper.")


def _demand_there(name: str) -> None:
    """Raise UserError for a path that is no folder, and where a model would come from a hub that cannot be reached.

    One try tells the latter; transformers makes many, each with its own warning, for a minute.
    """
    hub_logging.set_verbosity_error()
    path = Path(resolve(name))
    if path.is_dir():
        return
    if name.startswith(("runs/", ".")) or path.is_absolute():
        raise UserError(f"There is no folder '{name}': give that of a run or a model, nano, micro, or a hub id.")
    try:
        if not isinstance(try_to_load_from_cache(name, CONFIG_NAME), str):
            get_hf_file_metadata(hf_hub_url(name, CONFIG_NAME), timeout=HF_HUB_ETAG_TIMEOUT)
    except (OSError, ValueError):
        return  # an answer, or no name of the hub: transformers says more
    except Exception as error:  # of the HTTP client: no connection, or no answer in time
        raise UserError(UNREACHABLE.format(name=name)) from error


def _why_not(name: str, error: BaseException) -> str:
    kinds, texts = set(), []
    link: BaseException | None = error
    while link is not None:
        kinds.add(type(link).__name__)
        texts.append(str(link).lower())
        link = link.__cause__ or link.__context__
    text = " ".join(texts)
    if isinstance(error, ImportError):
        return f"The model '{name}' needs a package that is not installed: {str(error).strip().splitlines()[0]}"
    if Path(name).is_dir() or name in BUILT_IN:
        return f"The folder '{name}' holds no causal language model with its tokenizer that transformers can open."
    if "GatedRepoError" in kinds or "gated" in text:
        return f"The model '{name}' is gated: accept its licence on the hub and log in with `hf auth login`."
    if any(word in text for word in ("connect", "offline", "couldn't", "resolve host", "proxy", "outgoing traffic")):
        return UNREACHABLE.format(name=name)
    if not isinstance(error, OSError) and "HFValidationError" not in kinds:
        return f"The model '{name}' is no causal language model that transformers can open: take another."
    return f"There is no model '{name}': give nano, micro, a local folder or a hub id."
