"""What a study trains and measures: an arm with one training seed, or the base with one sampling seed.

    job = Subject(Run(Path("runs/smoke/nano/selfplay-seed0")), profile, "selfplay")
    job.is_trained(), job.is_measured("test")    # of exactly these settings; loads no library
    model, tokenizer, style = job.model(step=4)

Left out: training (``azr.training``) and measuring (``azr.study.measures``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from azr.arms import ARMS, BASE, fingerprint
from azr.config import Profile, choose_profile, override, profile_of
from azr.errors import UserError
from azr.runs import MEASURING, RUNS, Run, file_digest, run_folder, stamp, weights_digest

if TYPE_CHECKING:
    from azr.models.sampling import Decoding
    from azr.prompts.base import PromptStyle


@dataclass(frozen=True)
class Subject:
    """A run, or the base in the place of one, with all that says whether it is there and how it is measured."""

    run: Run
    profile: Profile
    """With the arm's settings."""
    arm: str
    seed: int = 0

    def __str__(self) -> str:
        return f"{self.model_name} {self.arm} seed {self.seed}"

    @property
    def model_name(self) -> str:
        """The model's name without its folder or owner."""
        return Path(self.profile.model.name).name

    @property
    def sampling_seed(self) -> int:
        """0 for all that is trained, so that all share the control's random numbers."""
        return self.seed if self.arm == BASE else 0

    @property
    def names(self) -> tuple[str, ...]:
        """What the study measures of it."""
        return ("test", "validation", "entropy") if self.arm == BASE else ARMS[self.arm].measures

    @property
    def last(self) -> int:
        """The step after which its training ends."""
        return 0 if self.arm == BASE else self.profile.steps

    def steps(self, name: str) -> list[int]:
        """The steps after which ``name`` is measured, of those whose weights were kept."""
        if self.last == 0 or name in ("validation", "curriculum"):
            return [self.last]
        kept = [step for step in self.profile.kept_steps if (self.run.folder / "adapters" / f"step-{step}").is_dir()]
        return sorted({*kept, self.last} - {0})

    def notes(self, name: str, step: int) -> Path:
        """Where ``azr.problems`` notes what of a measurement is finished."""
        return self.run.folder / "measures" / f"{name.replace('/', '-')}-step-{step}.jsonl"

    def samples(self, step: int) -> int:
        """Samples of a test problem: more of the base, and at the end of the arms whose pass@k is drawn."""
        main = step == self.last and (self.arm == BASE or ARMS[self.arm].main)
        return self.profile.evaluation.final_samples if main else self.profile.evaluation.samples

    def is_trained(self) -> bool:
        """Whether the run is finished, and of these settings; the base always is."""
        return self.arm == BASE or self.run.is_current(fingerprint(self.arm, self.profile, self.seed))

    def is_measured(self, name: str) -> bool:
        """Whether the measure ``name`` is there, of these weights and settings."""
        return self.run.is_measured(name, self.inputs)

    def is_done(self) -> bool:
        """Whether there is nothing to train and nothing to measure."""
        return self.is_trained() and all(map(self.is_measured, self.names))

    @property
    def settings(self) -> dict[str, Any]:
        """Every setting that a measure reads."""
        read = {
            "model": {"name", "prompt_style", "dtype"},
            "evaluation": True,
            "rollout": {"references", "max_new_tokens"},
            "problems": {"test", "validation"},
        }
        files = map(Path, (*self.profile.problems.test, self.profile.problems.validation))
        own = [file_digest(file) for file in files if file.is_file()]
        return self.profile.model_dump(include=read) | {"files": own, "sampling_seed": self.sampling_seed}

    @property
    def inputs(self) -> str:
        """Names all that a measure depends on: these settings and the weights."""
        weights = weights_digest(self.profile.model.name) if self.arm == BASE else self.run.record.get("fingerprint")
        return stamp(MEASURING, weights, self.settings)

    def model(self, step: int) -> tuple[Any, Any, PromptStyle]:
        """The model after ``step`` (0: the base), its tokenizer and its prompt style."""
        return _loaded(self.profile, self.run.weights_at(step) if step else None, self.run.record.get("fingerprint"))

    def decoding(self) -> Decoding:
        """How responses are sampled in training, at temperature 1."""
        from azr.models.sampling import Decoding

        return Decoding(self.profile.rollout.max_new_tokens, chunk=self.profile.rollout.chunk)


def subject_of(target: str | Path, profile: str | None, changes: Mapping[str, Any], sampling_seed: int = 0) -> Subject:
    """A finished run by its folder, with its own settings, or a model as it is, with those of a profile.

    ``changes`` are settings by dotted name. Raises UserError for a run that is not finished or given a profile.
    """
    run = Run(Path(target))
    if not run.record:
        settings = choose_profile(profile, str(target), changes)
        folder = run_folder(RUNS, settings.name, str(target), BASE, sampling_seed)
        return Subject(Run(folder), settings, BASE, sampling_seed)
    if profile:
        raise UserError(f"--profile goes with a model: the run {target} has its own; leave it out.")
    run.weights  # noqa: B018  (an unfinished run is refused at once)
    return Subject(run, override(profile_of(run.record["settings"]), changes), run.record["arm"], run.record["seed"])


@lru_cache(maxsize=1)
def _loaded(profile: Profile, weights: Path | None, fingerprint: str | None) -> tuple[Any, Any, PromptStyle]:
    """Model, tokenizer and prompt style of a run's adapter or whole weights; the base for None."""
    import torch

    from azr.models.loading import load_model
    from azr.prompts import load_style

    whole = weights is not None and weights.name == "model"
    name, adapter = (str(weights), None) if whole else (profile.model.name, weights)
    model, tokenizer = load_model(name, profile.model.dtype, adapter)
    style = load_style(profile.model.prompt_style, tokenizer)
    return model.to("cuda" if torch.cuda.is_available() else "cpu"), tokenizer, style
