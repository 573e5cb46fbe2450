"""What is measured of a run and of the untrained base: a frame by name, made once; a killed measurement goes on.

    measure(Run(Path("runs/smoke/nano/selfplay-seed0")), profile)      # all that the study measures of its arm
    measure_base(profile, sampling_seed=0, folder=Path("runs/smoke/nano/base-seed0"))

test and validation count right responses to problems (``azr.problems.evaluate``), entropy is measured on prompts that
stay the same, curriculum lets the untrained model solve a run's proposals again, sparsity compares weights with the
base's. Step 0 of every run is the base, and is measured there alone. PyTorch is loaded by what measures, not by the
question whether something is measured. Left out: statistics (``azr.tables``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from azr.arms import ARMS, BASE, fingerprint
from azr.config import Profile
from azr.runs import MEASURING, RUNS, Run, file_digest, run_folder, stamp, weights_digest
from azr.tasks import Role, TaskType

if TYPE_CHECKING:
    import pandas as pd

    from azr.models.sampling import Decoding
    from azr.prompts.base import PromptStyle

PROMPTS, RESPONSES = "world/validation", 8
"""Entropy: the problems whose tasks are solved and shown to the proposer, and the responses to each prompt."""
DECODING = {"temperature", "top_p", "max_new_tokens"}
READS = {
    "test": {"problems", "samples", "final_samples"} | DECODING,
    "validation": {"validation_problems", "validation_samples"} | DECODING,
    "entropy": {"entropy_prompts"},
    "curriculum": {"curriculum_problems", "curriculum_samples"},
    "sparsity": set(),
}
"""The settings of the profile's section ``evaluation`` that each measure reads."""


@dataclass(frozen=True)
class Subject:
    """What is trained and measured: an arm with one training seed, or the base with one sampling seed."""

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

    def is_trained(self) -> bool:
        """Whether the run is finished, and of these settings; the base always is."""
        return self.arm == BASE or self.run.is_current(fingerprint(self.arm, self.profile, self.seed))

    def is_done(self) -> bool:
        """Whether there is nothing to train and nothing to measure."""
        return self.is_trained() and all(self.is_measured(name) for name in self.names)

    def steps(self, name: str) -> list[int]:
        """The steps after which ``name`` is measured, of those whose weights were kept."""
        if self.last == 0 or name in ("validation", "curriculum"):
            return [self.last]
        kept = [step for step in self.profile.kept_steps if (self.run.folder / "adapters" / f"step-{step}").is_dir()]
        return sorted({*kept, self.last} - {0})

    def samples(self, step: int) -> int:
        """Samples of a test problem: more of the base, and at the end of the arms whose pass@k is drawn."""
        main = step == self.last and (self.arm == BASE or ARMS[self.arm].main)
        return self.profile.evaluation.final_samples if main else self.profile.evaluation.samples

    def settings(self, name: str) -> dict[str, Any]:
        """Every setting that the measure ``name`` reads."""
        profile = self.profile
        sets = {"test": profile.problems.test, "validation": [profile.problems.validation]}.get(name, [])
        return {
            "name": name,
            "model": profile.model.model_dump(include={"name", "prompt_style", "dtype"}),
            "evaluation": profile.evaluation.model_dump(include=READS[name] | {"every"}),
            "rollout": profile.rollout.model_dump(include={"references", "max_new_tokens"}),
            "sets": [[own, file_digest(Path(own)) if Path(own).is_file() else ""] for own in sets],
            "sampling_seed": self.sampling_seed,
        }

    def inputs(self, settings: dict[str, Any]) -> str:
        """Names what a measure with these settings depends on, the weights among it."""
        weights = weights_digest(self.profile.model.name) if self.arm == BASE else self.run.record.get("fingerprint")
        return stamp(MEASURING, weights, settings)

    def is_measured(self, name: str) -> bool:
        """Whether the measure ``name`` is there, of these weights and settings."""
        return self.run.is_measured(name, self.inputs(self.settings(name)))

    def model(self, step: int) -> tuple[Any, Any, PromptStyle]:
        """The model after ``step`` (0: the base), its tokenizer and its prompt style."""
        return _loaded(self.profile, self.run.weights_at(step) if step else None, self.run.record.get("fingerprint"))

    def decoding(self) -> Decoding:
        """How responses are sampled in training, at temperature 1."""
        from azr.models.sampling import Decoding

        return Decoding(self.profile.rollout.max_new_tokens, chunk=self.profile.rollout.chunk)

    def partial(self, name: str, step: int) -> Path:
        """Where ``azr.problems`` notes what is finished, so that a killed measurement goes on."""
        path = self.run.folder / "measures" / f"{name.replace('/', '-')}-step-{step}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def count(self, name: str, limit: int, samples: int, step: int, data: Path | None = None) -> pd.DataFrame:
        """``azr.problems.evaluate`` on a problem set, ``limit`` problems of each of its groups."""
        from azr.problems import evaluate, load_problems
        from azr.progress import Progress

        evaluation, problem_set = self.profile.evaluation, load_problems(name, limit, data)
        decoding = replace(self.decoding(), temperature=evaluation.temperature, top_p=evaluation.top_p)
        if evaluation.max_new_tokens:
            decoding = replace(decoding, max_new_tokens=evaluation.max_new_tokens)
        what = Progress(f"{name} after step {step}", len(problem_set.problems))
        with problem_set.open_executor(1) as executor, what as progress:
            asked = (*self.model(step), executor, problem_set, samples, decoding, self.sampling_seed)
            return evaluate(*asked, progress=lambda done, _: progress.update(done), partial=self.partial(name, step))


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


