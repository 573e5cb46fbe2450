"""What this machine has: cores, memory, GPUs, packages, sandbox; what ``azr doctor`` prints.

Left out: measuring speed, and changing anything.
"""

import os
import platform
import shutil
import sys
from pathlib import Path

from azr.executor import Executor
from azr.runs import PACKAGES, ROOT, versions

GIB = 2**30
CGROUP = Path("/sys/fs/cgroup")
"""Where a container's limits stand."""


def cores() -> float:
    """Processor cores this process may use: those it may be scheduled on, less if a container grants it less."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = (CGROUP / "cpu.max").read_text(encoding="utf-8").split()
        return min(float(available), int(quota) / int(period))
    except (OSError, ValueError):  # no such file, or "max": no limit
        return float(available)


def memory_bytes() -> int:
    """Main memory in bytes: the machine's, or what a container grants if that is less."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        return min(machine, int((CGROUP / "memory.max").read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return machine


def gpus() -> list[tuple[str, int]]:
    """Name and bytes of memory of every CUDA GPU that torch sees."""
    import torch

    found = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
    return [(gpu.name, gpu.total_memory) for gpu in found]


def machine_report() -> list[tuple[str, str]]:
    """Pairs of heading and line, in the order in which they are shown; a heading may come more than once."""
    lines = [f"{name}, {size / GIB:.0f} GiB" for name, size in gpus()]
    with Executor(workers=1) as executor:
        layers = executor.layers()
    return [
        ("system", f"{platform.system()} {platform.release()}, {platform.machine()}"),
        ("Python", f"{platform.python_version()} ({sys.executable})"),
        ("packages", ", ".join(f"{name} {version}" for name, version in versions().items() if name in PACKAGES)),
        ("cores", f"{cores():g}"),
        ("memory", f"{memory_bytes() / GIB:.1f} GiB"),
        ("disk", f"{shutil.disk_usage(ROOT).free / GIB:.0f} GiB free where the project is"),
        *[("GPU", line) for line in lines or ["none; the built-in models need none"]],
        *[("sandbox", f"{layer}: {state}") for layer, state in layers.items()],
    ]
