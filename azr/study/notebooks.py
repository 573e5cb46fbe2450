"""The notebooks of a profile, run in order; only those that are not complete or whose inputs changed.

    azr run --profile smoke --only 04,06

A notebook is complete when the fingerprint noted in ``runs/PROFILE/notebooks.json`` is the present one (its cells, its
parameters, the profile, the package's files and the versions it runs on) and its executed copy and figures are there.

A notebook says what it takes in its cell tagged ``parameters``, of which ``profile``, ``seeds``, ``jobs``, ``runs`` and
``figures`` are filled in; in its metadata it says which figures it makes (each as PNG, PDF and CSV) and about how long
it takes: ``{"azr": {"figures": ["fig04_pass_at_k"], "seconds": {"smoke": 20, "laptop": 240}}}``.

Left out on purpose: running notebooks side by side (training already fills the cores), and data dependencies between
them (each makes what it misses).
"""

from __future__ import annotations

import argparse
import ast
import fcntl
import hashlib
import importlib.metadata
import json
import logging
import os
import platform
import re
import shutil
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, TextIO

from azr.errors import UserError
from azr.paths import DEFAULT_PROFILE, ROOT, RUNS, profile_names
from azr.progress import duration

KERNEL = "azr"
PACKAGE = ROOT / "azr"
FIGURE_SUFFIXES = (".png", ".pdf", ".csv")
LARGER = "_larger"
DEFAULT_SECONDS = 30.0
"""Expected time of a notebook of which neither a past run nor its metadata says anything."""


@dataclass(frozen=True)
class Settings:
    """What one call of the runner is to do, and where."""

    profile: str = DEFAULT_PROFILE
    """Stem of a file in azr/profiles."""
    seeds: int | None = None
    """Seeds a method; None leaves it to the profile."""
    jobs: int | None = None
    """Processes to use; None leaves it to the notebook. Changes no result, so it is in no fingerprint."""
    notebooks: Path = ROOT / "notebooks"
    """Folder of the ``NN_name.ipynb``."""
    runs: Path = RUNS
    """Folder that holds one folder a profile."""
    reference_figures: Path = ROOT / "figures"
    """Where the default profile's figures go, which are part of the repository."""

    @property
    def folder(self) -> Path:
        """Everything this profile makes."""
        return self.runs / self.profile

    @property
    def figures(self) -> Path:
        """Where this profile's figures go."""
        return self.reference_figures if self.profile == DEFAULT_PROFILE else self.folder / "figures"

    @property
    def executed(self) -> Path:
        """Where the executed copies go."""
        return self.folder / "notebooks"


class NotebookError(Exception):
    """A notebook stopped; the message names it, its cell and the error in a few lines."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``azr run``, which are those of run_all.sh."""
    parser.add_argument("--profile", default=DEFAULT_PROFILE, help="smoke, laptop, gpu or paper (default: %(default)s)")
    parser.add_argument("--only", metavar="04,06", help="only the notebooks with these numbers")
    parser.add_argument("--fresh", action="store_true", help="first delete what this profile made before")
    parser.add_argument("--seeds", type=int, metavar="N", help="seeds a method (default: the profile's)")
    parser.add_argument("--jobs", type=int, metavar="N", help="processes to use (default: the number of cores)")


