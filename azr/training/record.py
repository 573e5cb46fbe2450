"""The line of a run's log: composed here for every method, one JSON object a step.

    {"step": 3, "groups": {"deduction/solver": {"reward": 0.2, "length": 21.5, "tokens": 1032, "entropy_full": 0.4,
      "entropy_nll": 0.4, "zero_advantage": 0.0, "truncated": 0.0}, ...}, "tasks": {"deduction": {...}},
     "seconds": {"propose": 0.8, ..., "update": 2.1, "step": 4.9}, "tokens": {"proposed": 1514, ..., "trained": 3940},
     "loss": 0.01, "gradient_norm": 0.3, "learning_rate": 0.001}

Self-play and RLVR by TRR++ have a group for each task type and role. TRL's trainers log over all problems together: the
group ``solver``. ``entropy_full`` is the mean entropy of the whole next-token distribution, ``entropy_nll`` the mean
of -log p of the tokens sampled, both in nats and before the update; a frozen proposer's rows, which do not go forward,
have neither. Left out: validation, which is measured afterwards.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from azr.errors import UserError
from azr.progress import Progress
from azr.runs import Run, append_lines
from azr.selfplay import StepResult

TRL = {
    "reward": "reward",
    "length": "completions/mean_length",
    "entropy_full": "entropy",
    "zero_advantage": "frac_reward_zero_std",
    "truncated": "completions/clipped_ratio",
    "token_accuracy": "mean_token_accuracy",
}
"""Quantity of the group ``solver`` -> what TRL calls it."""
Compose = Callable[[int, Mapping[str, float]], tuple[dict[str, Any], list[dict[str, Any]]]]
"""A step and its trainer's logs -> its record, and the lines of its proposals."""
Watch = Callable[[Run], object]


def record_of_rows(
    step: int, result: StepResult, advantages: np.ndarray, sums: Mapping[str, Sequence[float]]
) -> dict[str, Any]:
    """The record of a step of rows; ``sums`` gives -log p, entropy and tokens of each group that went forward."""
    groups: dict[str, dict[str, float]] = {}
    for group in dict.fromkeys(row.group for row in result.rows):
        own = [i for i, row in enumerate(result.rows) if row.group == group]
        rows = [result.rows[i] for i in own]
        lengths = [len(row.completion.ids) for row in rows]
        groups[group] = {
            "reward": float(np.mean([row.reward for row in rows])),
            "length": float(np.mean(lengths)),
            "tokens": sum(lengths),
            "zero_advantage": float(np.mean(advantages[own] == 0)),
            "truncated": float(np.mean([not row.completion.ended for row in rows])),
        }
        if group in sums:
            nll, entropy, tokens = sums[group]
            groups[group] |= {"entropy_nll": nll / tokens, "entropy_full": entropy / tokens}
    trained = sum(len(row.completion.ids) for row in result.rows if row.trained)
    return result.metrics | {"step": step, "groups": groups, "tokens": result.metrics["tokens"] | {"trained": trained}}


def record_of_logs(step: int, logs: Mapping[str, float]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The record of a step of SFTTrainer or GRPOTrainer: its own logs by our names, and no proposals."""
    groups = {"solver": {name: float(logs[theirs]) for name, theirs in TRL.items() if theirs in logs}}
    for name, value in logs.items():
        group, _, quantity = name.rpartition("/")
        if group.endswith("/solver"):  # from RLVR's reward function
            groups.setdefault(group, {})[quantity] = float(value)
    return {"step": step, "groups": groups, "seconds": {}}, []


class RecordCallback(TrainerCallback):
    """Writes a run's log, shows its progress and calls ``watch``; keeps the adapter after the steps in ``kept``."""

    def __init__(self, run: Run, compose: Compose, kept: Sequence[int], watch: Watch | None) -> None:
        self.run, self.compose, self.kept, self.watch = run, compose, kept, watch

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.progress = Progress(self.run.folder.name, args.max_steps, state.global_step)

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        self.began = time.perf_counter()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """Stop the clock."""
        self.seconds = time.perf_counter() - self.began

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: Any, model: Any, logs: dict[str, float], **_: Any
    ) -> None:
        """Append the step's line and keep the adapter where it is due; at the end of training there is none.

        Raises UserError, before anything of the step is saved, where its loss or gradient is no number.
        """
        if "loss" not in logs:
            return
        if not np.isfinite([logs["loss"], logs["grad_norm"]]).all():  # on every process
            raise UserError(
                f"Step {state.global_step} has a loss of {logs['loss']} and a gradient of norm {logs['grad_norm']}, "
                "which spoils the weights: lower the learning rate, or see that no reward is NaN or infinite."
            )
        if not state.is_world_process_zero:
            return
        if state.global_step in self.kept:
            model.save_pretrained(self.run.folder / "adapters" / f"step-{state.global_step}")
        record, proposals = self.compose(state.global_step, logs)
        record["seconds"]["step"] = self.seconds
        record |= {"loss": logs["loss"], "gradient_norm": logs["grad_norm"], "learning_rate": logs["learning_rate"]}
        append_lines(self.run.folder / "log.jsonl", [record])
        if proposals:
            append_lines(self.run.folder / "proposals.jsonl", proposals)
        rewards = [g["reward"] for name, g in record["groups"].items() if "solver" in name and "reward" in g]
        note = f"solver reward {np.mean(rewards):+.2f}" if rewards else f"loss {record['loss']:.3f}"
        self.progress.update(state.global_step, note)
        if self.watch:
            self.watch(self.run)
