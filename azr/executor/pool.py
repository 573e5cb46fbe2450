"""``Executor``: many programs at once in sandboxed workers, each checked for determinism under different hash seeds.

    with Executor() as executor:
        executor.run(Job("def f(x): return x * 2", "21"))  # Execution(verdict=<Verdict.OK: 'ok'>, output='42', ...)

The pool keeps lanes of workers that differ in hash seed and address space. Jobs run in the first; those that gave a
literal and have ``runs`` 2 run again in the second and the values are compared (with sets about, in a third and fourth
too). A worker is a fresh interpreter, never a fork of ours (which may have threads, CUDA, gigabytes), with nothing in
its environment but a fixed hash seed; it ends when its input does, so it cannot outlive us. Left out: policy, sandbox
and the running itself, which happen in ``worker``.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Collection, Sequence
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, Self

from azr.executor import literals
from azr.executor.jobs import Execution, Job, Message, Result, Script, Verdict, line
from azr.executor.policy import IMPORTS

HASH_SEEDS = ("1", "2", "3", "4")
"""One lane of workers each. The last two only run programs whose result may depend on the order of sets: for a set of
two, two seeds miss every second such dependence, four every eighth."""

# The worker's modules are loaded without the package's own __init__, so that a worker stays small and forks fast.
_BOOTSTRAP = """
import sys
for name, path in (("azr", {package!r}), ("azr.executor", {executor!r})):
    module = type(sys)(name)
    module.__path__ = [path]
    sys.modules[name] = module
