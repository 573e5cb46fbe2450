"""What is measured of a run and of the untrained base: a frame by name, made once; a killed measurement goes on.

    measure(subject_of("runs/smoke/nano/selfplay-seed0", None, {}))      # all that the study measures of its arm
    measure(subject_of("nano", "smoke", {}))                             # the same of the model as it is

test and validation count right responses to problems (``azr.problems.evaluate``), entropy is measured on prompts that
stay the same, curriculum lets the untrained model solve a run's proposals again, sparsity compares weights with the
base's. Step 0 of every run is the base, and is measured there alone. Left out: statistics (``azr.tables``).
"""

from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd

from azr.errors import in_a_sentence
from azr.executor import Executor
from azr.metrics import answer_entropy, update_sparsity
from azr.models.loading import checkpoint, weights_folder
from azr.models.sampling import Decoding, sample
from azr.models.scoring import token_statistics
from azr.problems import evaluate, load_problems, resolve_proposals
from azr.progress import Progress
from azr.prompts.base import PromptStyle
from azr.study.subject import Subject
from azr.tasks import Role, TaskType

PROMPTS, RESPONSES = "world/validation", 8
"""Entropy: the problems whose tasks are solved and shown to the proposer, and the responses to each prompt."""


def count(subject: Subject, name: str, limit: int, samples: int, step: int, data: Path | None = None) -> pd.DataFrame:
    """``azr.problems.evaluate`` on a problem set, ``limit`` problems of each of its groups."""
    evaluation, rollout = subject.profile.evaluation, subject.profile.rollout
    longest = evaluation.max_new_tokens or rollout.max_new_tokens
    decoding = Decoding(longest, evaluation.temperature, evaluation.top_p, rollout.chunk)
    problem_set = load_problems(name, limit, data)
    what = Progress(f"{name} after step {step}", len(problem_set.problems))
    with problem_set.open_executor(1) as executor, closing(what) as progress:
        asked = (*subject.model(step), executor, problem_set, samples, decoding, subject.sampling_seed)
        notes = subject.notes(name, step)
        return evaluate(*asked, progress=lambda done, _: progress.update(done), partial=notes)


def _test(subject: Subject, step: int) -> pd.DataFrame:
    limit, samples = subject.profile.evaluation.problems, subject.samples(step)
    counts = [count(subject, name, limit, samples, step) for name in subject.profile.problems.test]
    return pd.concat(counts, ignore_index=True)


def _validation(subject: Subject, step: int) -> pd.DataFrame:
    name, evaluation = subject.profile.problems.validation, subject.profile.evaluation
    return count(subject, name, evaluation.validation_problems, evaluation.validation_samples, step)


def fixed_prompts(style: PromptStyle, count: int, references: int) -> list[tuple[Role, TaskType, str]]:
    """``count`` prompts of each role and task type, the same for every model: solve a task, propose another.

    A proposer is shown ``references`` tasks, each prompt others; for induction one, whose program it describes.
    """
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
    evaluation, rng = subject.profile.evaluation, np.random.default_rng([subject.seed, 2])
    asked = (evaluation.curriculum_problems, evaluation.curriculum_samples, subject.decoding(), rng)
    with Executor(1) as executor:
        solver, notes = (*subject.model(0), executor), subject.notes("curriculum", step)
        return resolve_proposals(*solver, subject.run.proposals, *asked, partial=notes)


def _sparsity(subject: Subject, step: int) -> pd.DataFrame:
    base = subject.profile.model.name
    return update_sparsity(weights_folder(base), checkpoint(str(subject.run.weights_at(step)), base))


MEASURES: dict[str, Callable[[Subject, int], pd.DataFrame]] = {
    "test": _test,
    "validation": _validation,
    "entropy": _entropy,
    "sparsity": _sparsity,
    "curriculum": _curriculum,
}
"""By name: the frame of one step."""


@in_a_sentence()
def measure(subject: Subject) -> None:
    """Make what is missing of all that the study measures of a run or of the base, as the run's measures.

    What an interrupted call has measured is not measured again.
    """
    for name in subject.names:
        if not subject.is_measured(name):
            frames = []
            for step in subject.steps(name):
                frame = MEASURES[name](subject, step)
                steps = frame.get("step", step)  # the curriculum's are those of origin
                frames.append(frame.assign(step=steps, sampling_seed=subject.sampling_seed))
            subject.run.save_measure(name, pd.concat(frames), subject.inputs, subject.settings)
    for notes in (subject.run.folder / "measures").glob("*.jsonl"):
        notes.unlink()


@in_a_sentence()
def evaluate_sets(
    subject: Subject, names: Sequence[str], data: Path | None = None, out: Path | None = None
) -> pd.DataFrame:
    """Count right responses to problem sets, of a run's final weights or of a model; prints what was found.

    ``data`` is the file of the one set named. The table, one row a problem with the columns of
    ``azr.problems.evaluate``, is written to ``out`` (.csv or .parquet) if given; a killed evaluation goes on where it
    was.
    """
    own = subject.profile.evaluation
    frame = pd.concat([count(subject, name, own.problems, own.samples, subject.last, data) for name in names])
    for (name, group), rows in frame.groupby(["set", "group"], sort=False):
        print(f"{name}, {group}: {rows['c'].sum() / rows['n'].sum():.3f} right, {len(rows)} problems")
    if out:
        frame.to_csv(out, index=False) if out.suffix == ".csv" else frame.to_parquet(out, index=False)
        print(f"written: {out}")
    for name in names:
        subject.notes(name, subject.last).unlink(missing_ok=True)
    return frame.reset_index(drop=True)
