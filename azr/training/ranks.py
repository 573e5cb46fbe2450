"""Self-play in several processes: what each of them does alone, and what they do together.

    accelerate launch --config_file azr/training/configs/ddp.yaml --num_processes 2 -m azr train selfplay

Every process walks through the same step. It draws the same prompts, samples its share of the responses, gathers the
others', reads them and adds the same tasks to its buffer, so no state has to be sent around. Programs run on the main
process alone and their results are broadcast: elsewhere a time limit could fall differently, and buffers would part.
Rows to train on are dealt out a micro-batch at a time, so that all train on like lengths at the same moment. Only the
main process writes. With one process all of this comes to nothing.

Left out: processes on different kinds of hardware (validation expects that equal draws give equal samples).
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, Self

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list, gather_object

from azr.executor import Execution, Executor, Job
from azr.tasks import Task

PATIENCE = timedelta(hours=2)
"""How long a process waits for the others: one may still be sampling its longest response."""
SEED_STRIDE = 15_485_863
"""Between the seeds of two processes; far more than a run has steps."""


def processes() -> int:
    """How many processes a launcher started."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def on_cpu() -> bool:
    """Whether several processes have to train on the CPU."""
    return processes() > 1 and not torch.cuda.is_available()


def is_main() -> bool:
    """Whether this process is the one that writes and speaks."""
    return os.environ.get("RANK", "0") == "0"


def join() -> PartialState:
    """This process among those of its run, once all are there."""
    state = PartialState(cpu=True) if on_cpu() else PartialState(timeout=PATIENCE)
    state.wait_for_everyone()
    return state


def dealt(rows: int, micro_batch: int, state: PartialState) -> np.ndarray:
    """Indices of the rows that this process trains on: every n-th micro-batch.

    >>> dealt(4, 2, PartialState()).tolist()
    [0, 1, 2, 3]
    """
    return np.arange(rows).reshape(-1, micro_batch)[state.process_index :: state.num_processes].ravel()


def sampled_together(
    prompts: Sequence[list[int]], sample: Callable[[list[list[int]]], list[list[int]]], state: PartialState
) -> list[list[int]]:
    """Responses to ``prompts`` (token ids), each sampled by one of the processes.

    ``sample`` gets this process's share, prompts of like length side by side; every process gets equally many, because
    some engines demand it, and where they do not divide some repeat the last.
    """
    order = sorted(range(len(prompts)), key=lambda i: (len(prompts[i]), i))
    mine = order[state.process_index :: state.num_processes]
    mine += order[-1:] * (-(-len(order) // state.num_processes) - len(mine))
    responses = sample([prompts[i] for i in mine])
    drawn = zlib.crc32(repr(prompts).encode()) if state.num_processes > 1 else 0
    parts = gather_object([(drawn, list(zip(mine, responses, strict=True)))])
    if len({drawn for drawn, _ in parts}) > 1:
        raise RuntimeError("The processes have drawn different prompts: their buffers differ.")
    found = dict(pair for _, pairs in parts for pair in pairs)
    return [found[i] for i in range(len(prompts))]


def summed(values: np.ndarray) -> np.ndarray:
    """The sum over all processes."""
    return np.sum(gather_object([values]), axis=0)


class MainExecutor:
    """An executor (see ``azr.executor``) that works on the main process; the others are sent its results."""

    def __init__(self, workers: int, state: PartialState) -> None:
        self._own = Executor(workers=workers) if state.is_main_process else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._own:
            self._own.close()

    def run_many(self, jobs: Sequence[Job]) -> list[Execution]:
        """What every process would have got from running ``jobs``."""
        return self._shared(lambda own: own.run_many(jobs))

    def grade_many(self, attempts: Sequence[tuple[Task, str]]) -> list[bool]:
        """Whether each answer solves its task."""
        return self._shared(lambda own: own.grade_many(attempts))

    def _shared(self, work: Callable[[Executor], list[Any]]) -> list[Any]:
        return broadcast_object_list([work(self._own) if self._own else None])[0]