def _test(subject: Subject, step: int) -> pd.DataFrame:
    import pandas as pd

    limit, samples = subject.profile.evaluation.problems, subject.samples(step)
    counts = [subject.count(name, limit, samples, step) for name in subject.profile.problems.test]
    return pd.concat(counts, ignore_index=True)


def _validation(subject: Subject, step: int) -> pd.DataFrame:
    name, evaluation = subject.profile.problems.validation, subject.profile.evaluation
    return subject.count(name, evaluation.validation_problems, evaluation.validation_samples, step)


def fixed_prompts(style: PromptStyle, count: int, references: int) -> list[tuple[Role, TaskType, str]]:
    """``count`` prompts of each role and task type, the same for every model: solve a task, propose another.

    A proposer is shown ``references`` tasks, each prompt others; for induction one, whose program it describes.
    """
    from azr.problems import load_problems

    problems = load_problems(PROMPTS, count * references).problems
    prompts = []
    for task_type in TaskType:
        tasks = [problem.task for problem in problems if problem.task and problem.task.type is task_type]
        shown = 1 if task_type is TaskType.INDUCTION else references
        for i in range(count):
            prompts.append((Role.SOLVER, task_type, style.solve(tasks[i])))
            prompts.append((Role.PROPOSER, task_type, style.propose(task_type, tasks[i * shown : (i + 1) * shown])))
    return prompts


def _entropy(subject: Subject, step: int) -> pd.DataFrame:
    """One row a prompt; tokens, nll and entropy (of the full vocabulary, in nats) are sums over its responses.

    ``answer_entropy`` is that of a solver's distinct answers, NaN for a proposer.
    """
    import pandas as pd

    from azr.metrics import answer_entropy
    from azr.models.sampling import sample
    from azr.models.scoring import token_statistics

    (model, tokenizer, style), decoding = subject.model(step), subject.decoding()
    prompts = fixed_prompts(style, subject.profile.evaluation.entropy_prompts, subject.profile.rollout.references)
    places = [(subject.sampling_seed, i, own) for i in range(len(prompts)) for own in range(RESPONSES)]
    drawn = sample(model, tokenizer, [prompts[i][2] for _, i, _ in places], decoding, places)
    numbers = token_statistics(model, [(one.prompt_ids, one.ids) for one in drawn], decoding.chunk)
    tokens = [(i, len(one.ids), *map(sum, own)) for (_, i, _), one, own in zip(places, drawn, numbers, strict=True)]
    frame = pd.DataFrame(tokens, columns=["prompt", "tokens", "nll", "entropy"]).groupby("prompt").sum().astype(float)
    answers = []
    for i, (role, task_type, _) in enumerate(prompts):
        own = [style.parse_answer(task_type, one.text).answer for one in drawn[i * RESPONSES : (i + 1) * RESPONSES]]
        answers.append(answer_entropy(own) if role is Role.SOLVER else float("nan"))
    roles, groups = [str(role) for role, _, _ in prompts], [str(task_type) for _, task_type, _ in prompts]
    return frame.assign(role=roles, group=groups, answer_entropy=answers).reset_index()