def available_notebooks(folder: Path) -> dict[str, Path]:
    """Number ("04") to path of every ``NN_name.ipynb`` in ``folder``, in order.

    Raises:
        UserError: there is none, or two share a number.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.glob("[0-9][0-9]_*.ipynb")):
        if path.name[:2] in found:
            raise UserError(f"{path.name} and {found[path.name[:2]].name} share a number: rename one of them")
        found[path.name[:2]] = path
    if not found:
        raise UserError(f"there is no notebook NN_name.ipynb in {folder}: run this from a checkout of the project")
    return found


def choose(only: str | None, available: Mapping[str, Path]) -> list[str]:
    """The numbers to run, in the notebooks' order; ``only`` is what the user typed, None for all.

    Raises:
        UserError: a number that no notebook has.
    """
    if only is None:
        return list(available)
    words = [word.strip() for word in only.split(",")]
    wanted = [word.zfill(2) if word else "" for word in words]
    for number in wanted:
        if number not in available:
            raise UserError(f"there is no notebook {number!r}: choose from {', '.join(available)}, as in --only 04,06")
    return [number for number in available if number in wanted]


def check_arguments(args: argparse.Namespace, base: Settings | None = None) -> tuple[Settings, list[str]]:
    """The settings and the notebooks' numbers that ``args`` ask for; folders are those of ``base``.

    Needs nothing but the standard library.

    Raises:
        UserError: unknown profile or notebook number, or a count below 1.
    """
    base = base or Settings()
    profiles = profile_names()
    if args.profile not in profiles:
        raise UserError(f"there is no profile {args.profile!r}: choose one of {', '.join(profiles)}")
    for name in ("seeds", "jobs"):
        count = getattr(args, name)
        if count is not None and count < 1:
            raise UserError(f"--{name} {count} is too few: give at least 1")
    numbers = choose(args.only, available_notebooks(base.notebooks))
    return replace(base, profile=args.profile, seeds=args.seeds, jobs=args.jobs), numbers


def declared_parameters(notebook: Mapping[str, Any]) -> set[str]:
    """The names that the cell tagged ``parameters`` assigns; empty without such a cell."""
    names = set()
    for cell in notebook["cells"]:
        if "parameters" in cell["metadata"].get("tags", ()):
            for statement in ast.parse(_source(cell)).body:
                if isinstance(statement, ast.Assign):
                    names |= {target.id for target in statement.targets if isinstance(target, ast.Name)}
                elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                    names.add(statement.target.id)
    return names


def declared_figures(notebook: Mapping[str, Any], profile: Mapping[str, Any]) -> list[str]:
    """Names, without suffix, of the figures that the notebook says it makes with what ``profile`` asks for.

    Figures of a larger model, whose names end in ``_larger``, need a profile that has one; those that the metadata
    names under ``exact`` one that bounds probabilities.
    """
    said = notebook["metadata"].get("azr", {})
    exact = profile.get("evaluation", {}).get("exact_problems", 0) > 0
    names = [
        name for name in said.get("figures", ()) if exact or name.removesuffix(LARGER) not in said.get("exact", ())
    ]
    return [name for name in names if profile.get("larger") or not name.endswith(LARGER)]


def parameters_for(notebook: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """What to fill in: of what the settings know, that for which the notebook has a parameter."""
    known = {
        "profile": settings.profile,
        "seeds": settings.seeds,
        "jobs": settings.jobs,
        "runs": str(settings.runs),
        "figures": str(settings.figures),
    }
    names = declared_parameters(notebook)
    return {name: value for name, value in known.items() if name in names and value is not None}


def fingerprint(notebook: Mapping[str, Any], parameters: Mapping[str, Any], profile: Mapping[str, Any]) -> str:
    """A hash of all that the notebook's result depends on; ``profile`` is what its file holds."""
    parts = {
        "cells": [[cell["cell_type"], _source(cell)] for cell in notebook["cells"]],
        "figures": declared_figures(notebook, profile),
        "parameters": {name: value for name, value in parameters.items() if name != "jobs"},
        "profile": profile,
        "code": code_hash(),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


@cache
def code_hash() -> str:
    """A hash of the package's files (profiles excepted), of Python's version and of the installed requirements'."""
    digest = hashlib.sha256(platform.python_version().encode())
    for line in tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]:
        name = re.match(r"[\w.-]+", line)[0]
        digest.update(f"{name}=={importlib.metadata.version(name)}\n".encode())
    for path in sorted(PACKAGE.rglob("*")):
        relative = path.relative_to(PACKAGE)
        if path.is_file() and not {"__pycache__", "profiles"} & set(relative.parts):
            digest.update(f"{relative.as_posix()} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def _source(cell: Mapping[str, Any]) -> str:
    """A cell's text; the file format allows a string or a list of lines."""
    return "".join(cell["source"])


class Record:
    """What is known of past runs of a profile's notebooks: ``notebooks.json``, rewritten whole at each change."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            rows = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            rows = {}
        whole = isinstance(rows, dict) and all(isinstance(row, dict) for row in rows.values())
        self.rows: dict[str, dict[str, Any]] = rows if whole else {}

    def fingerprint(self, name: str) -> str:
        """The fingerprint under which ``name`` was completed; "" if it was not."""
        return self.rows.get(name, {}).get("fingerprint", "")

    def seconds(self, name: str) -> float | None:
        """How long ``name`` took when it last completed."""
        return self.rows.get(name, {}).get("seconds")

    def begin(self, name: str) -> None:
        """Note that ``name`` is no longer complete."""
        self._write({**self.rows.get(name, {}), "fingerprint": ""}, name)

    def complete(self, name: str, fingerprint: str, seconds: float) -> None:
        """Note that ``name`` is complete."""
        self._write({"fingerprint": fingerprint, "seconds": round(seconds, 1)}, name)

    def _write(self, row: dict[str, Any], name: str) -> None:
        self.rows[name] = row
        self.path.parent.mkdir(parents=True, exist_ok=True)
        draft = self.path.with_suffix(".tmp")
        draft.write_text(json.dumps(self.rows, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        draft.replace(self.path)


def expected_seconds(name: str, notebook: Mapping[str, Any], profile: str, record: Record) -> float:
    """How long a notebook should take: as long as last time, else as its metadata says."""
    planned = notebook["metadata"].get("azr", {}).get("seconds", {})
    return record.seconds(name) or float(planned.get(profile, DEFAULT_SECONDS))


def rest_seconds(done: Iterable[tuple[float, float]], ahead: Iterable[float]) -> float:
    """Time still needed: what is expected ahead, times how much slower this machine is than expected.

    Args:
        done: (expected, real) seconds of each notebook already run.
        ahead: expected seconds of those to come.
    """
    done, ahead = list(done), list(ahead)
    # As if a quarter of what is ahead had already run at the expected speed: one short notebook proves little.
    prior = sum(ahead) / 4
    expected, real = (sum(column) for column in zip(*done, strict=True)) if done else (0.0, 0.0)
    return sum(ahead) * (real + prior) / (expected + prior) if ahead else 0.0


class Echo:
    """Writes a notebook's own output, indented, to the terminal as it comes.

    A line that ends in a carriage return is a progress bar's: it is overwritten on a terminal and left out elsewhere.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream, self.rest, self.width = stream, "", 0

    def write(self, text: str) -> None:
        *lines, self.rest = re.split(r"(?<=[\r\n])", self.rest + text.replace("\r\n", "\n"))
        for line in lines:
            if line.endswith("\n"):
                self.stream.write(f"    | {line[:-1].ljust(self.width)}\n")
                self.width = 0
            elif self.stream.isatty() and line != "\r":
                self.stream.write(f"    | {line[:-1].ljust(self.width)}\r")
                self.width = len(line) - 1
        self.stream.flush()

    def flush(self) -> None:
        """Part of what papermill asks of a file; lines are already flushed as they come."""

    def close(self) -> None:
        """Write what came without an end of line."""
        if self.rest:
            self.write("\n")


def profile_file(name: str) -> dict[str, Any]:
    """What the file of a profile holds."""
    from azr.config import profile_values  # only here: check_arguments needs the standard library alone

    return profile_values(name)


def figure_files(notebook: Mapping[str, Any], settings: Settings) -> list[Path]:
    """Every file of the figures that the notebook says it makes."""
    names = declared_figures(notebook, profile_file(settings.profile))
    return [settings.figures / f"{name}{suffix}" for name in names for suffix in FIGURE_SUFFIXES]


def is_complete(path: Path, notebook: Mapping[str, Any], settings: Settings, record: Record, present: str) -> bool:
    """Whether nothing needs doing: same fingerprint as ``present``, executed copy and figures there."""
    files = [settings.executed / path.name, *figure_files(notebook, settings)]
    return record.fingerprint(path.stem) == present and all(file.exists() for file in files)


def execute(path: Path, notebook: Mapping[str, Any], settings: Settings, kernel: str) -> None:
    """Run one notebook through papermill, its output echoed; leaves the executed copy in ``settings.executed``.

    Raises:
        NotebookError: a cell raised, the kernel died, or a declared figure was not written.
    """
    import papermill

    copy = settings.executed / path.name
    copy.parent.mkdir(parents=True, exist_ok=True)
    copy.unlink(missing_ok=True)
    figures = figure_files(notebook, settings)
    before = {file: _stamp(file) for file in figures}
    echo = Echo(sys.stdout)
    logging.getLogger("papermill").setLevel(logging.CRITICAL)  # what it would say is said below
    try:
        papermill.execute_notebook(
            path,
            copy,
            parameters=parameters_for(notebook, settings),
            kernel_name=kernel,
            language="python",
            progress_bar=False,
            stdout_file=echo,
            cwd=ROOT,
            extra_arguments=["--IPKernelApp.log_level=50"],  # the kernel's own remarks; errors of cells come anyhow
        )
    except papermill.exceptions.PapermillExecutionError as error:
        problem = " ".join(f"{error.ename}: {error.evalue}".split())
        raise NotebookError(_failure(path, copy, problem)) from error
    except RuntimeError as error:  # nbclient's DeadKernelError, and a kernel that does not start
        raise NotebookError(_failure(path, copy, f"{error} (out of memory?)")) from error
    finally:
        echo.close()
    unwritten = [file.name for file in figures if _stamp(file) in (None, before[file])]
    if unwritten:
        raise NotebookError(f"{path.stem} ran, but did not write {', '.join(unwritten)} in {settings.figures}.")


def _stamp(file: Path) -> tuple[int, int] | None:
    """What changes when a file is written; None if there is no file."""
    return (file.stat().st_mtime_ns, file.stat().st_ino) if file.exists() else None


def _failure(path: Path, copy: Path, problem: str) -> str:
    """The lines that name the notebook, the cell that ran last (as numbered in the source) and the problem."""
    place = ""
    if copy.exists():
        cells = json.loads(copy.read_text(encoding="utf-8"))["cells"]
        added = {"injected-parameters", "papermill-error-cell-tag"}
        cells = [cell for cell in cells if not added & set(cell["metadata"].get("tags", ()))]
        begun = [n for n, cell in enumerate(cells, 1) if cell["metadata"].get("papermill", {}).get("start_time")]
        if begun:
            first_line = _source(cells[begun[-1] - 1]).strip().partition("\n")[0]
            place = f" in cell {begun[-1]} ({first_line})"
    return f"{path.stem} failed{place}:\n    {problem[:1000]}\nThe executed copy is {copy}."


def ensure_kernel(prefix: str = sys.prefix) -> str:
    """Install this interpreter's Jupyter kernel under ``prefix`` unless it is there; returns the kernel's name.

    Raises:
        UserError: ``prefix`` cannot be written to.
    """
    from ipykernel.kernelspec import install

    spec = Path(prefix) / "share" / "jupyter" / "kernels" / KERNEL / "kernel.json"
    try:
        installed = json.loads(spec.read_text(encoding="utf-8"))["argv"][0]
    except (OSError, ValueError, LookupError):
        installed = None
    if installed != sys.executable:
        try:
            install(prefix=prefix, kernel_name=KERNEL, display_name=KERNEL)
        except OSError as error:
            raise UserError(f"no Jupyter kernel could be installed in {prefix}: make that folder writable") from error
    return KERNEL


@contextmanager
def plain_environment() -> Iterator[None]:
    """For as long as it lasts, notebooks see nothing of a person's own settings of IPython and Matplotlib.

    Start-up files could change a result, a backend without notebooks leaves them without pictures, and a home may
    not be writable.
    """
    before = dict(os.environ)
    with tempfile.TemporaryDirectory(prefix="azr-") as folder:
        os.environ |= {"IPYTHONDIR": folder, "JUPYTER_RUNTIME_DIR": folder, "JUPYTER_PREFER_ENV_PATH": "1"}
        os.environ.pop("MPLBACKEND", None)
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)


