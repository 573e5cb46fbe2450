"""Where self-play starts from: seed files in AZR's published format, or the untrained model's own proposals.

    buffer = buffer_of_files([Path("7b_coder_seed_io.jsonl"), Path("7b_coder_code_f_seed_io.jsonl")])

Every entry is run; its gold output is what our executor returns, since published files hold outputs that are empty, cut
off at 400 characters or no literals. Left out: reading and running the files (``azr.problems``).
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path

from azr.buffer import TaskBuffer
from azr.config import Profile
from azr.errors import UserError
from azr.problems import load_problems
from azr.runs import ALGORITHM, stamp, weights_digest, write_lines
from azr.tasks import TaskType


def buffer_of_files(files: Sequence[Path]) -> TaskBuffer:
    """The buffer before the first step: each file's tasks that stand, of which a summary is printed.

    Raises UserError for a file that cannot be read or holds none, and where one of the task types has no task: each has
    a solver from the first step on.
    """
    buffer = _read(files)
    for name, count in buffer.sizes().items():
        if not count:
            form = "inputs, outputs and message" if name == TaskType.INDUCTION else "input and output"
            raise UserError(
                f"The seed files hold no {name} task that stands: add one with {form} (see azr seeds FILE)."
            )
    return buffer


def check_seed_files(files: Sequence[Path], out: Path | None) -> None:
    """Print what of the files stands and why the rest falls; write what stands as a run's ``seeds.jsonl``."""
    buffer = _read(files)
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_lines(out, buffer.to_json())
        print(f"written: {out}")


def _read(files: Sequence[Path]) -> TaskBuffer:
    buffer = TaskBuffer()
    for file in files:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            problems = load_problems("seeds", path=file).problems
        own = [problem.task for problem in problems if problem.task]
        for task in own:
            buffer.add(task, step=0)
        counts = ", ".join(f"{sum(task.type is t for task in own)} {t}" for t in TaskType)
        print(f"{file}: {counts} tasks stand", *(f"\n  {warning.message}" for warning in caught), flush=True)
    return buffer


def seeds_file(folder: Path, profile: Profile, seed: int) -> Path:
    """Where the seeds of a run lie beside its folder: arms with the same model, rollouts and seed share them, because
    seeding costs as much as several steps.
    """
    model = profile.model
    rollout = profile.rollout.model_dump(
        include={"batch", "references", "seed_factor", "temperature", "max_new_tokens"}
    )
    parts = (ALGORITHM, seed, rollout, model.prompt_style, model.dtype, model.weights, weights_digest(model.name))
    return folder.parent / f"seeds-{stamp(*parts)}.jsonl"


def write_seeds(file: Path, buffer: TaskBuffer) -> None:
    """Write a buffer whole or not at all, though another process may write the same at this moment."""
    temporary = file.with_suffix(f".{os.getpid()}")
    write_lines(temporary, buffer.to_json())
    temporary.replace(file)
