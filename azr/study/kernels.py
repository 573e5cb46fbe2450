"""Kernels for papermill that begin at once: forked from the server of jobs, which has loaded the libraries.

    with kernel(log, threads=1) as manager:
        papermill.execute_notebook(path, copy, km=manager, kernel_name="python3")

A kernel of its own program would import torch, transformers and pandas anew for each notebook, which takes as long as
what the notebook computes. Left out: kernels for a browser, which JupyterLab starts.
"""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from jupyter_client import AsyncKernelManager
from jupyter_client.provisioning import LocalProvisioner

from azr.study.jobs import start


@contextmanager
def kernel(log: Path, threads: int) -> Iterator[AsyncKernelManager]:
    """The manager of a forked kernel that computes with ``threads`` threads; what it says itself is in ``log``."""
    manager = AsyncKernelManager(kernel_name="python3")
    manager.provisioner = _Forked(kernel_spec=manager.kernel_spec, parent=manager)
    manager.provisioner.place = log, threads
    try:
        yield manager
    finally:
        asyncio.run(manager.shutdown_kernel())


class _Forked(LocalProvisioner):
    """Starts and stops a kernel where ``LocalProvisioner`` starts a program."""

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> Any:
        arguments = cmd[cmd.index("ipykernel_launcher") + 1 :]
        self.process = start(_serve, (arguments, kwargs["env"], Path.cwd()), *self.place)
        return self.connection_info

    async def poll(self) -> int | None:
        return self.process.exitcode if self.process else 0

    async def wait(self) -> int | None:
        while (code := await self.poll()) is None:
            await asyncio.sleep(0.1)
        self.process = None
        return code

    async def send_signal(self, signum: int) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signum)


def _serve(launch: tuple[list[str], dict[str, str], Path]) -> None:
    """In the forked process: be a kernel until it is told to end."""
    from ipykernel.kernelapp import IPKernelApp

    arguments, environment, folder = launch
    os.setsid()  # an interrupt at the terminal is the parent's business
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    IPKernelApp.launch_instance(arguments)
