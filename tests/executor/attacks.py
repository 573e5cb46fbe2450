"""Ways to attack an executor from behind its policy, and to tell what this machine grants."""

from __future__ import annotations

import functools
import sys

import pytest

from azr.executor import Execution, Executor, Job, Script, Verdict

linux = pytest.mark.skipif(sys.platform != "linux", reason="this layer exists on Linux only")


@functools.cache
def layers() -> dict[str, str]:
    with Executor(workers=1) as executor:
        return executor.layers()


def needs(*names: str) -> None:
    """Skip a test of layers that this machine does not grant."""
    for name in names:
        if layers()[name] != "holds":
            pytest.skip(f"{name}: {layers()[name]}")


def attack(executor: Executor, code: str) -> Execution:
    """Run ``code`` where the policy does not look and all builtins are there: only the walls are left."""
    return executor.run(Script("", tests=code))


def still_works(executor: Executor) -> bool:
    return executor.run(Job("def f(x): return [x, str(x)]", "7")).output == "[7, '7']"


def outcome(execution: Execution) -> tuple[Verdict, str]:
    return execution.verdict, execution.output if execution.ok else execution.detail
