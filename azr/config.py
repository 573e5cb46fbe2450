"""Profiles: everything that differs between a two-core laptop and eight GPUs, read from YAML into frozen models.

>>> load_profile("smoke").name
'smoke'
>>> override(load_profile("smoke"), {"train.steps": 3}).train.steps
3

A profile file holds the fields below by section; an absent section has its defaults. Pydantic refuses unknown fields
and values outside the bounds that stand beside each field; here that becomes one sentence. AZR-Coder-3B's values stand
in brackets. Left out: what the arms change of a profile (``azr.arms``).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from azr.errors import UserError
from azr.runs import BUILT_IN, DEFAULT_PROFILE, PACKAGE, PROFILES, REAL, profile_names

Names = Annotated[tuple[str, ...], BeforeValidator(lambda given: (given,) if isinstance(given, str) else given)]
"""A single name is a list of one."""


class Section(BaseModel):
    """A group of settings: frozen, and without room for a misspelt one."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ModelConfig(Section):
    """The model of a run, and what of it is trained."""

    name: str = Field("nano", min_length=1)
    """A built-in size (nano, micro), smollm2 (a package's), a local folder or GGUF file, or a hub id."""
    prompt_style: Literal["compact", "paper", "paper-chat", "plain"] = "compact"
    """compact (built-in models), paper (AZR's plain text, for base models), paper-chat (the same through a chat
    template) or plain (the bare answer, through a chat template: for small chat models)."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Arithmetic. Weights are held in it too, but for full training, whose small updates would be lost in bfloat16:
    they are held in float32 then."""
    full: bool = False
    """Train all weights instead of a LoRA adapter."""
    lora_rank: int = Field(16, ge=1)
    lora_alpha: int = Field(32, ge=1)

    @property
    def weights(self) -> str:
        """The type in which weights are held."""
        return "float32" if self.full else self.dtype


class RolloutConfig(Section):
    """One self-play step's sampling."""

    batch: int = Field(16, ge=1)
    """Proposals per task type and step [64]."""
    solves: int = Field(0, ge=0)
    """Problems solved per task type and step; 0 for as many as there are proposals [as many]."""
    references: int = Field(2, ge=1)
    """Earlier tasks shown to a proposer [6]."""
    references_from: Literal["buffer", "seeds"] = "buffer"
    """Where references are drawn: the whole buffer [buffer], or only the tasks it was seeded with (seeds)."""
    rollouts: int = Field(8, ge=1)
    """Solver rollouts that estimate a proposal's solve rate [8]."""
    seed_factor: int = Field(4, ge=1)
    """Seeding stops at this many times ``batch`` tasks per type [4]."""
    temperature: float = Field(1.0, gt=0)
    max_new_tokens: int = Field(96, ge=1)
    """Longest response in tokens [8096]."""
    chunk: int = Field(256, ge=1)
    """Responses sampled side by side."""

    @property
    def solved(self) -> int:
        """Problems solved per task type and step."""
        return self.solves or self.batch

    @property
    def rows(self) -> int:
        """Responses trained on in one step, of whatever method: proposals and solves of three task types."""
        return 3 * (self.batch + self.solved)


class TrainConfig(Section):
    steps: int = Field(60, ge=1)
    full_steps: int = Field(0, ge=0)
    """Steps where all weights are trained (RQ4); 0 for as many as where an adapter is."""
    learning_rate: float = Field(1e-3, ge=0)
    """Highest, of a LoRA adapter."""
    full_learning_rate: float = Field(3e-5, ge=0)
    """Highest, where all weights are trained [1e-6]."""
    schedule: Literal["constant", "linear"] = "constant"
    """constant [constant], or a linear fall to 0 at the last step."""
    warmup: float = Field(0.0, ge=0, le=1)
    """Share of the steps in which the rate rises to its highest [0]."""
    weight_decay: float = Field(0.0, ge=0)
    """[0.01]"""
    max_grad_norm: float = Field(1.0, gt=0)
    micro_batch: int = Field(32, ge=1)
    """Rows per forward pass; divides the rows of a step."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: slower, and needed for long responses of large models."""
    group: int = Field(8, ge=2)
    """GRPO: responses to each problem, whose rewards are compared with each other."""
    advantage_by: Literal["token", "sequence"] = "token"
    """TRR++: whiten over tokens [token] or over responses."""
    proposer_reward: str = "learnability"
    """A name in ``azr.rewards.PROPOSER_REWARDS``."""
    proposer: Literal["trained", "frozen", "base"] = "trained"
    """trained; frozen: no gradient from its samples, while the weights it shares with the solver still move [AZR's
    train_propose off]; base: its samples come from the untrained model, with the adapter switched off."""
    save_every: int = Field(10, ge=1)
    """Steps between checkpoints, from which a killed run continues."""


