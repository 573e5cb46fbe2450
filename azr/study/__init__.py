"""What the notebooks call: make the runs and measurements that a figure needs, read them, save what is drawn.

    study = open_study("smoke")
    study.ensure(["selfplay"])                   # says what is missing and how long it takes; then trains it
    study.show("fig03_selfplay")                 # draws, saves and displays a figure, and reads it in sentences
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
from typing import TYPE_CHECKING, Any

from azr.arms import BASE
from azr.config import Profile, StudyModel, load_profile, override
from azr.errors import UserError
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
CHECK, REFERENCE = "smoke", "reference"
"""The profile whose numbers only show that everything runs, and the one whose figures and measurements ship."""
BEGUN = "begun-afresh"
"""A file among a profile's runs from when ``--fresh`` begins them until they are finished and their figures drawn."""


def said(number: Any, form: str = "+.3f") -> str:
    """A number with its 95 % interval, where it has one: an ``Interval``, or a row of a table; "" for NaN."""
    text, *ends = (f"{value:{form}}" for value in (number.estimate, number.low, number.high))
    return "" if "nan" in text else text if "nan" in ends[0] else f"{text} [{', '.join(ends)}]"


@dataclass
class Study:
    """A profile's runs, frames and figures; ``open_study`` makes one."""

    profile: Profile
    runs: Path
    figures: Path
    seeds: tuple[int, ...] | None = None
    side_by_side: int | None = None

    @property
    def ships(self) -> bool:
        """Whether this is the reference study as it ships, and not being trained here."""
        return self.profile.name == REFERENCE and not (self.runs / REFERENCE / BEGUN).exists()

    def jobs(self, arms: Sequence[str] | None = None) -> list[Subject]:
        """What there is to train and measure: of some arms and the base, or of all."""
        return jobs_of(self.profile, DATA / "runs" if self.ships else self.runs, arms, self.seeds)

    def ensure(self, arms: Sequence[str]) -> None:
        """Train and measure what is missing of ``arms`` and the base, or of other settings; says first what that is.

        May be interrupted: what is done is kept, and the next call goes on from there. Nothing is trained of the
        reference study while it is read as it ships. Raises FailedError.
        """
        jobs = self.jobs(arms)
        missing = [] if self.ships else [job for job in jobs if not job.is_done()]
        if not missing:
            return
        workers = self.side_by_side or default_side_by_side(self.profile)
        seconds = estimate(missing, workers)
        time = f"about {duration(seconds)}" if seconds is not None else "a time that each tells before its first step"
        kinds = ", ".join(dict.fromkeys(f"{job.model_name} {job.arm}" for job in missing))
        print(f"{len(missing)} of {len(jobs)} runs are missing ({kinds}): {time}, {workers} side by side.")
        print("Interrupt at any time: what is done is kept, and the same command or cell goes on.", flush=True)
        run_jobs(missing, workers)
        for stale in ("frames", "claims", "found"):
            self.__dict__.pop(stale, None)

    @cached_property
    def frames(self) -> Frames:
        """The tidy frames of what is there, by name (``azr.study.collect``)."""
        return load_frames(DATA) if self.ships else collect(self.jobs())

    @cached_property
    def reference(self) -> Frames | None:
        """The same of the reference study as it ships; None without its files."""
        return load_frames(DATA) if (DATA / "record.json").exists() else None

    def frames_of(self, figure: str) -> Frames:
        """What a figure is drawn from: this study's frames, or the reference's while none of its arms is here."""
        from azr.figures.catalogue import FIGURES, arm_of

        arms = set(FIGURES[figure].methods or ["selfplay"])
        needs = [name for name in FIGURES[figure].needs if name in self.frames] or ["test"]  # claims are of all frames
        there = {arm_of(method) for name in needs for method in self.frames[name]["method"].unique()}
        return self.frames if there & (arms - {BASE} or arms) or self.reference is None else self.reference

    @cached_property
    def claims(self) -> pd.DataFrame:
        """The claims with their verdicts, of the frames that figure 9 is drawn from."""
        from azr.study.claims import claims_table

        return claims_table(self.frames_of("fig09_claims"), verdicts=self.profile.name != CHECK)

    @cached_property
    def found(self) -> str:
        """What was found, in Markdown, of the same frames."""
        from azr.study.readings import findings

        return findings(self.frames_of("fig09_claims"), self.claims)

    def show(self, name: str) -> pd.DataFrame:
        """Draw a figure over the reference study's, save and display it, and print what it says.

        Returns the frame that it shows, empty where too little is there to draw it.
        """
        import pandas as pd
        from IPython.display import display

        from azr.figures.catalogue import draw
        from azr.study.claims import claims_table
        from azr.study.readings import readings

        frames, behind = self.frames_of(name), self.reference
        words = readings(name, frames)
        if behind is frames or self.profile.name == REFERENCE:
            behind = None
        if name == "fig09_claims":
            frames, words = {"claims": self.claims}, [self.found]
            behind = {"claims": claims_table(behind)} if behind else None
        try:
            figure, frame = draw(name, frames, behind)
        except UserError as error:
            print(error)
            return pd.DataFrame()
        if self.profile.name == CHECK:
            words.append("A check of the pipeline, not a result.")
            figure.supxlabel(words[-1], fontsize=8, color="firebrick")
        self.save(figure, name, frame)
        display(figure)
        print("\n".join(words))
        return frame

    def save(self, figure: Figure, name: str, frame: pd.DataFrame) -> None:
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
        settings = override(settings, {"models": own, "model.name": model})
    folder = Path(runs) if runs else RUNS
    figures = os.environ.get("AZR_FIGURES") or folder / settings.name / "figures"
    return Study(settings, folder, Path(figures), None if seed is None else (seed,), jobs)