from azr.executor import worker
worker.main()
"""
_MAX_PROGRAM_CHARS = 200_000
_BATCH = 64


class Member:
    """The pool's end of one worker process."""

    def __init__(self, lane: int, config: dict[str, Any]) -> None:
        here = Path(__file__).resolve().parent
        program = _BOOTSTRAP.format(package=str(here.parent), executor=str(here))
        environment = {key: os.environ[key] for key in ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH") if key in os.environ}
        self.lane = lane
        self.report: dict[str, str] = {}
        self.batch: list[_Run] = []
        self._socket, theirs = socket.socketpair()
        self._file = self._socket.makefile("rwb")
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-S", "-s", "-P", "-W", "ignore", "-X", "utf8", "-c", program, json.dumps(config)],
                stdin=theirs,
                stdout=theirs,
                stderr=subprocess.PIPE,
                env=environment | {"PYTHONHASHSEED": HASH_SEEDS[lane]},
                cwd="/",
                start_new_session=True,  # Ctrl-C in the terminal is the pool's to handle
            )

    def fileno(self) -> int:
        """What to wait for."""
        return self._socket.fileno()

    def begin(self, batch: list[_Run]) -> None:
        """Have a batch run."""
        self.batch = batch
        with contextlib.suppress(OSError):  # a worker that is gone is noticed at the end
            self._file.write(line([run.message for run in batch]))
            self._file.flush()

    def finish(self) -> bool:
        """Take in the results of the batch; False if the worker has died. RuntimeError where it never came up."""
        try:
            self.report, results = json.loads(self._file.readline())
        except (OSError, ValueError):  # no line
            if self.report:
                return False
            complaint = self.process.communicate()[1].decode(errors="replace").strip() or "no reason given"
            raise RuntimeError(f"a worker of the executor did not start: {complaint.splitlines()[-1]}") from None
        for run, result in zip(self.batch, results, strict=True):
            run.take(Result(*result))
        return True

    def stop(self) -> None:
        """Tell the worker that nothing more will come, so that it stops itself and its child; it has a second."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(1.0)
        self.process.kill()
        self.process.communicate()
        with contextlib.suppress(OSError), self._socket:
            self._file.close()


class Executor:
    """A pool of sandboxed workers; use it as a context manager, or call ``close``. Safe to share between threads."""

    def __init__(
        self,
        workers: int | None = None,
        *,
        wall_seconds: float = 10.0,
        cpu_seconds: float = 1.0,
        memory_mb: int = 256,
        max_output_chars: int = 2000,
        policy: Collection[str] = IMPORTS,
    ) -> None:
        """Start the workers; they get ready while the caller goes on.

        ``workers``: programs that run at the same time, by default one a core. ``wall_seconds``, ``cpu_seconds`` (of
        one run, compilation included) and ``memory_mb`` (on top of the interpreter's own) bound each run. A value whose
        literal is longer than ``max_output_chars`` (at most 50,000) is OUTPUT_TOO_LARGE. ``policy``: the modules that
        programs may import. Raises ValueError for limits that make no sense.
        """
        if workers is not None and workers < 1:
            raise ValueError(f"workers must be at least 1, not {workers}")
        if min(wall_seconds, cpu_seconds, memory_mb, max_output_chars) <= 0 or max_output_chars > 50_000:
            raise ValueError("limits must be positive, and max_output_chars at most 50000")
        self.workers = workers or os.cpu_count() or 1
        self._config = {
            "wall_seconds": wall_seconds,
            "cpu_seconds": cpu_seconds,
            "memory_mb": memory_mb,
            "max_output_chars": max_output_chars,
            "imports": sorted(policy),
        }
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._closed = False
        self._crew: list[Member] = []
        for lane in (0, 1):
            self._lane(lane)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop the workers. The executor cannot be used after it."""
        with self._lock:
            self._closed = True
            if os.getpid() == self._pid:  # a forked copy has no say
                self._stop()

    def run(self, job: Job | Script) -> Execution:
        """Run one job or script."""
        return self.run_many([job])[0]

    def run_many(self, jobs: Sequence[Job | Script]) -> list[Execution]:
        """Run many; results in the order of ``jobs``. Equal jobs run once."""
        with self._lock:
            if self._closed:
                raise RuntimeError("the executor is closed")
            if os.getpid() != self._pid:
                raise RuntimeError("the executor belongs to another process; make one after forking")
            runs = {job: _Run(job) for job in jobs}
            try:
                for lane in range(len(HASH_SEEDS)):
                    self._pass(lane, [run for run in runs.values() if run.execution is None])
            except BaseException:
                self._stop()  # they may be busy with what nobody awaits; the next call starts anew
                raise
        return [runs[job].execution for job in jobs]

    def layers(self) -> dict[str, str]:
        """Each layer of the sandbox -> "holds", or why it does not hold on this machine."""
        self.run(Job("def f(): return 0", "", runs=1))
        report = next(member.report for member in self._crew if member.report)
        return {"policy": "holds", "separate process": "holds", "resource limits": "holds"} | report

    def _lane(self, lane: int) -> list[Member]:
        """The workers of a lane, which are started if need be."""
        if all(member.lane != lane for member in self._crew):
            self._crew += [Member(lane, self._config) for _ in range(self.workers if lane < 2 else 1)]
        return [member for member in self._crew if member.lane == lane]

    def _stop(self) -> None:
        for member in self._crew:
            member.stop()
        self._crew.clear()

    def _pass(self, lane: int, runs: list[_Run]) -> None:
        """Do the runs of one lane: who has nothing to do is handed a batch."""
        waiting, busy = deque(runs), set()
        idle = self._lane(lane) if runs else []
        patience = min(60 + 2 * _BATCH * self._config["wall_seconds"], 1e6)
        while waiting or busy:
            while waiting and idle:
                size = min(_BATCH, -(-len(waiting) // (2 * self.workers)))  # small batches if little is left
                idle[-1].begin([waiting.popleft() for _ in range(size)])
                busy.add(idle.pop())
            ready = wait(busy, patience)
            if not ready:
                for member in busy:
                    member.process.kill()
            for member in ready:
                busy.remove(member)
                if not member.finish():
                    member.stop()
                    waiting.extend(run for run in member.batch if run.outlives())
                    self._crew.remove(member)
                    member = Member(lane, self._config)
                    self._crew.append(member)
                idle.append(member)


class _Run:
    """Where a job stands."""

    def __init__(self, job: Job | Script) -> None:
        self.is_job = isinstance(job, Job)
        self.runs = job.runs if isinstance(job, Job) else 1
        given, tests = (job.input, "") if isinstance(job, Job) else (None, job.tests)
        self.message = Message(job.program, given, tests, company=None if self.is_job else False)
        self.order = "{" in (given or "")
        self.lane = 0
        self.deaths = 0
        self.output: str | None = None
        self.execution: Execution | None = None
        if len(job.program) > _MAX_PROGRAM_CHARS:
            self._end(Verdict.REJECTED, detail="program too long")
        elif len(given or "") > literals.MAX_LITERAL_CHARS:
            self._end(Verdict.BAD_INPUT)

    def take(self, result: Result) -> None:
        """Take in one result; without an execution then, there is another run to do, in another lane."""
        verdict, text = Verdict(result.verdict), result.text
        if verdict is Verdict.OK and self.is_job and not result.company and not literals.same_literal(text, text):
            verdict, text = Verdict.KILLED, "forged result"
        first = self.lane == 0
        if first:
            self.output, self.order = text, self.order or result.order
            self.message = self.message._replace(company=result.company)
        if verdict is Verdict.OK and (first or text == self.output or literals.same_literal(text, self.output)):
            self.lane += 1
            if self.lane >= (1 if self.runs < 2 else len(HASH_SEEDS) if self.order else 2):
                self._end(Verdict.OK, self.output)
        elif first or verdict in (Verdict.TIMEOUT, Verdict.OUT_OF_MEMORY, Verdict.KILLED):
            self._end(verdict, detail=text)
        else:
            self._end(Verdict.NON_DETERMINISTIC)

    def outlives(self) -> bool:
        """Its worker died: whether it is tried again, then in a process of its own."""
        self.message, self.deaths = self.message._replace(company=False), self.deaths + 1
        if self.deaths > 2:
            self._end(Verdict.KILLED, detail="worker died")
        return self.deaths <= 2

    def _end(self, verdict: Verdict, output: str | None = None, detail: str = "") -> None:
        self.execution = Execution(verdict, output, detail)


def sandbox_layers() -> dict[str, str]:
    """Each layer of the sandbox -> "holds", or in a few words why it does not hold on this machine."""
    with Executor(workers=1) as executor:
        return executor.layers()
