"""Several processes: what each of them does alone, and what they do together.

    accelerate launch --config_file azr/training/configs/ddp.yaml --num_processes 2 -m azr train selfplay

Every process walks through the same step. It draws the same prompts, samples its share of the responses, gathers the
others', reads them and adds the same tasks to its buffer, so no state has to be sent around. Programs run on the main
process alone and their results are broadcast: elsewhere a time limit could fall differently, and buffers would part.
Only the main process writes. With one process all of this comes to nothing. Left out: weights that are sharded.
"""

import zlib
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TypeVar

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list, gather_object

from azr.executor import Execution, Executor, Job
from azr.models.sampling import Completion

Result = TypeVar("Result")
Streams = Sequence[tuple[int, ...]]
PATIENCE = timedelta(hours=2)
"""How long a process waits for the others: one may still be sampling its longest response."""


def join() -> PartialState:
    """This process among those of its run, once all are there; without CUDA all are on the CPU."""
    state = PartialState(timeout=PATIENCE) if torch.cuda.is_available() else PartialState(cpu=True)
    state.wait_for_everyone()
    return state


def sampled_together(
    prompts: Sequence[str], streams: Streams, sample: Callable[[list[str], Streams], list[Completion]]
) -> list[Completion]:
    """A completion of each prompt with its random stream, sampled by one of the processes; all get all of them.

    Prompts of like length go to one process, equally many to each, as vLLM demands; some may repeat the last.
    """
    state = PartialState()
    order = sorted(range(len(prompts)), key=lambda i: (len(prompts[i]), prompts[i], i))
    mine = order[state.process_index :: state.num_processes]
    mine += order[-1:] * (-(-len(order) // state.num_processes) - len(mine))
    found = sample([prompts[i] for i in mine], [streams[i] for i in mine])
    drawn = zlib.crc32(repr(prompts).encode()) if state.num_processes > 1 else 0
    parts = gather_object([(drawn, list(zip(mine, found, strict=True)))])
    if len({drawn for drawn, _ in parts}) > 1:
        raise RuntimeError("The processes have drawn different prompts: their buffers differ.")
    by_place = dict(pair for _, pairs in parts for pair in pairs)
    return [by_place[i] for i in range(len(prompts))]


class MainExecutor:
    """An executor (see ``azr.executor``) that works on the main process; the others are sent its results."""

    def __init__(self, own: Executor | None) -> None:
        self.own = own

    def run_many(self, jobs: Sequence[Job]) -> list[Execution]:
        """What every process would have got from running ``jobs``."""
        return self.shared(lambda own: own.run_many(jobs))

    def shared(self, work: Callable[[Executor], Result]) -> Result:
        """What ``work`` returns on the main process, on every process."""
        return broadcast_object_list([work(self.own) if self.own else None])[0]
