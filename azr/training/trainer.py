"""The update of self-play: TRR++, written out from the rewards to the loss.

Known from GRPO (``trl.GRPOTrainer``, the arm ``rlvr``), it deviates from it in this:

1. A step's rows come from a source (``azr.selfplay.SelfPlay``, ``azr.training.baselines.FixedProblems``), not from a
   data set with several responses to each prompt.
2. Advantages are whitened over the tokens of a task type and role, not over the responses to one prompt.
3. Each of the six groups weighs the same in the loss, a token mean within it; in GRPO all tokens weigh the same.
4. There is one update for each batch of rows, so that the ratio of new to old policy is 1 where its gradient is taken:
   clipping does nothing and is left out, and the gradient is REINFORCE's. (Not with vLLM and bfloat16, where the
   adapter is merged into weights that round it.)
5. There is neither a KL term nor a reference model nor an entropy bonus (in TRL, too, they are off by default).

With rows i in groups g(i), prompts x_i, responses y_i of |y_i| tokens and advantages A_i the loss that is minimised is

    L(theta) = - sum_i w_i A_i sum_t log pi_theta(y_it | x_i, y_i<t),     w_i = 1 / (G sum_{j: g(j) = g(i)} |y_j|)

where G is the number of trained groups. Left out: optimizer, schedule, clipping of the gradient, checkpoints and
several processes, which are ``transformers.Trainer``'s by its public methods.
"""

import time
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from accelerate.utils import gather_object
from datasets import Dataset
from peft import get_peft_model
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer, TrainingArguments, default_data_collator

from azr.advantages import row_weights, task_relative_advantages
from azr.config import Profile
from azr.models.scoring import token_scores
from azr.selfplay import SelfPlay
from azr.training.baselines import FixedProblems
from azr.training.lora import fuse
from azr.training.policy import Policy
from azr.training.record import record_of_rows
from azr.training.settings import OneDevice, lora_config, shared_settings


def policy_loss(
    log_probs: torch.Tensor, row: torch.Tensor, advantages: torch.Tensor, weights: torch.Tensor
) -> torch.Tensor:
    """L(theta) = - sum_i w_i A_i sum_t log pi(y_it | x_i, y_i<t), a scalar.

    ``log_probs`` and ``row`` have the shape (tokens,) of all responses one after another: each token's log-probability
    and the row that it belongs to; ``advantages`` and ``weights`` have the shape (rows,).
    """
    return -((weights * advantages)[row] * log_probs).sum()


class SelfPlayArguments(OneDevice, TrainingArguments):
    """Of the trainer below."""


