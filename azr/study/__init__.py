"""What the notebooks call: make the runs and measurements that a figure needs, and read them as tidy tables.

``open_study("smoke").ensure(["selfplay"])`` trains and measures what is missing, side by side in processes of
``profile.threads`` threads each, so results do not depend on how many; ``table``, ``steps`` and ``proposals`` read the
run folders. A study has a model and, where the profile names a larger one, the same study of that beside it:
``sizes`` has both. Left out: the statistics and the drawing (``azr.metrics``, ``azr.figures``).
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from azr.arms import FULL, arm_measures, arm_profile
from azr.config import Profile, checked, config_hash, load_profile, override
from azr.figures.style import save, use_style
from azr.figures.training import log_frame
from azr.files import read_lines
from azr.jobs import Job, PastJobs, run_jobs
from azr.metrics import paired_seed_interval, pass_at_k
from azr.paths import DEFAULT_PROFILE, ROOT, RUNS, base_folder, run_folder


def _settings(profile: Profile) -> list[str]:
    """The profile's values as ``--set`` options, so that a process works on exactly these."""
    options: list[str] = []
    for section, values in dataclasses.asdict(profile).items():
        pairs = {f"{section}.{k}": v for k, v in values.items()} if isinstance(values, dict) else {section: values}
        options += [f"--set={name}={json.dumps(value)}" for name, value in pairs.items() if name != "name"]
    return options


MEASURES = {"test": ("--split", "test"), "validation": ("--split", "validation"), "exact": ("--exact",)}
"""What ``azr evaluate`` measures of a run or a base into its folder, each as ``<name>.csv``, and the option for it.

A run of self-play has ``curriculum`` besides, by ``azr curriculum``.
"""


def jobs_for(arms: Sequence[str], profile: Profile, runs: Path) -> list[Job]:
    """One job for each arm and seed (train, then measure) and one for each measure of the base model."""
    possible = [*MEASURES, "curriculum"] if profile.evaluation.exact_problems else ["test", "validation", "curriculum"]
    model = profile.model.name
    options = ("--profile", profile.name, "--runs", str(runs), *_settings(profile))
    evaluation = [option for option in _settings(profile) if option.startswith("--set=evaluation.")]
    jobs = []
    for arm in arms:
        measures = [name for name in arm_measures(arm) if name in possible]
        flags = [flag for name in measures if name in MEASURES for flag in MEASURES[name]]
        for seed in range(profile.seeds):
            folder = run_folder(runs, profile.name, model, arm, seed)
            commands: list[tuple[str, ...]] = [("train", arm, "--seed", str(seed), *options)]
            if flags:
                commands.append(("evaluate", str(folder), *flags, *evaluation))
            if "curriculum" in measures:
                commands.append(("curriculum", str(folder), *evaluation))
            makes = tuple(folder / name for name in ("config.json", "done.json", *(f"{m}.csv" for m in measures)))
            jobs.append(Job(f"{Path(model).name} {folder.name}", tuple(commands), makes))
    for name in (name for name in possible if name in MEASURES):
        command = ("evaluate", model, *MEASURES[name], *options)
        table = base_folder(runs, profile.name, model) / f"{name}.csv"
        jobs.append(Job(f"{Path(model).name} base {name}", (command,), (table,)))
    return jobs