class ProblemsConfig(Section):
    """Problem sets, by name or as a JSONL file: see ``azr.problems.load_problems``."""

    train: str = "world/train"
    """What RLVR and SFT train on."""
    train_size: int = Field(512, ge=1)
    """Problems of it, per group (the world has a group a task type, a benchmark one)."""
    validation: str = "world/validation"
    """What arms are compared on."""
    test: Names = ("world/test", "world/arithmetic")
    """What pass@k is drawn of."""


class EvaluationConfig(Section):
    """Problems and samples of the measurements."""

    every: int = Field(30, ge=1)
    """Steps between the adapters that are kept and measured; step 0 and the last are measured in any case."""
    problems: int = Field(64, ge=1)
    """Test problems per group."""
    samples: int = Field(64, ge=1)
    """Samples per test problem; pass@k is shown up to half of it."""
    final_samples: int = Field(64, ge=1)
    """The same of the base and of the arms whose pass@k is drawn, at the end of training."""
    validation_problems: int = Field(64, ge=1)
    validation_samples: int = Field(32, ge=1)
    temperature: float = Field(1.0, ge=0)
    top_p: float = Field(1.0, gt=0, le=1)
    max_new_tokens: int = Field(0, ge=0)
    """Longest response to a problem; 0 for that of training."""
    entropy_prompts: int = Field(32, ge=0)
    """Fixed prompts of each role and task type on which entropy is measured."""
    curriculum_problems: int = Field(800, ge=1)
    """Most deduction proposals of a run, over all its steps, that the untrained model solves again [800]."""
    curriculum_samples: int = Field(8, ge=1)


class EngineConfig(Section):
    """What samples in training, and who is told: how fast a run goes, not what it computes."""

    name: Literal["transformers", "vllm"] = "transformers"
    """transformers, or vllm: vLLM beside training on each GPU."""
    vllm_gpu_memory_utilization: float = Field(0.3, gt=0, le=1)
    """Share of each GPU that vLLM takes."""
    vllm_tensor_parallel_size: int = Field(1, ge=1)
    """GPUs over which vLLM splits a model."""
    report_to: Literal["none", "trackio", "tensorboard", "wandb"] = "none"
    """Where to send the log as well."""


class StudyModel(Section):
    """A model on which a study is made."""

    name: str
    seeds: int = Field(1, ge=1)
    """Training seeds of each arm."""
    arms: Names | None = None
    """The arms trained with it; those of the profile where it names none."""


