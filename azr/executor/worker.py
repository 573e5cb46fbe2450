"""The worker: a small process behind walls that forks children to run programs and reports what became of each.

Started by ``crew``; reads batches from descriptor 0 and writes results to 1 (see ``messages``). It never runs or parses
a program itself. One child runs all programs of a batch that may keep company; each of the others, and each that does
not get through there, gets a child of its own. Left out: the comparison of runs, which is the pool's.
"""

from __future__ import annotations

import ast
import contextlib
import gc
import json
import marshal
import os
import select
import signal
import struct
import sys
import time
from typing import Any

from azr.executor import child, company, literals, namespace, policy, sandbox
from azr.executor.jobs import Verdict
from azr.executor.messages import ALONE, VERDICTS, Message, Result, unpack


def main() -> None:
    """Serve until descriptor 0 is closed. The configuration is JSON in the first argument."""
    config = json.loads(sys.argv[1])
    os.register_at_fork = lambda **hooks: None  # what modules do after a fork would have each child copy 90 pages
    namespace.load_modules(config["imports"])
    warm_up()
    lock = sandbox.Lock(config["memory_mb"], config["cpu_seconds"])
    report = sandbox.enter()
    os.environ.clear()
    _send(report | lock.report)
    settings = child.Settings(config["cpu_seconds"], config["max_output_chars"], frozenset(config["imports"]))
    gc.disable()
    gc.freeze()  # nothing here is garbage, and a collector that looks at it would make children copy every page
    while True:
        size = struct.unpack("<I", _read_exactly(4))[0]
        messages = [Message(*job) for job in marshal.loads(_read_exactly(size))]
        _send([tuple(result) for result in run_batch(messages, settings, lock, config["wall_seconds"])])


def warm_up() -> None:
    """Use once what initialises itself on first use, and leave no way to files, which will be gone."""
    exec("'\\N{BULLET}'")
    nodes = policy.nodes_of(ast.parse("def f(x):\n    return [str(i * 2) for i in range(x) if i % 3]"))
    policy.violation(nodes)
    company.may_share(nodes)
    literals.parse_arguments("1, 'a', [2.5]")
    literals.literal_text([1, "a", (2.5, {None})], 100)
    sys.meta_path[:] = [finder for finder in sys.meta_path if finder.__name__ != "PathFinder"]
    gc.collect()


def run_batch(
    messages: list[Message], settings: child.Settings, lock: sandbox.Lock, wall_seconds: float
) -> list[Result]:
    """One result a message. Where a child dies, what it was at must run alone, and another child goes on."""
    results = [Result(ALONE)] * len(messages)
    rest = [i for i, message in enumerate(messages) if message.company is not False]
    while rest:
        found, status = fork([messages[i] for i in rest], False, settings, lock, wall_seconds)
        for i, result in zip(rest, found, strict=False):
            results[i] = result
        rest = rest[len(found) + (status != 0 or not found) :]
    for i, message in enumerate(messages):
        if results[i].code == ALONE:
            found, status = fork([message], True, settings, lock, wall_seconds)
            results[i] = found[0] if found else fate(status)
    return results


def fork(
    messages: list[Message], alone: bool, settings: child.Settings, lock: sandbox.Lock, wall_seconds: float
) -> tuple[list[Result], int | None]:
    """Run ``messages`` in one child: the results that came back, in order, and its wait status (None: too slow)."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            child.run(messages, alone, settings, lock, writing)
        finally:
            os._exit(70)
    os.close(writing)
    deadline = time.monotonic() + wall_seconds * len(messages)
    poll = select.poll()
    poll.register(reading, select.POLLIN)
    poll.register(0, 0)  # to hear that the pool is gone
    results: list[Result] = []
    data = b""
    with contextlib.suppress(ValueError):  # of what is no result
        while len(results) < len(messages):
            ready = dict(poll.poll(max(0.0, deadline - time.monotonic()) * 1000))
            if ready.get(0, 0) & (select.POLLERR | select.POLLHUP):
                os.kill(pid, signal.SIGKILL)
                os._exit(0)
            chunk = os.read(reading, 1 << 16) if ready else b""
            if not chunk:
                break
            found, data = unpack(data + chunk, not alone, 4 * settings.max_chars + 400)
            results += found
    os.close(reading)
    return results[: len(messages)], _end(pid, len(results) >= len(messages), deadline)


def _end(pid: int, finished: bool, deadline: float) -> int | None:
    """Make sure that a child is gone: its wait status, or None where its time was up before it ended."""
    ended, status = 0, 0
    while not (finished or ended) and time.monotonic() < deadline:
        time.sleep(0.0002)
        ended, status = os.waitpid(pid, os.WNOHANG)
    if not ended:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    if os.getpid() == 1:  # of its own PID namespace: nobody else is in it, or should be
        with contextlib.suppress(OSError):
            os.kill(-1, signal.SIGKILL)
            while os.waitpid(-1, 0):
                pass
    return status if finished or ended else None


def fate(status: int | None) -> Result:
    """What a child that reported nothing died of."""
    if status is None:
        verdict, detail = Verdict.TIMEOUT, "wall"
    elif os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number in (signal.SIGPROF, signal.SIGXCPU):
            verdict, detail = Verdict.TIMEOUT, "cpu"
        else:
            verdict, detail = Verdict.KILLED, signal.strsignal(number) or f"signal {number}"
    else:
        verdict, detail = Verdict.KILLED, f"exit status {os.WEXITSTATUS(status)}"
    return Result(VERDICTS.index(verdict), detail, company=False)


def _send(message: Any) -> None:
    data = marshal.dumps(message)
    data = struct.pack("<I", len(data)) + data
    while data:
        data = data[os.write(1, data) :]


def _read_exactly(count: int) -> bytes:
    data = b""
    while len(data) < count:
        chunk = os.read(0, min(count - len(data), 1 << 20))
        if not chunk:
            os._exit(0)
        data += chunk
    return data
