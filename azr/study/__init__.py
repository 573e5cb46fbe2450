"""What the notebooks call: make the runs and measurements that a figure needs, read them, save what is drawn.

    study = open_study("smoke")
    study.ensure(["selfplay"])                   # says what is missing and how long it takes; then trains it
    study.frames["test"]                         # tidy frames of all that is there
    study.reference                              # the same of the reference study, which ships

Figures go to ``runs/PROFILE/figures``; only ``run_all.sh`` renews those of the reference study, in ``figures/``.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from azr.config import Profile, StudyModel, load_profile, profile_of
from azr.progress import duration
from azr.runs import ROOT, RUNS
from azr.study.collect import Frames, collect, load_frames
from azr.study.jobs import default_side_by_side, estimate, jobs_of, run_jobs
from azr.study.subject import Subject

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

DATA = ROOT / "figures" / "data"
"""The reference study's measurements."""


@dataclass
class Study:
    """A profile's runs, frames and figures; ``open_study`` makes one."""

    profile: Profile
    runs: Path
    figures: Path
    seeds: tuple[int, ...] | None = None
    side_by_side: int | None = None

    def jobs(self, arms: Sequence[str] | None = None) -> list[Subject]:
        """What there is to train and measure: of some arms and the base, or of all."""
        return jobs_of(self.profile, self.runs, arms, self.seeds)

    def ensure(self, arms: Sequence[str]) -> None:
        """Train and measure what is missing of ``arms`` and the base, or of other settings; says first what that is.

        May be interrupted: what is done is kept, and the next call goes on from there. Raises JobError.
        """
        jobs = self.jobs(arms)
        missing = [job for job in jobs if not job.is_done()]
        if not missing:
            return
        workers = self.side_by_side or default_side_by_side(self.profile)
        seconds = estimate(missing, workers)
        time = f"about {duration(seconds)}" if seconds is not None else "a time that the first steps will tell"
        kinds = ", ".join(dict.fromkeys(f"{job.model_name} {job.arm}" for job in missing))
        print(f"{len(missing)} of {len(jobs)} runs are missing ({kinds}): {time}, {workers} side by side.")
        print(
            "Interrupt at any time: what is done is kept, and the same command or cell goes on from there.", flush=True
        )
        run_jobs(missing, workers)
        self.__dict__.pop("frames", None)

    @cached_property
    def frames(self) -> Frames:
        """The tidy frames of what is there, by name (``azr.study.collect``)."""
        return collect(self.jobs())

    @cached_property
    def reference(self) -> Frames | None:
        """The same of the reference study; None while it does not ship."""
        return load_frames(DATA) if (DATA / "record.json").exists() else None

    def save(self, figure: Figure, name: str, frame: pd.DataFrame) -> None:
        """Write a figure as PNG and PDF with the CSV it was drawn from."""
        from azr.figures.style import save

        save(figure, name, frame, self.figures)

    def save_table(self, name: str, frame: pd.DataFrame) -> None:
        """Write a table beside the figures, as CSV."""
        self.figures.mkdir(parents=True, exist_ok=True)
        frame.to_csv(self.figures / f"{name}.csv", index=False, float_format="%.6g")


def open_study(
    profile: str | Profile,
    model: str | None = None,
    seed: int | None = None,
    jobs: int | None = None,
    runs: str | Path | None = None,
) -> Study:
    """The study of a profile, from a notebook's parameters.

    Args:
        profile: its name, or one with settings of your own under another name.
        model: one model instead of the profile's: a built-in size, a folder or a hub id.
        seed: one training seed instead of all.
        jobs: processes side by side; by default as many as there are cores for.
        runs: the folder with one folder a profile.

    Raises UserError for an unknown profile.
    """
    settings = load_profile(profile) if isinstance(profile, str) else profile
    if model:
        own = [one for one in settings.models if one.name == model] or [StudyModel(name=model)]
        settings = profile_of(
            settings.model_dump() | {"models": own, "model": settings.model.model_dump() | {"name": model}}
        )
    folder = Path(runs) if runs else RUNS
    figures = os.environ.get("AZR_FIGURES") or folder / settings.name / "figures"
    return Study(settings, folder, Path(figures), None if seed is None else (seed,), jobs)
