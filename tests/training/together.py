"""What tests/training/test_ranks.py does in one process and, through ``accelerate launch``, in two."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

from azr.training import run, trainer
from azr.training.settings import shared_settings

from .tiny import LenientStyle, tiny_profile

FULL = {"train__steps": 2, "train__save_every": 1, "train__micro_batch": 2, "model__full": True}
FULL |= {"train__full_learning_rate": 0.5, "train__max_grad_norm": 1e9}


def gradient_descent(*args: object) -> dict[str, object]:
    """The settings with an optimizer by which weights move by the learning rate times the gradient."""
    return shared_settings(*args) | {"optim": "sgd"}


def train_in(folder: Path, model: Path) -> None:
    """A run in ``folder``; each process writes the buffer with which it ends beside it."""
    make, sources = run.SelfPlay, []
    run.load_style, trainer.shared_settings = lambda *_: LenientStyle(), gradient_descent
    run.SelfPlay = lambda *args: sources.append(make(*args)) or sources[0]
    run.train("selfplay", tiny_profile(model, **FULL), 0, folder)
    run.SelfPlay, trainer.shared_settings = make, shared_settings
    state = run.join()
    file = folder.with_name(f"{folder.name}-{state.process_index}-of-{state.num_processes}.json")
    file.write_text(json.dumps(sources[0].buffer.to_json()))


def main(model: Path, runs: Path) -> None:
    """Two runs, of which the second continues what one process began."""
    torch.set_num_threads(1)
    train_in(runs / "two", model)
    train_in(runs / "continued", model)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