class Profile(Section):
    """A named set of all of the above."""

    name: str
    models: tuple[StudyModel, ...] = Field((StudyModel(name="nano"),), min_length=1)
    arms: Names = ("sft", "rlvr", "selfplay")
    seed_files: Names = ()
    """Files in AZR's format from which self-play starts, by their place in the package; none for the model's own."""
    threads: int = Field(1, ge=1)
    """CPU threads of one training or measuring process; repeating a result to the digit needs the same number."""
    model: ModelConfig = ModelConfig()
    rollout: RolloutConfig = RolloutConfig()
    train: TrainConfig = TrainConfig()
    problems: ProblemsConfig = ProblemsConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    engine: EngineConfig = EngineConfig()

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        from azr.rewards import PROPOSER_REWARDS  # only here: it imports NumPy, and this module is wanted at once

        train, rows = self.train, self.rollout.rows
        if train.proposer_reward not in PROPOSER_REWARDS:
            names = ", ".join(PROPOSER_REWARDS)
            raise ValueError(f"There is no proposer reward '{train.proposer_reward}'; choose one of {names}.")
        if train.proposer == "base" and (self.model.full or self.engine.name != "transformers"):
            raise ValueError("The base proposes by switching the adapter off: use LoRA and engine.name=transformers.")
        if rows % train.micro_batch:
            raise ValueError(f"train.micro_batch {train.micro_batch} does not divide the {rows} rows of a step.")
        if rows % train.group:
            raise ValueError(f"train.group {train.group} does not divide the {rows} rows of a step.")
        return self

    @property
    def seeds(self) -> list[Path]:
        """The paths of ``seed_files``. Raises UserError where one is no file."""
        paths = [PACKAGE / name for name in self.seed_files]
        for path in paths:
            if not path.is_file():
                raise UserError(f"seed_files has {path}, which is no file: give its whole path, or take it out.")
        return paths

    @property
    def steps(self) -> int:
        """Optimizer steps of a run of this profile."""
        return (self.model.full and self.train.full_steps) or self.train.steps

    @property
    def learning_rate(self) -> float:
        """The highest learning rate of a run of this profile."""
        return self.train.full_learning_rate if self.model.full else self.train.learning_rate

    @property
    def kept_steps(self) -> tuple[int, ...]:
        """Steps after which the weights are kept and measured; 0 is the base."""
        return (*range(0, self.steps, self.evaluation.every), self.steps)


def load_profile(name: str) -> Profile:
    """Read ``profiles/<name>.yaml``; ``model.name`` is the first of its ``models`` unless it gives one.

    Raises UserError for an unknown name, field or value; a name is never a path.
    """
    if name not in profile_names():
        raise UserError(f"There is no profile '{name}'; choose one of {', '.join(profile_names())}.")
    values = yaml.safe_load((PROFILES / f"{name}.yaml").read_text(encoding="utf-8"))
    model = {"name": values["models"][0]["name"]} | values.get("model", {})
    return profile_of(values | {"name": name, "model": model})


def choose_profile(name: str | None, model: str | None, changes: Mapping[str, Any]) -> Profile:
    """A profile with a model and settings of one's own; by default laptop for the built-in ones, real or gpu.

    Raises UserError as ``override`` does, and for settings that belong to the study and not to a run.
    """
    for study in {"name", "models"} & set(changes):
        raise UserError(f"'{study}' is the profile's own: it cannot be set for a run.")
    changes = {**changes} | ({} if model is None else {"model.name": model})
    model = changes.get("model.name")
    name = name or ("real" if model == REAL else DEFAULT_PROFILE if model in (None, *BUILT_IN) else "gpu")
    return override(load_profile(name), changes)


def profile_of(values: Mapping[str, Any]) -> Profile:
    """The profile that a mapping of sections describes. Raises UserError, one sentence about the first mistake."""
    try:
        return Profile.model_validate(values)
    except ValidationError as error:
        raise UserError(_first_mistake(error)) from None


def override(profile: Profile, changes: Mapping[str, Any]) -> Profile:
    """The profile with fields replaced by dotted name, as in ``{"train.steps": 3}``. Raises UserError."""
    values = profile.model_dump()
    for dotted, value in changes.items():
        *sections, key = dotted.split(".")
        place = values
        for section in sections:
            place = place.get(section)
            if not isinstance(place, dict):
                raise UserError(f"There is no setting '{dotted}'; see azr/config.py for those there are.")
        place[key] = value
    return profile_of(values)


def _first_mistake(error: ValidationError) -> str:
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"There is no setting '{name}'; see azr/config.py for those there are."
    if first["type"] == "value_error":
        return str(first["ctx"]["error"])
    return f"{name} is {first['input']!r}: {first['msg'].replace('Input', 'it')}."
