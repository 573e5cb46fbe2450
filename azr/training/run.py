"""Train one arm with one seed into a run folder; a finished run is left alone, a killed one continues.

    train("selfplay", arm_profile("selfplay", load_profile("smoke")), 0, Path("runs/smoke/nano/selfplay-seed0"))

What the folder holds stands in ``azr.runs``. Left out: choosing the arm's profile (``azr.arms``) and measuring the run.
"""

import inspect
import json
import os
import time
import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from shutil import copyfile, rmtree
from typing import Any

import datasets
import numpy as np
import pandas as pd
import torch
import transformers
from accelerate.utils import broadcast_object_list, gather_object
from accelerate.utils.memory import should_reduce_batch_size
from transformers import (
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.trainer_callback import ExportableState

from azr.arms import arm_named, fingerprint, sampled_a_step
from azr.buffer import TaskBuffer
from azr.config import Profile, override
from azr.errors import UserError, in_a_sentence
from azr.executor import Executor
from azr.models.loading import load_model
from azr.models.sampling import check_room, encode_prompt
from azr.problems import ProblemSet, load_problems
from azr.progress import AHEAD, duration
from azr.prompts import load_style
from azr.prompts.base import PromptStyle
from azr.rewards import ProposerReward
from azr.runs import BUILT_IN, Run, alone, keep_steps, read_lines, versions, write_json, write_lines
from azr.selfplay import IDENTITY, TYPES, SelfPlay
from azr.training.baselines import FixedProblems, rlvr_trainer, sft_trainer, worked_rows
from azr.training.policy import Policy
from azr.training.ranks import MainExecutor, join
from azr.training.record import RecordCallback, Watch, record_of_logs
from azr.training.seeds import read_seeds, shared_seeds
from azr.training.settings import micro_batches, shared_settings
from azr.training.trainer import SelfPlayTrainer

Loaded = tuple[PreTrainedModel, PreTrainedTokenizerBase, ProblemSet | None, PromptStyle, datasets.Dataset | None]


@in_a_sentence()
def train(
    arm: str,
    profile: Profile,
    seed: int,
    folder: Path,
    seed_files: Sequence[Path] = (),
    proposer_reward: ProposerReward | None = None,
    watch: Watch | None = None,
) -> Run:
    """Train ``arm`` with its profile (``azr.arms.arm_profile``) and return the run in ``folder``.

    Self-play starts from ``seed_files`` (AZR's format) if there are any, else from the identity function;
    ``proposer_reward`` takes the place of the profile's; ``watch`` is called with the run after each step. A run whose
    inputs have changed is kept beside the new one under another name. Under ``accelerate launch`` every process calls
    this with the same arguments. Raises UserError for what cannot be trained, before anything is made or moved.
    """
    run, ranks, method = Run(folder), join(), arm_named(arm).method
    if method == "selfplay":
        seed_files = seed_files or profile.seeds
    own = _source(proposer_reward, profile.rollout.rollouts) if proposer_reward else ""
    # One process reads all weights for it.
    [stamp] = broadcast_object_list([fingerprint(arm, profile, seed, seed_files, own) if ranks.is_main_process else ""])
    if run.is_current(stamp):
        return run
    torch.set_num_threads(profile.threads)
    began = time.monotonic()
    loaded = _load(profile, method, seed, folder)
    _, _, problem_set, style, _ = loaded
    record = {"arm": arm, "method": method, "seed": seed, "settings": profile.model_dump(mode="json")}
    record |= {"fingerprint": stamp, "proposer_reward": own, "seed_files": [file.name for file in seed_files]}
    ranks.wait_for_everyone()
    if ranks.is_main_process:
        _prepare(run, record, seed_files)
    ranks.wait_for_everyone()
    open_executor = problem_set.open_executor if problem_set else Executor
    # GRPO's processes grade what each has sampled; else all need the same verdicts, which the main one finds.
    works = ranks.is_main_process or method == "rlvr"
    held = alone(folder) if ranks.is_main_process else nullcontext()
    with held, open_executor(min(2, os.cpu_count() or 1)) if works else nullcontext() as executor:
        trainer = _trainer(run, method, profile, seed, MainExecutor(executor), loaded, proposer_reward, watch)
        checkpoint = last_checkpoint(folder / "checkpoints")
        step = int(checkpoint.name.rpartition("-")[2]) if checkpoint else 0
        if ranks.is_main_process:
            for name in ("log.jsonl", "proposals.jsonl"):
                keep_steps(folder / name, step)
        try:
            if ranks.is_main_process:
                _look_ahead(trainer, method, profile, profile.steps - step, problem_set, style)
            if method == "selfplay":
                _seed(run, trainer, profile, seed)
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        except (RuntimeError, MemoryError) as error:
            if not (isinstance(error, MemoryError) or should_reduce_batch_size(error)):
                raise
            raise UserError(
                f"Out of memory: lower rollout.chunk ({profile.rollout.chunk} responses sampled side by side) or "
                f"train.micro_batch ({profile.train.micro_batch} rows in a forward pass) by --set; the same command "
                "then goes on from the last checkpoint."
            ) from error
        trainer.save_model(str(folder / ("model" if profile.model.full else "adapter")))
        ranks.wait_for_everyone()
        if ranks.is_main_process:
            write_json(folder / "done.json", {"seconds": round(time.monotonic() - began, 1), "steps": profile.steps})
            rmtree(folder / "checkpoints", ignore_errors=True)  # they were for going on, and are the most of a run
    return run


def _source(reward: ProposerReward, rollouts: int) -> str:
    """The source of a reward of one's own. Raises UserError where there is none, or it does not pay every rate."""
    rates = np.linspace(0, 1, rollouts + 1)
    paid = np.asarray(reward(rates))
    if paid.shape != rates.shape or paid.dtype.kind not in "biuf" or not np.isfinite(paid).all():
        raise UserError(
            f"proposer_reward gives {paid} for the solve rates {rates}: return an array with a finite number for each."
        )
    try:
        return inspect.getsource(reward)
    except (OSError, TypeError):
        raise UserError(
            "proposer_reward has no source by which its run could be told from others: define it as a named function "
            "in a file or a notebook cell."
        ) from None


def _load(profile: Profile, method: str, seed: int, folder: Path) -> Loaded:
    """What a run is made of. Raises UserError for all that cannot be trained but seed files."""
    shared_settings(profile, seed, folder)
    if method in ("sft", "rlvr"):
        micro_batches(profile)
    size = profile.problems.train_size
    problem_set = None if method == "selfplay" else load_problems(profile.problems.train, limit=size)
    transformers.set_seed(seed)  # the adapter's initial weights
    model, tokenizer = load_model(profile.model.name, profile.model.weights)
    style = load_style(profile.model.prompt_style, tokenizer)
    worked = worked_rows(problem_set, style, tokenizer) if method == "sft" else None
    rows = [encode_prompt(tokenizer, prompt) for prompt in _prompts(profile, problem_set, style)]
    check_room(model, rows, profile.rollout.max_new_tokens)
    return model, tokenizer, problem_set, style, worked


def _prompts(profile: Profile, problem_set: ProblemSet | None, style: PromptStyle) -> list[str]:
    """Those of a problem set, or self-play's first ones."""
    if problem_set:
        return [problem_set.prompt(problem, style) for problem in problem_set.problems]
    return [style.propose(task_type, [IDENTITY] * profile.rollout.references) for task_type in TYPES]


def _prepare(run: Run, record: dict[str, Any], seed_files: Sequence[Path]) -> None:
    """Make room for a run whose inputs changed, and say what the folder will hold."""
    before = run.record
    if run.done and not before:
        raise UserError(f"{run.folder} has lost its run.json: restore it, or move the folder away and train it again.")
    buffer = read_seeds(seed_files) if seed_files else None
    if before and before["fingerprint"] != record["fingerprint"]:
        old = run.folder.with_name(f"{run.folder.name}.old-{time.strftime('%Y%m%d-%H%M%S')}")
        now, then = (pd.json_normalize(one["settings"]).iloc[0] for one in (record, before))  # by dotted name
        changed = sorted(name for name in {*now.index, *then.index} if now.get(name) != then.get(name))
        why = ", ".join(changed) or "the weights, the data or azr's algorithm"
        print(f"{run.folder} was trained otherwise ({why}): it is kept as {old.name}.", flush=True)
        with alone(run.folder):
            run.folder.rename(old)
    run.folder.mkdir(parents=True, exist_ok=True)
    write_json(run.folder / "run.json", record | {"versions": versions()})
    if buffer:
        write_lines(run.folder / "seeds.jsonl", buffer.to_json())


def last_checkpoint(folder: Path) -> Path | None:
    """The newest complete checkpoint in ``folder``: ``trainer_state.json`` is written last."""
    for path in sorted(folder.glob("checkpoint-*"), key=lambda path: -int(path.name.rpartition("-")[2])):
        try:
            json.loads((path / "trainer_state.json").read_text())
        except (OSError, ValueError):
            continue
        return path
    return None


def _trainer(
    run: Run,
    method: str,
    profile: Profile,
    seed: int,
    executor: MainExecutor,
    loaded: Loaded,
    proposer_reward: ProposerReward | None,
    watch: Watch | None,
) -> Trainer:
    os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"  # we know that rollout_func is experimental
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
    datasets.disable_progress_bars()
    model, tokenizer, problem_set, style, worked = loaded
    where, compose, callbacks = (profile, seed, run.folder), record_of_logs, []
    if method == "sft":
        trainer = sft_trainer(model, tokenizer, worked, *where)
    elif method == "rlvr":
        grade = lambda attempts: problem_set.grade(attempts, style, executor.own)  # noqa: E731
        trainer = rlvr_trainer(model, tokenizer, problem_set, style, grade, *where)
    else:
        if method == "selfplay":
            reward = proposer_reward or profile.train.proposer_reward
            source = SelfPlay(profile.rollout, style, executor, seed, profile.train.proposer, reward)
            callbacks.append(BufferCallback(source))
        else:
            grade = lambda attempts: executor.shared(lambda own: problem_set.grade(attempts, style, own))  # noqa: E731
            source = FixedProblems(problem_set, style, grade, profile.rollout.rows, seed)
        trainer = SelfPlayTrainer(model, tokenizer, source, *where)
        compose = trainer.compose
    trainer.remove_callback(PrinterCallback)  # the log has it all
    kept = () if profile.model.full else set(profile.kept_steps) - {0, profile.steps}
    for callback in (*callbacks, RecordCallback(run, compose, kept, watch)):
        trainer.add_callback(callback)
    return trainer


def _look_ahead(
    trainer: Trainer, method: str, profile: Profile, steps: int, problem_set: ProblemSet | None, style: PromptStyle
) -> None:
    """Say how long a model of unknown speed takes at most."""
    if profile.model.name in BUILT_IN or profile.engine.name == "vllm":
        return
    rollout, longest, prompts = profile.rollout, profile.rollout.max_new_tokens, _prompts(profile, problem_set, style)
    rows = [encode_prompt(trainer.processing_class, prompt) for prompt in prompts]

    def seconds(texts: list[str], tokens: int) -> float:
        policy, began = Policy(trainer, override(profile, {"rollout.max_new_tokens": tokens}), 0), time.perf_counter()
        drawn = policy.of_share(texts, ())
        return (time.perf_counter() - began) / sum(len(one.ids) for one in drawn)

    seconds(["0"], 2)  # warms up
    reading = seconds(prompts[:1], 1) / len(rows[0])
    sampling = seconds([str(row) for row in range(min(rollout.chunk, 16))], 6)
    if method == "sft":
        rows, longest = trainer.train_dataset["input_ids"], 0
    prompt, passes = np.mean([len(row) for row in rows]), 4 if profile.train.gradient_checkpointing else 3
    sampled = sampled_a_step(method, rollout)
    a_step = sampled * (prompt * reading + longest * sampling) + passes * rollout.rows * (prompt + longest) * reading
    times = f"{AHEAD} {duration(a_step)} here, {steps} steps {duration(steps * a_step)}"
    print(f"{profile.model.name}: {times}, by a trial; responses that end early take less.", flush=True)


def _seed(run: Run, trainer: SelfPlayTrainer, profile: Profile, seed: int) -> None:
    """The buffer before the first step: of the run, else of a run beside it, else proposed by the untrained model."""
    source, own, shared = trainer.source, run.folder / "seeds.jsonl", shared_seeds(run.folder, profile, seed)
    if not all(gather_object([own.exists() or shared.exists()])):
        source.seed_buffer(trainer.policy)
        if trainer.is_world_process_zero():
            write_lines(shared, source.buffer.to_json())
    if trainer.is_world_process_zero() and not own.exists():
        copyfile(shared, own)
    trainer.accelerator.wait_for_everyone()
    source.buffer = TaskBuffer.from_json(read_lines(own))


class BufferCallback(TrainerCallback, ExportableState):
    """Keeps self-play's buffer in ``trainer_state.json`` of each checkpoint, and takes it up from there."""

    def __init__(self, source: SelfPlay) -> None:
        self.source = source

    def state(self) -> dict[str, Any]:
        return {"buffer": self.source.buffer.to_json()}

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """``state`` is the checkpoint's in a run that goes on; else it was made just now, of the seeds."""
        self.source.buffer = TaskBuffer.from_json(state.stateful_callbacks[type(self).__name__]["buffer"])
