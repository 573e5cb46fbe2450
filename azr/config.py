"""Profiles: everything that differs between a two-core laptop and eight GPUs, as frozen dataclasses read from YAML.

>>> load_profile("smoke").name
'smoke'
>>> override(load_profile("smoke"), {"train.steps": 3}).train.steps
3

A profile file holds the fields below by section; an absent section has its defaults, an unknown field is refused.
``checked`` is for a profile to which nothing more is done: it refuses values that no run or measurement can have.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
from dataclasses import dataclass, field
from typing import Any

import yaml

from azr.errors import UserError
from azr.paths import PROFILES, profile_names


@dataclass(frozen=True)
class ModelConfig:
    """Which model, and how it is trained."""

    name: str = "nano"
    """A built-in size (nano, micro), a local folder or a hub id."""
    prompt_style: str = "compact"
    """compact (built-in models) or paper."""
    dtype: str = "float32"
    """Arithmetic: float32 or bfloat16. Weights are held in it too, but for full training, whose small updates would be
    lost in bfloat16: they are held in float32 then."""
    four_bit: bool = False
    """Hold the base in 4 bits and train a LoRA adapter on it (QLoRA); needs bitsandbytes and a CUDA GPU."""
    full: bool = False
    """Train all weights instead of a LoRA adapter."""
    lora_rank: int = 16
    lora_alpha: int = 32

    @property
    def weights(self) -> str:
        """The type in which weights are held."""
        return "float32" if self.full else self.dtype


@dataclass(frozen=True)
class RolloutConfig:
    """One self-play step's sampling (AZR-Coder-3B's values in brackets)."""

    batch: int = 16
    """Proposals per task type and step [64]."""
    solves: int = 0
    """Problems solved per task type and step; 0 for as many as there are proposals [as many]."""
    references: int = 2
    """Earlier tasks shown to a proposer [6]."""
    references_from: str = "buffer"
    """Where references are drawn: the whole buffer [buffer], or only the tasks it was seeded with (seeds)."""
    rollouts: int = 8
    """Solver rollouts that estimate a proposal's solve rate [8]."""
    seed_factor: int = 4
    """Seeding stops at this many times ``batch`` tasks per type [4]."""
    temperature: float = 1.0
    max_new_tokens: int = 96
    """Longest response in tokens [8096]."""
    chunk: int = 128
    """Sequences generated side by side."""

    @property
    def solved(self) -> int:
        """Problems solved per task type and step."""
        return self.solves or self.batch

    @property
    def rows(self) -> int:
        """Responses trained on in one step, of whatever method: proposals and solves of three task types."""
        return 3 * (self.batch + self.solved)


@dataclass(frozen=True)
class TrainConfig:
    """Optimisation (AZR's values in brackets)."""

    steps: int = 60
    full_steps: int = 0
    """Steps where all weights are trained (RQ4); 0 for as many as where an adapter is."""
    learning_rate: float = 5e-4
    """Constant, of a LoRA adapter."""
    full_learning_rate: float = 1e-4
    """Constant, where all weights are trained [1e-6]."""
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    micro_batch: int = 16
    """Rows per forward pass; divides ``rollout.batch`` or is a multiple that divides the whole step."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: slower, and needed for long responses of large models."""
    advantage_by: str = "token"
    """Whiten over tokens [token] or over sequences."""
    loss_by: str = "token"
    """Within a group of task type and role the loss is a mean over tokens [token] or over responses (sequence)."""
    proposer_reward: str = "learnability"
    """A name in azr/rewards.py."""
    novelty_weight: float = 0.0
    """Added to a valid proposal's reward: this weight times its mean distance to the references it was shown [0]."""
    proposer: str = "trained"
    """trained; frozen: no gradient from its samples, while the weights it shares with the solver still move [AZR's
    train_propose off]; base: its samples come from the untrained model, with the adapter switched off."""
    problems: int = 512
    """RLVR and SFT: size of the fixed set of problems, per task type."""
    save_every: int = 10
    """Steps between checkpoints."""
    validate_every: int = 10
    """Steps between measurements on validation problems; 0 for none."""


@dataclass(frozen=True)
class EngineConfig:
    """What samples, and who is told: how fast a run goes, not what it computes. The names are TRL's."""

    name: str = "transformers"
    """transformers, vllm-colocate (vLLM beside training on each GPU) or vllm-server (`vllm serve` on other GPUs)."""
    vllm_gpu_memory_utilization: float = 0.3
    """Share of each GPU that colocated vLLM takes."""
    vllm_tensor_parallel_size: int = 1
    """GPUs over which colocated vLLM splits a model."""
    vllm_server_host: str = "0.0.0.0"
    vllm_server_port: int = 8000
    report_to: str = "none"
    """Where to send the log as well: none, trackio, tensorboard or wandb."""


