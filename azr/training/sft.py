"""Supervised fine-tuning on worked answers: TRL's SFTTrainer with the run folder's log.

``WorkedTrainer`` takes a step's rows as RLVR takes its problems (``azr.rlvr.epochs``), so both arms see the same
problems in the same order, one with the worked answer, the other with a verdict on its own. Loss: mean over the
response tokens of a step. Left out: packing and chat templates; prompts are those of the prompt style.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback
from trl import SFTConfig, SFTTrainer

from azr.config import Profile
from azr.prompts.base import PromptStyle
from azr.rlvr import epochs
from azr.sampling import encode_prompt
from azr.selfplay import GROUPS
from azr.tasks import Role, TaskType
from azr.training.trainer import append_rows, group_name, lora_config, shared_settings
from azr.world.worked import Worked


def steps_of_rows(
    worked: Sequence[Worked], style: PromptStyle, tokenizer: PreTrainedTokenizerBase, profile: Profile, seed: int
) -> list[list[dict[str, Any]]]:
    """For each step its rows: ``input_ids`` of prompt and response, ``completion_mask``, ``group``; short ones first
    within a task type, so that a micro-batch has little padding.
    """
    rows: dict[TaskType, list[dict[str, Any]]] = {task_type: [] for task_type in TaskType}
    for item in worked:
        prompt = encode_prompt(tokenizer, style.solve(item.task))
        response = [*tokenizer(item.response(style), add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
        mask = [0] * len(prompt) + [1] * len(response)
        group = GROUPS.index((item.task.type, Role.SOLVER))
        rows[item.task.type].append({"input_ids": prompt + response, "completion_mask": mask, "group": group})
    steps = []
    for step in range(1, profile.train.steps + 1):
        chosen = []
        for stream, own in enumerate(rows.values()):
            drawn = [own[i] for i in epochs(profile.rollout.rows // 3, len(own), step, seed, stream)]
            chosen += sorted(drawn, key=lambda row: len(row["input_ids"]))
        steps.append(chosen)
    return steps


class WorkedTrainer(SFTTrainer):
    """An SFTTrainer that keeps the record of each step as ``SelfPlayTrainer`` does."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        steps: Sequence[Sequence[dict[str, Any]]],
        profile: Profile,
        seed: int,
        folder: Path,
        callbacks: Sequence[TrainerCallback] = (),
    ) -> None:
        self.log_file = folder / "log.jsonl"
        self.record: dict[str, Any] = {}
        self._groups = [_groups(rows) for rows in steps]
        self._began = time.perf_counter()
        settings = shared_settings(profile, len(steps[0]), seed, folder / "checkpoints")
        columns = ("input_ids", "completion_mask")
        super().__init__(
            model=model,
            args=SFTConfig(
                **settings, completion_only_loss=True, max_length=None, train_sampling_strategy="sequential"
            ),
            train_dataset=Dataset.from_list([{k: row[k] for k in columns} for rows in steps for row in rows]),
            processing_class=tokenizer,
            peft_config=lora_config(profile.model),
            callbacks=list(callbacks),
        )

    def end_update(self) -> None:
        """Begin the record of the step whose update has just ended."""
        step, now = self.state.global_step, time.perf_counter()
        groups = self._groups[step - 1]
        trained = sum(group["tokens"] for group in groups.values())
        self.record = {"step": step, "groups": groups, "tokens": {"trained": trained}}
        self.record["seconds"] = {"step": now - self._began}

    @property
    def note(self) -> str:
        """What the progress line says of the step."""
        return f"{self.record['tokens']['trained']} tokens"

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Complete the step's record and append it to the run's log; then TRL's own logging."""
        super().log(logs, start_time)
        if self.record and "loss" in logs:
            self.record |= {"loss": float(logs["loss"]), "gradient_norm": float(logs["grad_norm"])}
            self.record["token_accuracy"] = float(logs["mean_token_accuracy"])
            append_rows(self, self.log_file, [self.record])
            self.record, self._began = {}, time.perf_counter()


def _groups(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Mean response length and number of response tokens of a step's rows, by group."""
    lengths: dict[str, list[int]] = {}
    for row in rows:
        lengths.setdefault(group_name(row["group"]), []).append(sum(row["completion_mask"]))
    return {name: {"length": sum(own) / len(own), "tokens": sum(own)} for name, own in lengths.items()}
