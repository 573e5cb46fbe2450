"""Where self-play starts from: seed files in AZR's published format, or the untrained model's own proposals.

    buffer = read_seeds([Path("7b_coder_seed_io.jsonl"), Path("7b_coder_code_f_seed_io.jsonl")])

Left out: reading and running the entries of a file (``azr.problems``), whose outputs are computed anew.
"""

import warnings
from collections.abc import Sequence
from pathlib import Path

from azr.buffer import TaskBuffer
from azr.config import Profile
from azr.errors import UserError
from azr.problems import load_problems
from azr.runs import ALGORITHM, stamp, weights_digest, write_lines
from azr.tasks import TaskType


def read_seeds(files: Sequence[Path], whole: bool = True) -> TaskBuffer:
    """The buffer before the first step: each file's tasks that stand; prints what stands and why the rest falls.

    Raises UserError for a file that holds none, and, if ``whole``, where one of the task types has no task: each has a
    solver from the first step on.
    """
    buffer = TaskBuffer()
    for file in files:
        with warnings.catch_warnings(record=True) as caught:
            warnings.filterwarnings("always", category=UserWarning)  # others are of the programs
            tasks = [problem.task for problem in load_problems("seeds", path=file).problems if problem.task]
        for task in tasks:
            buffer.add(task, step=0)
        if not tasks:
            raise UserError(f"{file} holds no tasks: seeds have snippet, input and output (or inputs and outputs).")
        counts = ", ".join(f"{sum(task.type is t for task in tasks)} {t}" for t in TaskType)
        print(f"{file}: {counts} tasks stand", *(f"\n  {warning.message}" for warning in caught), flush=True)
    for name, count in buffer.sizes().items():
        if whole and not count:
            form = "inputs, outputs and message" if name == TaskType.INDUCTION else "input and output"
            raise UserError(
                f"The seed files hold no {name} task that stands: add one with {form} (see azr seeds FILE)."
            )
    return buffer


def check_seed_files(files: Sequence[Path], out: Path | None) -> None:
    """Print what of seed files stands, and write it in the form of a run's ``seeds.jsonl``."""
    buffer = read_seeds(files, whole=False)
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_lines(out, buffer.to_json())
        print(f"written: {out}")


def shared_seeds(folder: Path, profile: Profile, seed: int) -> Path:
    """Where the seeds of a run lie beside its folder: arms with the same model, rollouts and seed share them, because
    seeding costs as much as several steps.
    """
    model, read = profile.model, {"batch", "references", "seed_factor", "temperature", "max_new_tokens"}
    rollout = profile.rollout.model_dump(include=read)
    parts = (ALGORITHM, seed, rollout, model.prompt_style, model.dtype, model.weights, weights_digest(model.name))
    return folder.parent / f"seeds-{stamp(*parts)}.jsonl"