@dataclass(frozen=True)
class EvaluationConfig:
    """Problems and samples of a measurement."""

    problems: int = 64
    """Problems per task type."""
    samples: int = 128
    """Samples per problem; pass@k is shown up to half of it."""
    validation_problems: int = 32
    """During training: validation problems per task type."""
    validation_samples: int = 4
    """During training: samples for each."""
    final_samples: int = 32
    """After training: samples for each of ``problems`` validation problems."""
    exact_problems: int = 0
    """Problems per task type whose probability of a right response is bounded by enumeration; 0 for none."""
    exact_expansions: int = 2000
    """Most prefixes of responses that are expanded for each of them."""
    exact_samples: int = 64
    """Responses drawn of each: right ones beyond the reach of enumeration count with their exact probability."""
    exact_bound: float = 1e-3
    """A problem is done when at most this much probability is unexplored."""
    curriculum_problems: int = 800
    """Most deduction proposals of a run, over all its steps, that the untrained model solves again [800]."""
    curriculum_samples: int = 8
    """Samples for each of them."""


@dataclass(frozen=True)
class Profile:
    """A named set of all of the above."""

    name: str
    seeds: int = 3
    """Training seeds of each arm."""
    larger: str = ""
    """A second, larger model on which the study is repeated, as the paper has 3B and 7B; empty for none."""
    larger_seeds: int = 1
    """Training seeds of each arm of it."""
    larger_skip: str = ""
    """Arms, with blanks between them, of which the notebooks leave the larger model out, for time."""
    threads: int = 1
    """CPU threads of one training or measuring process; repeating a result to the digit needs the same number."""
    model: ModelConfig = field(default_factory=ModelConfig)
    rollout: RolloutConfig = field(default_factory=RolloutConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    engine: EngineConfig = field(default_factory=EngineConfig)


LEAST = {
    "seeds": 1,
    "larger_seeds": 0,
    "threads": 1,
    "model.lora_rank": 1,
    "model.lora_alpha": 1,
    "rollout.batch": 1,
    "rollout.solves": 0,
    "rollout.references": 1,
    "rollout.rollouts": 1,
    "rollout.seed_factor": 1,
    "rollout.temperature": 0,
    "rollout.max_new_tokens": 1,
    "rollout.chunk": 1,
    "train.steps": 1,
    "train.full_steps": 0,
    "train.learning_rate": 0,
    "train.full_learning_rate": 0,
    "train.weight_decay": 0,
    "train.max_grad_norm": 0,
    "train.micro_batch": 1,
    "train.novelty_weight": 0,
    "train.problems": 1,
    "train.save_every": 1,
    "train.validate_every": 0,
    "evaluation.problems": 1,
    "evaluation.samples": 1,
    "evaluation.validation_problems": 1,
    "evaluation.validation_samples": 1,
    "evaluation.final_samples": 1,
    "evaluation.exact_problems": 0,
    "evaluation.exact_expansions": 0,
    "evaluation.exact_samples": 0,
    "evaluation.exact_bound": 0,
    "evaluation.curriculum_problems": 1,
    "evaluation.curriculum_samples": 1,
    "engine.vllm_gpu_memory_utilization": 0,
    "engine.vllm_tensor_parallel_size": 1,
    "engine.vllm_server_port": 1,
}
"""The least that each setting that is a number may be."""
NOT_ZERO = ("rollout.temperature", "engine.vllm_gpu_memory_utilization")
"""Those of them that must be more than that."""
CHOICES = {
    "model.prompt_style": ("compact", "paper"),
    "model.dtype": ("float32", "bfloat16"),
    "rollout.references_from": ("buffer", "seeds"),
    "train.advantage_by": ("token", "sequence"),
    "train.loss_by": ("token", "sequence"),
    "train.proposer": ("trained", "frozen", "base"),
}
"""Settings that are one of a few words (what samples and who is told: ``azr.training.engine``)."""


def load_profile(name: str) -> Profile:
    """Read ``profiles/<name>.yaml``; UserError for an unknown name, section or field, and for a file of another kind.

    What it holds is not ``checked`` yet: options may still change it.
    """
    return profile_from(name, profile_values(name))


def profile_values(name: str) -> dict[str, Any]:
    """What the file of a profile holds, as it stands there; its name is one of ``profile_names()``, never a path."""
    if name not in profile_names():
        raise UserError(f"There is no profile '{name}'; choose one of {', '.join(profile_names())}.")
    path = PROFILES / f"{name}.yaml"
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError) as error:
        problem = " ".join(str(error).split())
        raise UserError(f"The profile file {path} is not YAML; write it as smoke.yaml beside it: {problem}") from error
    if values is not None and not isinstance(values, dict):
        raise UserError(f"The profile file {path} holds no settings by name; write it as smoke.yaml beside it.")
    return values or {}


