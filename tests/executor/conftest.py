"""One executor for the tests of this folder, and executors that lack some of the walls."""

from __future__ import annotations

import pytest

from azr.executor import Executor, pool

WITHOUT = {
    "seccomp filter": "sandbox.seccomp_filter = lambda machine: None",
    "resource limits": "limit = sandbox.resource.setrlimit\n"
    "sandbox.resource.setrlimit = lambda name, values: name == sandbox.resource.RLIMIT_AS and limit(name, values)",
    "empty root directory": "sandbox._leave_file_system = lambda: None",
    "unprivileged user": "sandbox._become_nobody = lambda: None",
    "no capabilities": "sandbox._drop_capabilities = lambda: None",
    "namespaces": "def unshare(): raise OSError('left out')\nsandbox._unshare = unshare",
}
"""Layer -> what a worker does before it starts so that it goes without."""


@pytest.fixture(scope="session")
def executor():
    with Executor(workers=2, wall_seconds=120, cpu_seconds=0.5, memory_mb=64) as executor:
        yield executor


@pytest.fixture(scope="session")
def stripped():
    """``stripped("seccomp filter", ...)``: an executor without these layers, to see what the others hold."""
    made: dict[frozenset[str], Executor] = {}

    def get(*without: str, **limits: float) -> Executor:
        key = frozenset(without)
        if key not in made:
            changes = "\n".join(["from azr.executor import sandbox", *(WITHOUT[name] for name in sorted(without))])
            start = pool._BOOTSTRAP
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(pool, "_BOOTSTRAP", start.replace("worker.main()", f"{changes}\nworker.main()"))
                made[key] = Executor(workers=1, **({"wall_seconds": 120} | limits))
                made[key].layers()
        return made[key]

    yield get
    for one in made.values():
        one.close()
