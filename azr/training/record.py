"""The line of a run's log: composed here for every method, one JSON object a step.

    {"step": 3, "groups": {"deduction/solver": {"reward": 0.2, "length": 21.5, "tokens": 1032, "entropy_full": 0.4,
      "entropy_nll": 0.4, "zero_advantage": 0.0, "truncated": 0.0}, ...}, "tasks": {"deduction": {...}},
     "seconds": {"propose": 0.8, ..., "update": 2.1, "step": 4.9}, "tokens": {"proposed": 1514, ..., "trained": 3940},
     "loss": 0.01, "gradient_norm": 0.3, "learning_rate": 0.001}

Self-play and RLVR by TRR++ have a group for each task type and role. TRL's trainers log over all problems together: the
group ``solver``. ``entropy_full`` is the mean entropy of the whole next-token distribution, ``entropy_nll`` the mean
of -log p of the tokens sampled, both in nats and before the update. Left out: validation, which is measured afterwards.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from azr.progress import Progress
from azr.runs import Run, append_lines
from azr.selfplay import Row, StepResult

TRL = {
    "reward": "reward",
    "length": "completions/mean_length",
    "entropy_full": "entropy",
    "zero_advantage": "frac_reward_zero_std",
    "truncated": "completions/clipped_ratio",
    "token_accuracy": "mean_token_accuracy",
}
"""Quantity of the group ``solver`` -> what TRL calls it."""


def record_of_rows(
    step: int, result: StepResult, advantages: np.ndarray, sums: Mapping[str, Sequence[float]]
) -> dict[str, Any]:
    """The record of a step of rows; ``sums`` gives -log p, entropy and tokens of each group that went forward."""
    record: dict[str, Any] = {"step": step, "groups": {}} | result.metrics
    rows = list(zip(result.rows, advantages, strict=True))
    for group in dict.fromkeys(row.group for row in result.rows):
        own = [(row, advantage) for row, advantage in rows if row.group == group]
        record["groups"][group] = _of_group(*zip(*own, strict=True))
        if group in sums:
            nll, entropy, tokens = sums[group]
            record["groups"][group] |= {"entropy_nll": nll / tokens, "entropy_full": entropy / tokens}
    record["tokens"]["trained"] = sum(len(row.completion.ids) for row in result.rows if row.trained)
    return record


def _of_group(rows: Sequence[Row], advantages: Sequence[float]) -> dict[str, float]:
    lengths = [len(row.completion.ids) for row in rows]
    return {
        "reward": float(np.mean([row.reward for row in rows])),
        "length": float(np.mean(lengths)),
        "tokens": sum(lengths),
        "zero_advantage": float(np.mean(np.array(advantages) == 0)),
        "truncated": float(np.mean([not row.completion.ended for row in rows])),
    }


def record_of_logs(step: int, logs: Mapping[str, float]) -> dict[str, Any]:
    """The record of a step of SFTTrainer or GRPOTrainer: its own logs by our names.

    What RLVR's reward function says of each group of problems stands there as ``deduction/solver/reward``.
    """
    groups = {"solver": {name: float(logs[theirs]) for name, theirs in TRL.items() if theirs in logs}}
    for name, value in logs.items():
        group, _, quantity = name.rpartition("/")
        if group.endswith("/solver"):
            groups.setdefault(group, {})[quantity] = float(value)
    return {"step": step, "groups": groups, "seconds": {}}


class RecordCallback(TrainerCallback):
    """Writes the log of a run and shows its progress.

    ``compose(step, logs)`` gives a step's record and the lines for ``proposals.jsonl``; loss, gradient norm, learning
    rate and the seconds of the step are added to it.
    """

    def __init__(
        self, run: Run, compose: Callable[[int, Mapping[str, float]], tuple[dict[str, Any], list[Any]]], shown: bool
    ) -> None:
        self.run, self.compose, self.shown = run, compose, shown

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Start the line of progress."""
        shown = self.shown and state.is_world_process_zero
        self.progress = Progress(self.run.folder.name, args.max_steps, state.global_step) if shown else None

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Start the clock."""
        self.began = time.perf_counter()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Stop the clock."""
        self.seconds = time.perf_counter() - self.began

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: dict[str, float], **_: Any
    ) -> None:
        """Append the step's line; at the end of training there is nothing to add."""
        if "loss" not in logs:
            return
        record, proposals = self.compose(state.global_step, logs)
        record["seconds"]["step"] = self.seconds
        record |= {"loss": logs["loss"], "gradient_norm": logs["grad_norm"], "learning_rate": logs["learning_rate"]}
        if state.is_world_process_zero:
            append_lines(self.run.folder / "log.jsonl", [record])
            if proposals:
                append_lines(self.run.folder / "proposals.jsonl", proposals)
        if self.progress:
            rewards = [g["reward"] for name, g in record["groups"].items() if "solver" in name and "reward" in g]
            note = f"solver reward {np.mean(rewards):+.2f}" if rewards else f"loss {record['loss']:.3f}"
            self.progress.update(state.global_step, note)

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """End the line of progress."""
        if self.progress:
            self.progress.close()
