"""TRL's GRPOTrainer, given self-play's rollouts and TRR++ advantages.

``rollout_func`` hands generation over to a source of rows (``azr.selfplay.SelfPlay``, ``azr.rlvr.FixedProblems``),
which calls the trainer back to sample, so transformers and vLLM both work. Two things differ from GRPO: advantages
are whitened within task type x role instead of per prompt, and each of the six groups weighs the same in the loss
(both by replacing ``advantages`` in what TRL prepares). Loss, clipping, optimizer, LoRA, checkpoints and trackers are
TRL's.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import transformers
from accelerate.utils import DistributedType
from datasets import Dataset
from peft import LoraConfig, PeftModel
from peft.tuners.lora import LoraLayer
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer, TrainerCallback
from trl import GRPOConfig, GRPOTrainer

from azr.advantages import group_balance, task_relative_advantages
from azr.config import ModelConfig, Profile
from azr.errors import UserError
from azr.sampling import Completion, encode_prompt, respond
from azr.selfplay import GROUPS, Generate, StepResult
from azr.tasks import Role
from azr.training.engine import engine_settings, tracker_settings
from azr.training.oom import lower_in_sampling, memory_named
from azr.training.ranks import SEED_STRIDE, dealt, on_cpu, processes, sampled_together, summed


class Source(Protocol):
    """Where a step's rows come from."""

    @property
    def rows_per_step(self) -> int:
        """Rows that every step returns."""
        ...

    def step(self, step: int, generate: Generate, generate_from_base: Generate) -> StepResult:
        """Rows of a step, from 1, sampled with ``generate``, or from the untrained model with the other one."""
        ...

    def state(self) -> list[dict[str, Any]]:
        """What a checkpoint must keep of it, as JSON rows."""
        ...


def lora_config(model: ModelConfig) -> LoraConfig | None:
    """PEFT's configuration of the adapter; None for full fine-tuning."""
    if model.full:
        return None
    return LoraConfig(
        r=model.lora_rank, lora_alpha=model.lora_alpha, target_modules="all-linear", task_type="CAUSAL_LM"
    )


def rollout_reward(completions: list[Any], reward: list[float], **_: Any) -> list[float]:
    """TRL's reward function: the rewards were settled during the rollout."""
    return reward


def flat(record: dict[str, Any], above: str = "") -> dict[str, float]:
    """The numbers of a step's record under names with slashes, as trackers want them.

    >>> flat({"step": 1, "tasks": {"deduction": {"valid": 0.5, "rejected": {}}}})
    {'step': 1, 'tasks/deduction/valid': 0.5}
    """
    numbers: dict[str, float] = {}
    for key, value in record.items():
        if isinstance(value, dict):
            numbers |= flat(value, f"{above}{key}/")
        elif isinstance(value, int | float):
            numbers[f"{above}{key}"] = value
    return numbers


def group_name(group: int) -> str:
    """``deduction/solver`` and so on."""
    task_type, role = GROUPS[group]
    return f"{task_type}/{role}"


@contextmanager
def merged_adapter(model: nn.Module) -> Iterator[None]:
    """Generate with the LoRA adapter merged into the weights, which is two to three times as fast on a small model.

    Afterwards the weights are exactly what they were: subtracting the adapter again would leave rounding errors, and a
    resumed run would differ. Does nothing for a model without an adapter, or in 4 bits.
    """
    if not isinstance(model, PeftModel) or getattr(model.get_base_model(), "is_quantized", False):
        yield
        return
    layers = [module for module in model.modules() if isinstance(module, LoraLayer)]
    weights = [layer.get_base_layer().weight for layer in layers]
    saved = [weight.detach().clone() for weight in weights]
    model.merge_adapter()
    try:
        yield
    finally:
        model.unmerge_adapter()
        with torch.no_grad():
            for weight, before in zip(weights, saved, strict=True):
                weight.copy_(before)


def holds_whole_weights(trainer: Trainer) -> bool:
    """Whether each process holds all weights itself."""
    whole = (DistributedType.NO, DistributedType.MULTI_CPU, DistributedType.MULTI_GPU)
    return trainer.accelerator.distributed_type in whole


