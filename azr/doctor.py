"""What this machine has, and what of the project can run on it.

    azr doctor
    azr doctor --model Qwen/Qwen2.5-Coder-3B --profile gpu    # whether a model fits, before anything of it is loaded

Left out on purpose: measuring speed, and changing anything.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import shutil
import sys
from pathlib import Path

from azr.config import load_profile, override
from azr.environment import unmet_requirements
from azr.errors import UserError
from azr.executor import sandbox_layers
from azr.paths import ROOT, profile_names

SHOWN_PACKAGES = ("torch", "transformers", "trl", "peft", "accelerate", "numpy")
BUILT_IN_MODELS = ("nano", "micro")
GIB = 2**30


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``azr doctor``: of none it describes the machine, of a model whether it fits."""
    parser.add_argument("--model", help="nano, micro, a local folder or a hub id: say what memory it takes")
    parser.add_argument("--profile", help="with these settings (default: gpu, for a built-in model laptop)")
    parser.add_argument("--full", action="store_true", help="training all weights instead of a LoRA adapter")
    parser.add_argument("--shards", type=int, metavar="N", help="split over N devices (FSDP, ZeRO-3; default: 1)")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="any setting of azr/config.py, as train.steps=3",
    )


def cores(cgroup: Path = Path("/sys/fs/cgroup")) -> float:
    """Processor cores this process may use: those it may be scheduled on, less if a container grants it less."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = (cgroup / "cpu.max").read_text(encoding="utf-8").split()
        return min(float(available), int(quota) / int(period))
    except (OSError, ValueError):  # no such file, or "max": no limit
        return float(available)


def memory_bytes(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Main memory in bytes: the machine's, or what a container grants if that is less."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        return min(machine, int((cgroup / "memory.max").read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return machine


def gpus() -> list[str]:
    """Name and memory of every CUDA GPU that torch sees, or that it is an Apple one."""
    import torch

    if torch.backends.mps.is_available():
        return ["Apple GPU, shared memory"]
    found = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
    return [f"{gpu.name}, {gpu.total_memory / GIB:.0f} GiB" for gpu in found]


def profile_line(name: str, gpu_count: int) -> str:
    """Whether the profile called ``name`` fits a machine with so many GPUs."""
    model = load_profile(name).model.name
    if model in BUILT_IN_MODELS:
        return f"{name}: fits (built-in model {model})"
    if gpu_count:
        return f"{name}: fits if the GPU's memory holds {model}; azr doctor --profile {name} says"
    return f"{name}: does not fit ({model} needs a GPU, and there is none)"


def report() -> list[tuple[str, str]]:
    """Pairs of heading and line, in the order in which they are shown; a heading may come more than once."""
    packages = [f"{name} {importlib.metadata.version(name)}" for name in SHOWN_PACKAGES]
    graphics = gpus()
    return [
        ("system", f"{platform.system()} {platform.release()}, {platform.machine()}"),
        ("Python", f"{platform.python_version()} ({sys.executable})"),
        ("packages", ", ".join(packages)),
        ("cores", f"{cores():g}"),
        ("memory", f"{memory_bytes() / GIB:.1f} GiB"),
        ("disk", f"{shutil.disk_usage(ROOT).free / GIB:.0f} GiB free where the project is"),
        *[("GPU", line) for line in graphics or ["none; the built-in models need none"]],
        *[("sandbox", f"{layer}: {state}") for layer, state in sandbox_layers().items()],
        *[("profile", profile_line(name, len(graphics))) for name in profile_names()],
    ]


def fit(args: argparse.Namespace) -> list[tuple[str, str]]:
    """Whether the chosen model fits, as pairs of heading and line. Raises UserError for what is no model or setting."""
    from azr.fit import fit_report  # only here: it takes seconds to import
    from azr.training.cli import chosen_profile

    shards = 1 if args.shards is None else args.shards
    if shards < 1:
        raise UserError(f"--shards is {shards}; it must be at least 1.")
    args.profile = args.profile or ("laptop" if args.model in BUILT_IN_MODELS else "gpu")
    profile = chosen_profile(args)
    return fit_report(override(profile, {"model.full": True}) if args.full else profile, memory_bytes(), shards)


def main(args: argparse.Namespace) -> int:
    """``azr doctor``: 0, or 1 if the environment lacks something that pyproject.toml asks for."""
    if args.model or args.profile:
        for heading, line in fit(args):
            print(f"{heading:<10}{line}")
        return 0
    for name, value in (("full", args.full or None), ("shards", args.shards), ("set", args.set or None)):
        if value is not None:
            raise UserError(f"--{name} goes with --model or --profile: add one of them, or leave --{name} out.")
    unmet = unmet_requirements(["test"])
    for heading, line in [("missing", line) for line in unmet] or report():
        print(f"{heading:<10}{line}")
    if unmet:
        print("./run_all.sh makes an environment that has them.")
    return 1 if unmet else 0
