"""``Executor``: many programs at once in sandboxed workers, each checked for determinism under different hash seeds.

    with Executor() as executor:
        executor.run(Job("def f(x): return x * 2", "21"))  # Execution(verdict=<Verdict.OK: 'ok'>, output='42', ...)

The pool keeps lanes of workers that differ in hash seed and address space. Jobs run in the first; those that gave a
literal and have ``runs`` 2 run again in the second and the values are compared (with sets about, in a third and fourth
too). A worker is a fresh interpreter, never a fork of ours (which may have threads, CUDA, gigabytes), with nothing in
its environment but a fixed hash seed; it ends when its input does, so it cannot outlive us. Left out: policy, sandbox
and the running itself, which happen in ``worker``.
"""

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections import Counter, deque
from collections.abc import Collection, Sequence
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, Self

from azr.executor.jobs import Execution, Job, Message, Result, Script, Verdict, line
from azr.executor.literals import same_literal
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
_BATCH = 64
_TRIES = 3
"""Workers that a job may outlive, and one."""


class Member:
    """The pool's end of one worker process."""

    def __init__(self, lane: int, config: dict[str, Any]) -> None:
        here = Path(__file__).resolve().parent
        program = _BOOTSTRAP.format(package=str(here.parent), executor=str(here))
        environment = {key: os.environ[key] for key in ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH") if key in os.environ}
        self.lane = lane
        self.report: dict[str, str] = {}
        self.batch: dict[int, Message] = {}
        self.process = subprocess.Popen(
            [sys.executable, "-S", "-s", "-P", "-W", "ignore", "-X", "utf8", "-c", program, json.dumps(config)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment | {"PYTHONHASHSEED": HASH_SEEDS[lane]},
            cwd="/",
            start_new_session=True,  # Ctrl-C in the terminal is the pool's to handle
        )

    def fileno(self) -> int:
        """What to wait for."""
        return self.process.stdout.fileno()

    def begin(self, batch: dict[int, Message]) -> None:
        self.batch = batch
        with contextlib.suppress(OSError):  # a worker that is gone is noticed at the end
            self.process.stdin.write(line(list(batch.values())))
            self.process.stdin.flush()

    def finish(self) -> dict[int, Result] | None:
        """The results of the batch; None if the worker has died. RuntimeError where it never came up."""
        reply = self.process.stdout.readline()
        if reply.endswith(b"\n"):
            self.report, results = json.loads(reply)
            return {i: Result(*result) for i, result in zip(self.batch, results, strict=True)}
        if not self.report:
            complaint = self.process.stderr.read().decode(errors="replace").strip() or "no reason given"
            raise RuntimeError(f"a worker of the executor did not start: {complaint.splitlines()[-1]}")
        return None

    def stop(self) -> None:
        """Tell the worker that nothing more will come, so that it stops itself and its child; it has a second."""
        with self.process:
            with contextlib.suppress(OSError):  # what was written last may not have reached it
                self.process.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(1.0)
            self.process.kill()


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
        self.workers = (os.cpu_count() or 1) if workers is None else workers
        limits = (wall_seconds, cpu_seconds, memory_mb, max_output_chars)
        if min(self.workers, *limits) <= 0 or max_output_chars > 50_000:
            raise ValueError("workers and limits must be positive, and max_output_chars at most 50000")
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
        return self.run_many([job])[0]

    def run_many(self, jobs: Sequence[Job | Script]) -> list[Execution]:
        """Run many; results in the order of ``jobs``. Equal jobs run once."""
        with self._lock:
            if self._closed:
                raise RuntimeError("the executor is closed")
            if os.getpid() != self._pid:
                raise RuntimeError("the executor belongs to another process; make one after forking")
            first: dict[Job | Script, Result] = {}
            executions: dict[Job | Script, Execution] = {}
            todo = list(dict.fromkeys(jobs))
            try:
                for lane in range(len(HASH_SEEDS)):
                    results = self._pass(lane, [_message(job, first.get(job)) for job in todo])
                    for job, result in zip(todo, results, strict=True):
                        first.setdefault(job, result)
                        executions[job] = _judged(job, first[job], result)
                    todo = [job for job in todo if executions[job].ok and lane + 1 < _lanes(job, first[job])]
            except BaseException:
                self._stop()  # they may be busy with what nobody awaits; the next call starts anew
                raise
        return [executions[job] for job in jobs]

    def layers(self) -> dict[str, str]:
        """Each layer of the sandbox -> "holds", or in a few words why it does not hold on this machine."""
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

    def _pass(self, lane: int, messages: list[Message]) -> list[Result]:
        """The results of one lane: who has nothing to do is handed a batch; if a worker dies, its is tried again."""
        results = dict.fromkeys(range(len(messages)), Result(Verdict.KILLED, "worker died"))
        waiting, tries, busy = deque(results), Counter(), set()
        idle = self._lane(lane) if messages else []
        while waiting or busy:
            while waiting and idle:
                size = min(_BATCH, -(-len(waiting) // (2 * self.workers)))  # small batches if little is left
                batch = [waiting.popleft() for _ in range(size)]
                idle[-1].begin({i: messages[i] for i in batch})
                busy.add(idle.pop())
            for member in wait(busy):
                busy.remove(member)
                found = member.finish()
                if found is None:
                    member.stop()
                    tries.update(member.batch.keys())
                    waiting.extend(i for i in member.batch if tries[i] < _TRIES)
                    self._crew.remove(member)
                    member = Member(lane, self._config)
                    self._crew.append(member)
                results |= found or {}
                idle.append(member)
        return list(results.values())


def _message(job: Job | Script, before: Result | None) -> Message:
    """``before``: what the first lane made of it."""
    known = before is not None and before.company
    return Message(job.program, getattr(job, "input", None), getattr(job, "tests", ""), known)


def _lanes(job: Job | Script, first: Result) -> int:
    """In how many lanes a job runs that gave a literal in the first."""
    if isinstance(job, Script) or job.runs < 2:
        return 1
    return len(HASH_SEEDS) if first.order or "{" in job.input else 2


def _judged(job: Job | Script, first: Result, result: Result) -> Execution:
    """What a result, of the first lane or another, makes of a job; not OK is final."""
    verdict, text = Verdict(result.verdict), result.text
    if verdict is Verdict.OK and isinstance(job, Job) and not result.company and not same_literal(text, text):
        verdict, text = Verdict.KILLED, "forged result"
    if verdict is Verdict.OK and (text == first.text or same_literal(text, first.text)):
        return Execution(verdict, first.text)
    if result is first or verdict in (Verdict.TIMEOUT, Verdict.OUT_OF_MEMORY, Verdict.KILLED):
        return Execution(verdict, detail=text)
    return Execution(Verdict.NON_DETERMINISTIC)
