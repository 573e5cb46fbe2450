"""The pool's end of its workers: starting them, asking them, stopping them for certain.

    member = Member(lane=0, config=config)
    results = member.ask([message, ...], patience=60)

A worker is a fresh interpreter, never a fork of ours (which may have threads, CUDA, gigabytes), with nothing in its
environment but a fixed hash seed. It ends when its input does, so it cannot outlive us. Left out: what is said, see
``messages``.
"""

from __future__ import annotations

import contextlib
import json
import marshal
import os
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from azr.executor.messages import Message, Result

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


class WorkerDiedError(Exception):
    """A worker has ended, or does not answer."""


class Member:
    """The pool's end of one worker process."""

    def __init__(self, lane: int, config: dict[str, Any]) -> None:
        here = Path(__file__).resolve().parent
        program = _BOOTSTRAP.format(package=str(here.parent), executor=str(here))
        environment = {key: os.environ[key] for key in ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH") if key in os.environ}
        self.lane = lane
        self.report: dict[str, str] = {}
        self._config = config
        self._socket, theirs = socket.socketpair()
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

    def ask(self, messages: list[Message], patience: float) -> list[Result]:
        """Have a batch run. Raises WorkerDiedError, and RuntimeError where the worker never came up."""
        data = marshal.dumps([tuple(message) for message in messages])
        try:
            self._socket.settimeout(patience)
            if not self.report:
                self.report = self._receive()
            self._socket.sendall(struct.pack("<I", len(data)) + data)
            return [Result(*result) for result in self._receive()]
        except (OSError, EOFError):
            if self.report:
                raise WorkerDiedError from None
        raise RuntimeError(f"a worker of the executor did not start: {self._complaint()}")

    def again(self) -> Member:
        """A new worker in the place of this one, which is stopped."""
        self.stop(time.monotonic() + 1.0)
        return Member(self.lane, self._config)

    def hang_up(self) -> None:
        """Tell the worker that nothing more will come; whoever waits in ``ask`` hears that it is gone."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def stop(self, deadline: float) -> None:
        """Stop the worker and its child. At the end of its input it does so itself; past the deadline it is killed."""
        self.hang_up()
        try:
            self.process.wait(max(0.01, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._socket.close()
        self.process.stderr.close()

    def _receive(self) -> Any:
        return marshal.loads(self._read(*struct.unpack("<I", self._read(4))))

    def _read(self, count: int) -> bytearray:
        data = bytearray()
        while len(data) < count:
            chunk = self._socket.recv(min(count - len(data), 1 << 20))
            if not chunk:
                raise EOFError
            data += chunk
        return data

    def _complaint(self) -> str:
        """The last line that a dead worker wrote."""
        self.process.kill()
        lines = self.process.stderr.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else f"exit status {self.process.wait()}"


def stop_all(crew: list[Member], pid: int) -> None:
    """Stop every member within about a second and empty the list. Only ``pid``, the process that started them, may."""
    if os.getpid() != pid:  # a forked copy of the pool has no say
        return
    deadline = time.monotonic() + 1.0
    for member in crew:
        member.hang_up()
    for member in crew:
        member.stop(deadline)
    crew.clear()