class SelfPlayTrainer(Trainer):
    """A ``transformers.Trainer`` each of whose steps is a rollout and one update on it."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        source: SelfPlay | FixedProblems,
        profile: Profile,
        seed: int,
        folder: Path,
    ) -> None:
        lora = lora_config(profile.model)
        args = SelfPlayArguments(
            **shared_settings(profile, seed, folder),
            per_device_train_batch_size=1,
            remove_unused_columns=False,
            ddp_find_unused_parameters=False,
            ddp_broadcast_buffers=False,
        )
        super().__init__(
            model=fuse(get_peft_model(model, lora)) if lora else model,
            args=args,
            train_dataset=Dataset.from_dict({"step": range(profile.steps * args.world_size)}),  # nothing but a counter
            data_collator=default_data_collator,
            processing_class=tokenizer,
        )
        self.source, self.profile = source, profile
        self.policy = Policy(self, profile, seed)
        self._tokens: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def training_step(
        self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: torch.Tensor | int | None = None
    ) -> torch.Tensor:
        """One step of the algorithm; its gradients are left in the parameters."""
        step = self.state.global_step + 1

        # 1. Roll out with the policy as it is.
        self.result = self.source.step(step, self.policy, self.policy.of_base)
        began = time.perf_counter()
        rows = self.result.rows

        # 2. Advantages A_i: rewards whitened within each group.
        rewards, lengths = np.array([row.reward for row in rows]), np.array([len(row.completion.ids) for row in rows])
        groups, trained = np.array([row.group for row in rows]), np.array([row.trained for row in rows])
        advantages = task_relative_advantages(rewards, lengths, groups, by=self.profile.train.advantage_by)

        # 3. Weights w_i: a token mean within each trained group, and the same for each of them.
        weights = row_weights(lengths, groups, trained)

        # 4. Gradient of the loss, in micro-batches of like lengths. Trained rows without one go forward for the log.
        order = np.array(sorted(range(len(rows)), key=lambda i: len(rows[i].completion.prompt_ids) + lengths[i]))
        moving = (weights * advantages != 0)[order]
        model.train()
        loss = self._backward(model, self._micro_batches(order[moving]), advantages, weights)
        with torch.no_grad():
            for batch in self._micro_batches(order[~moving & trained[order]]):
                self._forward(self.model, batch)

        # 5. The record of the step.
        self.record = record_of_rows(step, self.result, advantages, self._sums_of_groups(groups))
        self.record["seconds"]["update"] = time.perf_counter() - began
        return loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Tell a tracker (``engine.report_to``) the numbers of the step's record, too."""
        if "loss" in logs:
            logs |= pd.json_normalize(self.record, sep="/").select_dtypes("number").iloc[0].to_dict()
        super().log(logs, start_time)

    def compose(self, step: int, logs: Mapping[str, float]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """What the log has of the step (``azr.training.record``)."""
        return self.record, [fate.to_json() for fate in self.result.fates]

    def _micro_batches(self, order: np.ndarray) -> list[np.ndarray]:
        """This process's share of the rows, cut into micro-batches."""
        mine, size = order[self.args.process_index :: self.args.world_size], self.profile.train.micro_batch
        return [mine[start : start + size] for start in range(0, len(mine), size)]

    def _backward(
        self, model: nn.Module, batches: list[np.ndarray], advantages: np.ndarray, weights: np.ndarray
    ) -> torch.Tensor:
        """Add the gradient of the loss to the parameters; the loss, times the processes, which Trainer averages."""
        total = torch.zeros((), device=self.args.device)
        for number, batch in enumerate(batches):
            last = number == len(batches) - 1
            with nullcontext() if last else self.accelerator.no_sync(model):
                log_probs, row = self._forward(model, batch)
                a, w = (torch.tensor(x[batch], dtype=torch.float32, device=row.device) for x in (advantages, weights))
                loss = policy_loss(log_probs, row, a, w) * self.args.world_size  # the mean over processes is a sum
                self.accelerator.backward(loss)
            total += loss.detach()
        if not batches:  # no row to learn from: a gradient of 0, for which the other processes wait
            self.accelerator.backward(0 * self._forward(model, np.zeros(1, int), counts=False)[0].sum())
        return total

    def _forward(self, model: nn.Module, batch: np.ndarray, counts: bool = True) -> tuple[torch.Tensor, torch.Tensor]:
        """log pi of each token of some rows, and its place among them; what the log wants of it is put by."""
        rows = [(c.prompt_ids, c.ids) for c in (self.result.rows[i].completion for i in batch)]
        log_probs, row, entropies = token_scores(model, rows, self.profile.rollout.temperature)
        if counts:
            self._tokens.append((batch[row.cpu()], -log_probs.detach().cpu().numpy(), entropies.cpu().numpy()))
        return log_probs, row

    def _sums_of_groups(self, groups: np.ndarray) -> dict[str, np.ndarray]:
        """-log p, entropy and number of the tokens of each group, over all processes."""
        names, index = np.unique(groups, return_inverse=True)
        sums = np.zeros((len(names), 3))
        for row, *values in self._tokens:
            for column, value in enumerate((*values, np.ones(len(row)))):
                sums[:, column] += np.bincount(index[row], value, minlength=len(names))
        self._tokens.clear()
        sums = np.sum(gather_object([sums]), axis=0)
        return {str(name): own for name, own in zip(names, sums, strict=True) if own[2]}