def profile_from(name: str, values: dict[str, Any]) -> Profile:
    """The profile that a mapping of sections describes."""
    profile = Profile(name)
    for name_of_section, value in values.items():
        key = str(name_of_section)  # YAML takes 1 or yes for something else
        if dataclasses.is_dataclass(getattr(profile, key, None)) and not isinstance(value, dict):
            raise UserError(f"Section '{key}' of profile '{name}' is {value!r}; give it settings, or leave it out.")
        flat = {f"{key}.{k}": v for k, v in value.items()} if isinstance(value, dict) else {key: value}
        profile = override(profile, flat)
    return profile


def override(profile: Profile, values: dict[str, Any]) -> Profile:
    """Replace fields given by dotted name, as in ``{"train.steps": 3}``; values are converted to the field's type."""
    for dotted, value in values.items():
        section, _, key = dotted.rpartition(".")
        target = getattr(profile, section, None) if section else profile
        fields = {f.name: f for f in dataclasses.fields(target)} if dataclasses.is_dataclass(target) else {}
        if key not in fields:
            raise UserError(
                f"Profile '{profile.name}' has no setting '{dotted}'; see azr/config.py for those there are."
            )
        current = getattr(target, key)
        if dataclasses.is_dataclass(current):
            raise UserError(f"'{dotted}' is a section; name one of its settings, as in train.steps.")
        if isinstance(current, int) and isinstance(value, float) and not value.is_integer():
            raise UserError(f"Setting '{dotted}' cannot be {value!r}; it is a whole number.")
        if isinstance(current, bool) != isinstance(value, bool):
            raise UserError(f"Setting '{dotted}' cannot be {value!r}; it is like {current!r}.")
        try:
            changed = dataclasses.replace(target, **{key: type(current)(value)})
        except (TypeError, ValueError):
            raise UserError(f"Setting '{dotted}' cannot be {value!r}; it is like {current!r}.") from None
        profile = dataclasses.replace(profile, **{section: changed}) if section else changed
    return profile


def checked(profile: Profile) -> Profile:
    """``profile`` itself, if a run and its measurements can have all of its settings; else UserError names the first
    that they cannot.
    """
    from azr.rewards import PROPOSER_REWARDS  # only here: it imports NumPy, and this module is wanted at once

    for name, least in LEAST.items():
        value, more = _setting(profile, name), name in NOT_ZERO
        if not math.isfinite(value) or value < least or (more and value == least):
            raise UserError(f"{name} is {value}; it must be {'more than' if more else 'at least'} {least}.")
    for name, choices in CHOICES.items():
        if _setting(profile, name) not in choices:
            raise UserError(f"{name} is '{_setting(profile, name)}'; choose {' or '.join(choices)}.")
    train, rollout = profile.train, profile.rollout
    if train.proposer_reward not in PROPOSER_REWARDS:
        names = ", ".join(PROPOSER_REWARDS)
        raise UserError(f"There is no proposer reward '{train.proposer_reward}'; choose one of {names}.")
    if profile.model.four_bit and profile.model.full:
        raise UserError("A base in 4 bits cannot be trained itself: leave --full out, or model.four_bit off.")
    if train.proposer == "base" and profile.model.full:
        raise UserError("The base proposes by switching the adapter off; full fine-tuning has none: use LoRA.")
    if train.proposer == "base" and profile.engine.name != "transformers":
        raise UserError("The base proposes by switching the adapter off, which vLLM cannot: engine.name=transformers.")
    if rollout.rows % 2:
        raise UserError(
            f"rollout.batch {rollout.batch} and rollout.solves {rollout.solves} must come to an even number together."
        )
    if rollout.rows % train.micro_batch:
        raise UserError(f"train.micro_batch {train.micro_batch} does not divide the {rollout.rows} rows of a step.")
    return profile


def _setting(profile: Profile, name: str) -> Any:
    """The value of a setting by its dotted name."""
    return functools.reduce(getattr, name.split("."), profile)


def config_hash(*parts: Any) -> str:
    """Twelve hex digits that name a configuration: of dataclasses and plain values."""
    plain = [dataclasses.asdict(p) if dataclasses.is_dataclass(p) else p for p in parts]
    return hashlib.sha256(json.dumps(plain, sort_keys=True, default=str).encode()).hexdigest()[:12]