@dataclasses.dataclass(frozen=True)
class Study:
    """A profile's runs and figures with one model, as the notebooks use them; ``open_study`` makes one."""

    profile: Profile
    runs: Path
    figures: Path
    jobs: int | None = None
    suffix: str = ""
    """Behind the names of figures and tables: ``_larger`` for the larger model."""

    @property
    def model(self) -> str:
        """The model's name without its folder or owner."""
        return Path(self.profile.model.name).name

    @property
    def sizes(self) -> tuple[Study, ...]:
        """This study and, where the profile names a larger model, the same study of that."""
        profile = self.profile
        if not profile.larger or self.suffix:
            return (self,)
        changes = {"model.name": profile.larger, "seeds": profile.larger_seeds, "larger": ""}
        return self, dataclasses.replace(self, profile=override(profile, changes), suffix="_larger")

    def arms(self, names: Sequence[str]) -> list[str]:
        """Those of the arms that this model trains: the larger one may skip some."""
        skipped = self.profile.larger_skip.split() if self.suffix else []
        return [name for name in names if name not in skipped]

    @property
    def exact(self) -> bool:
        """Whether the profile bounds probabilities exactly, which takes a model with short responses."""
        return self.profile.evaluation.exact_problems > 0

    def ensure(self, arms: Sequence[str]) -> None:
        """Train and measure whatever of ``arms`` and the base is missing or out of date, with every model.

        All that the study measures of a run is measured by the process that trains it. The larger model's jobs start
        first: they take longest. Raises JobError if a process fails.
        """
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        side_by_side = self.jobs or max(1, cores // self.profile.threads)
        jobs = [job for size in self.sizes[::-1] for job in jobs_for(size.arms(arms), size.profile, self.runs)]
        past = PastJobs(self.runs / self.profile.name / "jobs.json")
        run_jobs([job for job in jobs if job not in past], side_by_side, self.profile.threads, past.add)

    def folders(self, arm: str) -> list[Path]:
        """The run folders of an arm, one a seed."""
        name = self.profile.model.name
        return [run_folder(self.runs, self.profile.name, name, arm, seed) for seed in range(self.profile.seeds)]

    def table(self, measure: str, arms: Sequence[str], base: bool = True) -> pd.DataFrame:
        """``<measure>.csv`` of the base and of every run of ``arms``, with method and seed (0 for the base)."""
        runs = [(arm, seed, folder) for arm in arms for seed, folder in enumerate(self.folders(arm))]
        if base:
            runs = [("base", 0, base_folder(self.runs, self.profile.name, self.profile.model.name)), *runs]
        return pd.concat(
            [_table_of(folder / f"{measure}.csv", arm, seed) for arm, seed, folder in runs], ignore_index=True
        )

    def counts(self, arms: Sequence[str]) -> pd.DataFrame:
        """Measured test problems: method, seed and what ``azr evaluate`` writes of each."""
        return self.table("test", arms)

    def records(self, arm: str) -> list[list[dict[str, Any]]]:
        """The log of each seed's run of an arm, one record a step."""
        return [read_lines(folder / "log.jsonl") for folder in self.folders(arm)]

    def steps(self, arms: Sequence[str]) -> pd.DataFrame:
        """The logs of training as ``azr.figures.training.log_frame`` lays them out, one row a step and group."""
        frames = [
            log_frame(records, seed=seed, method=arm) for arm in arms for seed, records in enumerate(self.records(arm))
        ]
        return pd.concat(frames, ignore_index=True)

    def proposals(self, arms: Sequence[str]) -> pd.DataFrame:
        """Every proposal and its fate, with method, seed, step, task_type, solve_rate, reward, program and input."""
        rows = []
        for arm in arms:
            for seed, folder in enumerate(self.folders(arm)):
                for row in read_lines(folder / "proposals.jsonl"):
                    task = row.pop("task") or {"program": None, "inputs": [None]}
                    rows.append(
                        {"method": arm, "seed": seed, "program": task["program"], "input": task["inputs"][0]} | row
                    )
        return pd.DataFrame(rows)

    def save(self, figure: Figure, name: str, frame: pd.DataFrame) -> None:
        """Write a figure as PNG and PDF with the CSV it was drawn from."""
        save(figure, f"{name}{self.suffix}", frame, self.figures)

    def save_table(self, frame: pd.DataFrame, name: str) -> None:
        """Write a table beside the figures, as CSV."""
        self.figures.mkdir(parents=True, exist_ok=True)
        frame.to_csv(self.figures / f"{name}{self.suffix}.csv", index=False, float_format="%.6g")

    def save_setting(self) -> None:
        """Write what the figures were made with as ``setting.json`` beside them."""
        evaluation = self.profile.evaluation
        setting = {"profile": self.profile.name, "model": self.profile.model.name, "seeds": self.profile.seeds}
        setting |= {"steps": self.profile.train.steps, "config": config_hash(self.profile)}
        setting |= {"problems": evaluation.problems, "samples": evaluation.samples}
        self.figures.mkdir(parents=True, exist_ok=True)
        (self.figures / f"setting{self.suffix}.json").write_text(json.dumps(setting, indent=1) + "\n")

    @property
    def note(self) -> str:
        """Model, profile and step count for captions."""
        return self._note(f"{self.profile.train.steps} steps, ")

    @property
    def base_note(self) -> str:
        """The same without steps, of the untrained model."""
        return self._note()

    @property
    def full_note(self) -> str:
        """The same of the arms that train all weights, and their learning rate."""
        train = arm_profile(f"selfplay{FULL}", self.profile)[1].train
        return f"{self._note(f'{train.steps} steps, ')}, learning rate {train.full_learning_rate:g}"

    def _note(self, steps: str = "") -> str:
        return f"{self.model}, {self.profile.name} profile, {steps}T\u00a0=\u00a01"


def open_study(
    profile: str, seeds: int | None = None, jobs: int | None = None, runs: str | None = None, figures: str | None = None
) -> Study:
    """The study of a profile from a notebook's parameters; paths left out are those that ``run_all.sh`` uses."""
    use_style()
    settings = load_profile(profile)
    if seeds is not None:
        settings = override(settings, {"seeds": seeds})
    runs_folder = Path(runs) if runs else RUNS
    default = ROOT / "figures" if profile == DEFAULT_PROFILE else runs_folder / profile / "figures"
    return Study(checked(settings), runs_folder, Path(figures) if figures else default, jobs)


def gains(counts: pd.DataFrame, k: int, reference: str = "base") -> pd.DataFrame:
    """pass@k of each method minus the reference's, by task type, with a 95 % interval over seeds and problems.

    Problems are paired. Columns: task_type, method, k, reference, value, difference, low, high, seeds, problems. The
    interval of a row is that of ``azr.findings``, whatever other rows there are.
    """
    rows = []
    for task_type, table in counts.groupby("task_type", sort=False):
        scores = table.assign(score=pass_at_k(table.n.to_numpy(), table.c.to_numpy(), k))
        matrices = {
            str(method): own.pivot(index="seed", columns="problem", values="score").to_numpy()
            for method, own in scores.groupby("method", sort=False)
        }
        control = matrices[reference].mean(axis=0)
        for method, values in matrices.items():
            if method != reference:
                interval = paired_seed_interval(values, control, np.random.default_rng(0))
                about = {"task_type": task_type, "method": method, "k": k, "reference": control.mean()}
                size = {"value": values.mean(), "seeds": values.shape[0], "problems": values.shape[1]}
                ends = {"difference": interval.estimate, "low": interval.low, "high": interval.high}
                rows.append(about | ends | size)
    return pd.DataFrame(rows)


def _table_of(file: Path, method: str, seed: int) -> pd.DataFrame:
    table = pd.read_csv(file)
    table.insert(0, "method", method)
    table.insert(1, "seed", seed)
    return table
