"""The measures and logs of a study as tidy frames, read from run folders or from the Parquet files that ship.

    frames = collect(jobs_of(load_profile("smoke"), RUNS))
    frames["test"]                               # read when it is first asked for
    save_frames(frames, ROOT / "figures" / "data")

Every frame has model, method (an arm, or "base") and seed first; a run that is missing, or of other settings, is left
out. The base's seed is that of its sampling. Left out: statistics (``azr.tables``).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from azr.arms import ARMS, BASE
from azr.runs import file_digest, read_json, versions, write_json
from azr.study.subject import Subject

if TYPE_CHECKING:
    import pandas as pd

MEASURED = ("test", "validation", "entropy", "curriculum", "sparsity")
NAMES = (*MEASURED, "proposals", "log", "runs")
WEIGHTS = "adapter_model.safetensors"
NOT_SHIPPED = ["program", "input", "response"]
"""Columns of the proposals that are left out of the files: the longest, and read from a run by the notebooks alone."""


class Frames(Mapping[str, "pd.DataFrame"]):
    """Frames by name, each read when it is first asked for."""

    def __init__(self, names: Sequence[str], read: Callable[[str], pd.DataFrame]) -> None:
        self.names, self.read = tuple(names), cache(read)

    def __getitem__(self, name: str) -> pd.DataFrame:
        if name not in self.names:
            raise KeyError(name)
        return self.read(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


def collect(jobs: Sequence[Subject]) -> Frames:
    """The frames of the jobs that are done: test, validation, entropy, curriculum and sparsity as they were measured,
    and proposals (every proposal and its fate), log (step, group, quantity, value) and runs (fingerprint, seconds).
    """
    import pandas as pd

    def read(name: str) -> pd.DataFrame:
        found = []
        for job in jobs:
            frame = _frame(job, name)
            if frame is not None:
                frame = frame.drop(columns=[key for key in ("model", "method", "seed") if key in frame])
                about = {"model": job.model_name, "method": job.arm, "seed": job.seed}
                found.append(pd.DataFrame(about, index=frame.index).join(frame))
        return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=["model", "method", "seed"])

    return Frames(NAMES, read)


def _frame(job: Subject, name: str) -> pd.DataFrame | None:
    """One job's part of a frame; None where it has none."""
    import pandas as pd

    from azr.metrics import statement_count

    run = job.run
    if not job.is_trained() or (job.arm == BASE and name not in MEASURED):
        return None
    if name in MEASURED:
        return run.measure(name) if name in job.names and job.is_measured(name) else None
    if name == "runs":
        done = read_json(run.folder / "done.json", "train the run again")
        return pd.DataFrame([{"fingerprint": run.record["fingerprint"], "steps": job.last} | done])
    if name == "log":
        return run.log
    if not (run.folder / "proposals.jsonl").exists():
        return None
    proposals = run.proposals
    count = {program: statement_count(program) for program in proposals["program"].dropna().unique()}
    return proposals.assign(statements=proposals["program"].map(count))


def save_frames(frames: Mapping[str, pd.DataFrame], folder: Path) -> None:
    """Write frames as Parquet files, and ``record.json`` with what made them and a digest of each."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, frame in frames.items():
        dropped = [column for column in NOT_SHIPPED if name == "proposals" and column in frame]
        frame.drop(columns=dropped).to_parquet(folder / f"{name}.parquet", index=False, compression="zstd")
    digests = {name: file_digest(folder / f"{name}.parquet") for name in frames}
    write_json(folder / "record.json", {"versions": versions(), "sha256": digests})


def save_runs(jobs: Sequence[Subject], folder: Path) -> None:
    """Copy what one needs to look at the first run of each arm whose pass@k is drawn, below ``folder`` as below runs/.

    The log, the proposals and the final adapter, in half precision.
    """
    from safetensors.torch import load_file, save_file

    for job in jobs:
        if job.arm == BASE or not ARMS[job.arm].main or job.seed or not job.is_trained():
            continue
        own, kept = folder / Path(*job.run.folder.parts[-3:]), job.run.weights
        (own / "adapter").mkdir(parents=True, exist_ok=True)
        half = {name: tensor.half() for name, tensor in load_file(kept / WEIGHTS).items()}
        save_file(half, own / "adapter" / WEIGHTS, {"format": "pt"})
        config = read_json(kept / "adapter_config.json", "train the run again")
        write_json(own / "adapter" / "adapter_config.json", config | {"base_model_name_or_path": job.model_name})
        for name in ("run.json", "log.jsonl", "proposals.jsonl", "done.json"):
            if (job.run.folder / name).exists():
                shutil.copyfile(job.run.folder / name, own / name)


def load_frames(folder: Path) -> Frames:
    """The frames that ``save_frames`` wrote. Raises UserError where there are none."""
    import pandas as pd

    names = read_json(folder / "record.json", "restore it from the repository")["sha256"]
    return Frames(list(names), lambda name: pd.read_parquet(folder / f"{name}.parquet"))