def _curriculum(subject: Subject, step: int) -> pd.DataFrame:
    import numpy as np

    from azr.executor import Executor
    from azr.problems import resolve_proposals

    evaluation, run = subject.profile.evaluation, subject.run
    asked = (evaluation.curriculum_problems, evaluation.curriculum_samples, subject.decoding())
    rng = np.random.default_rng([subject.seed, 2])
    with Executor(1) as executor:
        solver, partial = (*subject.model(0), executor), subject.partial("curriculum", step)
        return resolve_proposals(*solver, run.proposals, *asked, rng, partial=partial)


def _sparsity(subject: Subject, step: int) -> pd.DataFrame:
    from azr.metrics import update_sparsity
    from azr.models.loading import weights_folder

    return update_sparsity(weights_folder(subject.profile.model.name), subject.run.weights_at(step))


MEASURES: dict[str, Callable[[Subject, int], Any]] = {
    "test": _test,
    "validation": _validation,
    "entropy": _entropy,
    "sparsity": _sparsity,
    "curriculum": _curriculum,
}
"""By name: the frame of one step."""


def measure(run: Run, profile: Profile, names: Sequence[str] | None = None) -> None:
    """Make what is missing of ``names`` (None: all that the study measures of the run's arm), as the run's measures.

    ``profile`` is the run's own, with its arm's settings. What an interrupted call has measured is not measured again.
    """
    _measure(Subject(run, profile, run.record["arm"], run.record["seed"]), names)


def measure_base(profile: Profile, sampling_seed: int, folder: Path) -> None:
    """The same of the profile's model as it is: sampling seed 0 is the control of every run, others the placebo."""
    _measure(Subject(Run(folder), profile, BASE, sampling_seed), None)


def _measure(subject: Subject, names: Sequence[str] | None) -> None:
    import pandas as pd

    run = subject.run
    missing = {name: subject.steps(name) for name in names or subject.names if not subject.is_measured(name)}
    frames: dict[str, list[pd.DataFrame]] = {name: [] for name in missing}
    for step in sorted({step for steps in missing.values() for step in steps}):  # each step's model is loaded once
        for name in (name for name in MEASURES if step in missing.get(name, [])):
            frame = MEASURES[name](subject, step)
            if "step" not in frame:  # the curriculum's steps are those of origin
                frame.insert(0, "step", step)
            frames[name].append(frame.assign(sampling_seed=subject.sampling_seed))
            if step == missing[name][-1]:
                settings = subject.settings(name)
                run.save_measure(name, pd.concat(frames[name]), subject.inputs(settings), settings)
    for partial in (run.folder / "measures").glob("*.jsonl"):
        partial.unlink()


def evaluate_sets(
    target: str, profile: Profile, names: Sequence[str], data: Path | None, sampling_seed: int, out: Path | None
) -> pd.DataFrame:
    """Count right responses to problem sets, of a run's final weights or of a model; prints what was found.

    ``target`` is a run's folder or a model, ``profile`` the run's own or one with that model; problems a group and
    samples are those of its ``evaluation``. ``data`` is the file of the one set named. The table, one row a problem
    with the columns of ``azr.problems.evaluate``, is written to ``out`` (.csv or .parquet) if given; a killed
    evaluation goes on where it was.
    """
    import pandas as pd

    arm = Run(Path(target)).record.get("arm", BASE)
    folder = run_folder(RUNS, profile.name, target, BASE, sampling_seed) if arm == BASE else Path(target)
    subject, evaluation = Subject(Run(folder), profile, arm, sampling_seed), profile.evaluation
    counts = [subject.count(name, evaluation.problems, evaluation.samples, subject.last, data) for name in names]
    frame = pd.concat(counts, ignore_index=True)
    for (name, group), rows in frame.groupby(["set", "group"], sort=False):
        print(f"{name}, {group}: {rows['c'].sum() / rows['n'].sum():.3f} right, {len(rows)} problems")
    if out:
        frame.to_csv(out, index=False) if out.suffix == ".csv" else frame.to_parquet(out, index=False)
        print(f"written: {out}")
    return frame
