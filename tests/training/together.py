"""What tests/training/test_ranks.py does in one process and, through ``accelerate launch``, in two."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path

import numpy as np
import torch

from azr.training import run
from azr.training.trainer import SelfPlayTrainer, grpo_config

from .tiny import TOKENIZER, LenientStyle, tiny_profile

STEPS = {"train__steps": 2, "train__save_every": 1, "train__micro_batch": 2}
FULL = STEPS | {"train__full_learning_rate": 0.5, "model__full": True}
"""With plain gradient descent: weights move by the learning rate times the gradient."""


def by_rule(self: SelfPlayTrainer, prompt_ids: list[list[int]]) -> list[list[int]]:
    """In place of sampling: a response that follows from its prompt, whichever process it falls to."""
    draws = [np.random.default_rng(ids) for ids in prompt_ids]
    return [rng.integers(4, len(TOKENIZER), size=rng.integers(2, 12)).tolist() for rng in draws]


def train_in(folder: Path, model: Path, ruled: bool, **changes: object) -> None:
    """A run in ``folder``; each process writes what its buffer ends with beside it."""
    sample, trainer_of, trainers = SelfPlayTrainer._sample, run._trainer, []
    run.load_style = lambda *_: LenientStyle()
    run._trainer = lambda *args: trainers.append(trainer_of(*args)) or trainers[0]
    if ruled:
        SelfPlayTrainer._sample = by_rule
        run.grpo_config = partial(grpo_config, optim="sgd", max_grad_norm=1e9)
    run.train("selfplay", tiny_profile(model, **changes), 0, folder)
    SelfPlayTrainer._sample, run._trainer, run.grpo_config = sample, trainer_of, grpo_config
    state = trainers[0].accelerator.state
    file = folder.with_name(f"{folder.name}-{state.process_index}-of-{state.num_processes}.json")
    file.write_text(json.dumps(trainers[0].source.buffer.to_json()))


def main(model: Path, runs: Path) -> None:
    """The three runs, of which the second continues what one process began."""
    torch.set_num_threads(1)
    train_in(runs / "two", model, ruled=True, **FULL)
    train_in(runs / "continued", model, ruled=True, **FULL)
    train_in(runs / "sampled", model, ruled=False, **STEPS)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