def sampling_policy(trainer: Trainer) -> AbstractContextManager[None]:
    """The model as it samples: with its adapter merged, unless its weights are sharded."""
    whole = holds_whole_weights(trainer)
    return merged_adapter(trainer.accelerator.unwrap_model(trainer.model)) if whole else nullcontext()


def append_rows(trainer: Trainer, file: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Add JSON lines to a file of the run; one process does it."""
    if trainer.accelerator.is_main_process:
        with file.open("a") as stream:
            stream.writelines(json.dumps(row) + "\n" for row in rows)


def shared_settings(profile: Profile, rows: int, seed: int, folder: Path) -> dict[str, Any]:
    """What TRL's configurations of all methods have in common: one update of ``rows`` responses a step."""
    train = profile.train
    passes, left_over = divmod(rows, train.micro_batch * processes())
    if left_over:
        shared = f" on {processes()} processes" if processes() > 1 else ""
        raise UserError(f"train.micro_batch {train.micro_batch}{shared} does not divide the {rows} rows of a step.")
    bf16 = profile.model.dtype == "bfloat16"
    return {
        "output_dir": str(folder),
        "max_steps": train.steps,
        "per_device_train_batch_size": train.micro_batch,
        "gradient_accumulation_steps": passes,
        "learning_rate": train.full_learning_rate if profile.model.full else train.learning_rate,
        "lr_scheduler_type": "constant",
        "weight_decay": train.weight_decay,
        "max_grad_norm": train.max_grad_norm,
        "save_strategy": "steps",
        "save_steps": train.save_every,
        "save_total_limit": 2,
        "logging_steps": 1,
        "disable_tqdm": True,
        "gradient_checkpointing": train.gradient_checkpointing,
        "bf16": bf16,
        "use_cpu": on_cpu() or (bf16 and not torch.cuda.is_available()),
        "seed": seed,
        "data_seed": seed,
    } | tracker_settings(profile.engine)


def grpo_config(profile: Profile, rows: int, seed: int, folder: Path, **changes: Any) -> GRPOConfig:
    """TRL's configuration of self-play and RLVR: on-policy, token mean, no KL."""
    shared = shared_settings(profile, rows, seed, folder)
    settings: dict[str, Any] = {
        "steps_per_generation": shared["gradient_accumulation_steps"],
        "num_generations": 2,  # TRL's smallest; prompts are the rollout's own and its grouping is replaced
        "max_completion_length": profile.rollout.max_new_tokens,
        "temperature": profile.rollout.temperature,
        "top_k": 0,
        "loss_type": "dapo",
        "scale_rewards": "none",
        "beta": 0.0,
        "shuffle_dataset": False,
    }
    if profile.train.proposer == "base" and profile.engine.name != "transformers":
        raise UserError("The base proposes by switching the adapter off, which vLLM cannot: engine.name=transformers.")
    return GRPOConfig(**(shared | settings | engine_settings(profile.engine) | changes))


class SelfPlayTrainer(GRPOTrainer):
    """A GRPOTrainer whose rollouts come from a Source and whose advantages are TRR++."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        source: Source,
        profile: Profile,
        args: GRPOConfig,
        log_file: Path,
        callbacks: Sequence[TrainerCallback] = (),
    ) -> None:
        self.source, self.profile, self.log_file = source, profile, log_file
        self.record: dict[str, Any] = {}
        self._token_sums = np.zeros((len(GROUPS), 3))  # per group: -log p, entropy, tokens
        super().__init__(
            model=model,
            reward_funcs=rollout_reward,
            args=args,
            train_dataset=Dataset.from_dict({"prompt": [""] * (source.rows_per_step * max(1, args.max_steps))}),
            processing_class=tokenizer,
            peft_config=lora_config(profile.model),
            rollout_func=self._roll_out,
            callbacks=list(callbacks),
        )
        if self.accelerator.distributed_type == DistributedType.FSDP:
            # accelerate's FSDP2 leaves no mark by which transformers' generation would keep the processes in step
            base = self.model.get_base_model() if isinstance(self.model, PeftModel) else self.model
            base._is_fsdp_managed_module = True

    def generate(self, prompts: Sequence[str]) -> list[Completion]:
        """Sample one completion per prompt from the policy as it is, each process its share."""
        with nullcontext() if self.use_vllm else sampling_policy(self):
            return self._generate_together(prompts)

    def generate_from_base(self, prompts: Sequence[str]) -> list[Completion]:
        """The same from the untrained model: the adapter is switched off."""
        with self.accelerator.unwrap_model(self.model).disable_adapter():
            return self._generate_together(prompts)

    def _generate_together(self, prompts: Sequence[str]) -> list[Completion]:
        prompt_ids = [encode_prompt(self._tokenizer, prompt) for prompt in prompts]
        with memory_named(lambda: lower_in_sampling(self.profile)):
            responses = sampled_together(prompt_ids, self._sample, self.accelerator.state)
        texts = self._tokenizer.batch_decode(responses, skip_special_tokens=True)
        return [Completion(*row) for row in zip(prompt_ids, responses, texts, strict=True)]

    def _sample(self, prompt_ids: list[list[int]]) -> list[list[int]]:
        """Responses of the model as it is: by TRL where vLLM samples or weights are sharded, else by our own sampler,
        which reads a prompt once for all its rollouts.
        """
        if self.use_vllm:
            return self._generate_single_turn(prompt_ids, None, {}, num_generations=1)[0]
        chunk = self.profile.rollout.chunk
        sample = self._sample_here if holds_whole_weights(self) else self._sample_sharded
        return [row for at in range(0, len(prompt_ids), chunk) for row in sample(prompt_ids[at : at + chunk])]

    def _sample_sharded(self, prompt_ids: list[list[int]]) -> list[list[int]]:
        return self._generate_single_turn(prompt_ids, None, {}, num_generations=1)[0]

    def _sample_here(self, prompt_ids: list[list[int]]) -> list[list[int]]:
        model = self.accelerator.unwrap_model(self.model)
        model.eval()  # gradient checkpointing would keep no cache
        try:
            with self.accelerator.autocast():  # full training holds its weights in fp32
                return respond(
                    model, self._tokenizer, prompt_ids, self.args.max_completion_length, self.args.temperature
                )
        finally:
            model.train()

    def _roll_out(self, prompts: list[str], trainer: GRPOTrainer) -> dict[str, list[Any]]:
        step = self.state.global_step + 1
        own = SEED_STRIDE * self.accelerator.process_index
        transformers.set_seed(self.args.seed * 100_003 + step + own)  # a resumed step samples what it would have
        self._step_began = time.perf_counter()
        self.result = self.source.step(step, self.generate, self.generate_from_base)
        self.result.rows.sort(key=lambda row: (row.group, row.length))  # like lengths side by side: less padding
        self._mine = dealt(len(self.result.rows), self.args.per_device_train_batch_size, self.accelerator.state)
        rows = [self.result.rows[i] for i in self._mine]
        return {
            "prompt_ids": [row.completion.prompt_ids for row in rows],
            "completion_ids": [row.completion.ids for row in rows],
            "logprobs": None,  # type: ignore[dict-item]
            "reward": [row.reward for row in rows],
        }

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        output = super()._generate_and_score_completions(inputs)
        rows = self.result.rows
        groups = np.array([row.group for row in rows])
        rewards = np.array([row.reward for row in rows])
        lengths = np.array([len(row.completion.ids) for row in rows])
        trained = np.array([row.role is Role.SOLVER or self.profile.train.proposer == "trained" for row in rows])
        advantages = task_relative_advantages(rewards, lengths, groups, by=self.profile.train.advantage_by)
        weighted = advantages * group_balance(lengths, groups, trained, by=self.profile.train.loss_by)
        device = output["advantages"].device
        output["advantages"] = torch.tensor(weighted[self._mine], dtype=torch.float32, device=device)
        output["group"] = torch.tensor(groups[self._mine], device=device)
        self.record = {"step": self.state.global_step + 1} | self.result.metrics
        self.record["groups"] = {
            group_name(g): {
                "reward": float(rewards[groups == g].mean()),
                "length": float(lengths[groups == g].mean()),
                "zero_advantage": float((advantages[groups == g] == 0).mean()),
                "tokens": int(lengths[groups == g].sum()),
                "truncated": float((lengths[groups == g] >= self.args.max_completion_length).mean()),
            }
            for g in np.unique(groups)
        }
        self.record["tokens"]["trained"] = int(lengths[trained].sum())
        self._update_began = time.perf_counter()
        return output

    def _prepare_inputs(self, generation_batch: Any) -> dict[str, Any]:
        # TRL shuffles the rows of a step before it cuts them into micro-batches; in AZR a micro-batch holds one role
        # of one task type, which also saves padding. The loss is normalised over the whole step: one gradient for both.
        if not self.model.training:
            return super()._prepare_inputs(generation_batch)
        if self._step % self.args.steps_per_generation == 0 or self._buffered_inputs is None:
            batch = self._generate_and_score_completions(generation_batch)
            size = self.args.per_device_train_batch_size
            self._buffered_inputs = [_rows(batch, i, size) for i in range(0, len(batch["advantages"]), size)]
        return self._buffered_inputs[self._step % self.args.steps_per_generation]

    def _get_per_token_logps_and_entropies(self, *args: Any, **kwargs: Any) -> Any:
        result = super()._get_per_token_logps_and_entropies(*args, **kwargs)
        self._last_tokens = result[0].detach(), None if result[1] is None else result[1].detach()
        return result

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        loss = super()._compute_loss(model, inputs)
        logps, entropies = self._last_tokens
        mask = inputs["completion_mask"].bool()
        for group in inputs["group"].unique().tolist():
            kept = mask & (inputs["group"] == group).unsqueeze(1)
            sums = (-logps[kept]).sum().item(), entropies[kept].sum().item(), int(kept.sum())
            self._token_sums[group] += sums
        return loss

    @property
    def note(self) -> str:
        """What the progress line says of the step."""
        solved = [group["reward"] for name, group in self.record["groups"].items() if name.endswith("solver")]
        return f"solver reward {sum(solved) / len(solved):+.2f}"

    def end_update(self) -> None:
        """Stop the clock of the step: called when the optimizer has stepped, before anything is measured or saved."""
        now = time.perf_counter()
        self.record["seconds"]["update"] = now - self._update_began
        self.record["seconds"]["step"] = now - self._step_began

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Complete the step's record and append it to the run's log; then TRL's own logging."""
        if self.record and "loss" in logs:
            for group, (nll, entropy, tokens) in enumerate(summed(self._token_sums)):
                if tokens:
                    own = self.record["groups"][group_name(group)]
                    own["entropy_nll"], own["entropy_full"] = nll / tokens, entropy / tokens
            self._token_sums[:] = 0
            self.record["gradient_norm"] = float(logs["grad_norm"])
            self.record["loss"] = float(logs["loss"])
            if self.profile.engine.report_to != "none":
                logs |= flat(self.record)
            append_rows(self, self.log_file, [self.record])
            if self.result.fates:
                proposals = self.log_file.with_name("proposals.jsonl")
                append_rows(self, proposals, [fate.to_json() for fate in self.result.fates])
            self.record = {}
        super().log(logs, start_time)


def _rows(batch: dict[str, Any], start: int, size: int) -> dict[str, Any]:
    """Rows ``start`` to ``start + size`` of what TRL prepared, without columns that are padding in all of them."""
    part = {k: v[start : start + size] if torch.is_tensor(v) and v.dim() else v for k, v in batch.items()}
    prompt = int(part["prompt_mask"].sum(1).max())
    completion = int(part["completion_mask"].sum(1).max())
    for name in ("prompt_ids", "prompt_mask"):
        part[name] = part[name][:, -prompt:]
    width = batch["completion_ids"].shape[1]
    for name, value in part.items():
        if torch.is_tensor(value) and value.dim() == 2 and value.shape[1] == width and not name.startswith("prompt"):
            part[name] = value[:, :completion]
    return part