@contextmanager
def alone(settings: Settings) -> Iterator[None]:
    """For as long as it lasts, no other process runs this profile's notebooks: two would train into one folder.

    Raises:
        UserError: another one does.
    """
    settings.runs.mkdir(parents=True, exist_ok=True)
    with (settings.runs / f".{settings.profile}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"profile {settings.profile!r} is being run by another process: wait for it, or stop it first"
            ) from None
        yield


def run_notebooks(settings: Settings, numbers: list[str], kernel: str) -> int:
    """Run the notebooks with these numbers that are not complete, in order, up to the first failure.

    Returns:
        0, or 1 if a notebook failed.
    """
    profile = profile_file(settings.profile)
    available = available_notebooks(settings.notebooks)
    record = Record(settings.folder / "notebooks.json")
    ahead: list[tuple[Path, dict[str, Any], str]] = []
    for path in (available[number] for number in numbers):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        present = fingerprint(notebook, parameters_for(notebook, settings), profile)
        if is_complete(path, notebook, settings, record, present):
            print(f"{path.stem}: complete, nothing to do", flush=True)
        else:
            ahead.append((path, notebook, present))
    start, total = time.monotonic(), len(ahead)
    expected = [expected_seconds(path.stem, notebook, settings.profile, record) for path, notebook, _ in ahead]
    done: list[tuple[float, float]] = []
    for index, (path, notebook, present) in enumerate(ahead):
        rest = rest_seconds(done, expected[index:])
        print(
            f"[{index + 1}/{total}] {path.stem} ({duration(time.monotonic() - start)}, about {duration(rest)} left)",
            flush=True,
        )
        record.begin(path.stem)
        began = time.monotonic()
        try:
            execute(path, notebook, settings, kernel)
        except NotebookError as failure:
            print(failure, file=sys.stderr)
            return 1
        seconds = time.monotonic() - began
        record.complete(path.stem, present, seconds)
        done.append((expected[index], seconds))
    print(f"Profile {settings.profile}: {total} run, {len(numbers) - total} already complete, ", end="")
    print(f"{duration(time.monotonic() - start)}. Figures are in {settings.figures}.", flush=True)
    return 0


def main(args: argparse.Namespace, base: Settings | None = None) -> int:
    """``azr run``: check the arguments, delete if asked to, run; folders are those of ``base``."""
    from azr.config import checked, load_profile

    settings, numbers = check_arguments(args, base)
    checked(load_profile(settings.profile))  # before anything is deleted
    kernel = ensure_kernel()
    with alone(settings), plain_environment():
        if args.fresh:
            shutil.rmtree(settings.folder, ignore_errors=True)
        return run_notebooks(settings, numbers, kernel)
