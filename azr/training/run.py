"""Train one arm with one seed into a run folder; a finished run is left alone, a killed one continues.

``train("selfplay", load_profile("smoke"), seed=0, folder=Path("runs/smoke/selfplay-seed0"))`` writes

    config.json     the profile, method and seed, and a fingerprint of them and of what they train
    versions.json   packages, Python, machine
    seeds.jsonl     self-play: the buffer before the first step
    log.jsonl       one line a step
    proposals.jsonl self-play: every proposal and its fate
    checkpoints/    the last two, with the source's (self-play: the buffer), optimizer's and RNG's states
    adapter/        the final LoRA adapter (``model/`` with full fine-tuning)
    done.json       written last

Left out: choosing what to train (``azr.training.cli``) and measuring it (``azr.evaluate``).
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import io
import json
import os
import platform
import time
import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import SafetensorError, safe_open
from transformers import PrinterCallback, TrainerCallback, TrainerControl, TrainerState

from azr.buffer import TaskBuffer
from azr.config import Profile, config_hash
from azr.errors import UserError
from azr.evaluate import validate
from azr.files import REMOVE, RETRAIN, read_lines, reading, run_fingerprint
from azr.metrics.sparsity import sparsity_matrix
from azr.models import four_bit_settings, load_config, load_model, load_style, resolve
from azr.progress import Progress
from azr.prompts.base import PromptStyle
from azr.rlvr import FixedProblems
from azr.seeds import run_seeds, write_buffer
from azr.selfplay import SelfPlay
from azr.training.engine import engine_settings
from azr.training.oom import lower_in_loading, lower_in_update, memory_named
from azr.training.ranks import MainExecutor, join
from azr.training.sft import WorkedTrainer, steps_of_rows
from azr.training.trainer import SelfPlayTrainer, grpo_config, sampling_policy, shared_settings
from azr.world.worked import worked_problems

STATE = "source.json"
"""File in a checkpoint that holds the source's state; written last, so a checkpoint without it is incomplete."""
ALGORITHM = ("advantages", "buffer", "rewards", "rlvr", "sampling", "selfplay", "tasks", "world/worked")
"""Modules on whose text a run depends, besides the prompt styles and the trainers."""
MEMORY_ALONE = ("chunk", "micro_batch", "gradient_checkpointing")
"""Settings that a run may change on its way: what is computed stays the same but for rounding and chance."""
PACKAGES = ("torch", "transformers", "peft", "trl", "accelerate", "datasets", "numpy", "tokenizers")


def versions() -> dict[str, str]:
    """What ran: packages, Python, processor, threads."""
    packages = {name: importlib.metadata.version(name) for name in PACKAGES}
    machine = {"python": platform.python_version(), "system": platform.system(), "processor": platform.machine()}
    return packages | machine | {"threads": str(torch.get_num_threads())}


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file so that it is either whole or absent."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(json.dumps(value, indent=1) + "\n")
    temporary.replace(path)


def fingerprint(method: str, profile: Profile, seed: int, seed_files: Sequence[Path] = ()) -> str:
    """Names everything that a run depends on: its settings, the model's weights, and the code of the algorithm."""
    package = Path(__file__).parent.parent
    files = [package / f"{name}.py" for name in ALGORITHM]
    files += sorted(package.glob("prompts/*.py")) + [package / "training" / name for name in ("sft.py", "trainer.py")]
    code = {str(path.relative_to(package)): path.read_text() for path in files}
    weights = Path(resolve(profile.model.name)) / "model.safetensors"
    stamp = config_hash(weights.read_bytes().hex()) if weights.exists() else profile.model.name
    sections = [dataclasses.asdict(section) for section in (profile.model, profile.rollout, profile.train)]
    settings = [{k: v for k, v in section.items() if k not in MEMORY_ALONE} for section in sections]
    settings.append({"validation_problems": profile.evaluation.validation_problems})
    seeds = [config_hash(file.read_bytes().hex()) for file in seed_files]
    return config_hash(method, seed, *settings, code, stamp, *seeds)


def last_checkpoint(folder: Path) -> Path | None:
    """The newest complete checkpoint in ``folder``. Raises UserError where a file of it is damaged."""
    complete = [path for path in folder.glob("checkpoint-*") if (path / STATE).exists()]
    newest = max(complete, key=lambda path: int(path.name.rpartition("-")[2]), default=None)
    torn = next((file for file in sorted(newest.iterdir()) if not _is_whole(file)), None) if newest else None
    if newest and torn:
        raise UserError(f"{torn} is damaged: {_without(newest)}.")
    return newest


def _is_whole(file: Path) -> bool:
    """Whether a file of a checkpoint is as long as it says; nothing of its size is read."""
    try:
        if file.suffix == ".safetensors":
            with safe_open(file, framework="pt"):
                return True
        if file.suffix == ".json":
            json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, SafetensorError):
        return False
    return file.suffix not in (".pt", ".pth") or zipfile.is_zipfile(file)


def _without(checkpoint: Path) -> str:
    """What helps where a checkpoint is damaged."""
    return f"remove the folder {checkpoint} and run the same command again, which goes on from the one before"


def keep_steps(file: Path, last: int) -> None:
    """Drop the lines of a log after step ``last``, and a torn last one, so that a resumed run does not repeat them."""
    if not file.exists():
        return
    kept = []
    with reading(file, RETRAIN):
        lines = file.read_text().splitlines()
        for number, line in enumerate(lines, 1):
            try:
                row = json.loads(line)
            except json.JSONDecodeError:
                if number < len(lines):  # what comes after it would be lost
                    raise
                break
            if row["step"] <= last:
                kept.append(line)
    temporary = file.with_name(file.name + ".tmp")
    temporary.write_text("".join(line + "\n" for line in kept))
    temporary.replace(file)


class RunCallback(TrainerCallback):
    """Saves the source's state with each checkpoint, measures on validation problems, and reports progress."""

    def __init__(self, name: str, profile: Profile, style: PromptStyle, executor: MainExecutor) -> None:
        self.name, self.profile, self.style, self.executor = name, profile, style, executor
        self.trainer: SelfPlayTrainer | WorkedTrainer | None = None

    def on_train_begin(self, args: Any, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        stream = None if state.is_world_process_zero else io.StringIO()
        self.progress = Progress(self.name, args.max_steps, state.global_step, stream)

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        every, trainer = self.profile.train.validate_every, self.trainer
        assert trainer is not None
        trainer.end_update()
        if every and (state.global_step % every == 0 or state.global_step == args.max_steps):
            trainer.record["validation"] = measure_validation(trainer, self.style, self.executor, self.profile)
            if self.profile.model.full:
                trainer.record["sparsity"] = measure_sparsity(trainer, self.profile)
        self.progress.update(state.global_step, trainer.note)

    def on_save(self, args: Any, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        assert self.trainer is not None
        self.trainer.accelerator.wait_for_everyone()  # the others' parts of the checkpoint
        if state.is_world_process_zero:
            folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            source = getattr(self.trainer, "source", None)
            write_json(folder / STATE, source.state() if source else [])

    def on_train_end(self, args: Any, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.progress.close()


def measure_validation(
    trainer: SelfPlayTrainer | WorkedTrainer, style: PromptStyle, executor: MainExecutor, profile: Profile
) -> dict[str, float]:
    """Validation accuracy of the model as it is; leaves the random state as it was."""
    model = trainer.accelerator.unwrap_model(trainer.model)
    random_state = torch.get_rng_state()
    model.eval()
    with sampling_policy(trainer):
        scores = validate(model, trainer.processing_class, style, executor, profile.evaluation, profile.rollout)
    model.train()
    torch.set_rng_state(random_state)
    return scores


def measure_sparsity(trainer: SelfPlayTrainer | WorkedTrainer, profile: Profile) -> dict[str, float]:
    """Update sparsity of full fine-tuning so far (RQ4), by ``dtype/tolerance``, per element; empty where there is
    nothing to compare with: sharded weights, or a base that is not a folder here.
    """
    base = Path(resolve(profile.model.name))
    if not base.is_dir() or trainer.accelerator.num_processes > 1:
        return {}
    matrix = sparsity_matrix(base, trainer.accelerator.unwrap_model(trainer.model).state_dict())
    rows = matrix[matrix.granularity == "element"]
    return {f"{row.dtype}/{row.tolerance}": row.sparsity for row in rows.itertuples()}


def train(method: str, profile: Profile, seed: int, folder: Path, seed_files: Sequence[Path] = ()) -> Path:
    """Train ``method`` and return ``folder``; see the module's docstring for what it holds afterwards.

    Self-play starts from ``seed_files`` (AZR's format, see ``azr.seeds``) if there are any, else from the identity
    function. A run whose inputs changed since is kept beside the new one under another name. Under ``accelerate
    launch`` every process calls this with the same arguments (see ``azr.training.ranks``).
    """
    load_config(profile.model.name)  # what is missing is said before a folder is made or a finished run moved
    engine_settings(profile.engine)
    shared_settings(profile, profile.rollout.rows, seed, folder)
    if profile.model.four_bit:
        four_bit_settings(profile.model.dtype)
    ranks = join()
    if ranks.is_main_process:
        _prepare(method, profile, seed, folder, seed_files)
    ranks.wait_for_everyone()
    if (folder / "done.json").exists():
        return folder
    began = time.monotonic()
    with MainExecutor(min(2, os.cpu_count() or 1), ranks) as executor:
        with memory_named(lambda: lower_in_loading(profile)):
            trainer = _trainer(method, profile, seed, folder, executor)
        checkpoint = last_checkpoint(folder / "checkpoints")
        step = int(checkpoint.name.rpartition("-")[2]) if checkpoint else 0
        if ranks.is_main_process:
            for name in ("log.jsonl", "proposals.jsonl"):
                keep_steps(folder / name, step)
        if method == "selfplay":
            _fill_buffer(trainer, folder, checkpoint)
        if checkpoint and step >= profile.train.steps:  # killed after its last step
            trainer._load_from_checkpoint(str(checkpoint))
        else:
            with memory_named(lambda: lower_in_update(profile)):
                trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    final = folder / ("model" if profile.model.full else "adapter")
    trainer.save_model(str(final))
    ranks.wait_for_everyone()
    if ranks.is_main_process:
        write_json(folder / "done.json", {"seconds": round(time.monotonic() - began, 1), "steps": profile.train.steps})
    return folder


def _prepare(method: str, profile: Profile, seed: int, folder: Path, seed_files: Sequence[Path]) -> None:
    """Make room for a run whose inputs changed, and say in the folder what it will hold.

    Seed files are read before that, since they may be refused: then everything is as it was.
    """
    stamp = fingerprint(method, profile, seed, seed_files)
    config_file = folder / "config.json"
    changed = config_file.exists() and run_fingerprint(folder) != stamp
    if (folder / "done.json").exists() and not changed:
        return
    buffer = run_seeds(seed_files) if seed_files else None
    if changed:
        folder.rename(folder.with_name(f"{folder.name}.old-{time.strftime('%Y%m%d-%H%M%S')}"))
    folder.mkdir(parents=True, exist_ok=True)
    config = {"method": method, "seed": seed, "fingerprint": stamp, "profile": dataclasses.asdict(profile)}
    write_json(config_file, config | {"seed_files": [file.name for file in seed_files]})
    write_json(folder / "versions.json", versions())
    if buffer:
        write_buffer(folder / "seeds.jsonl", buffer)


def _trainer(
    method: str, profile: Profile, seed: int, folder: Path, executor: MainExecutor
) -> SelfPlayTrainer | WorkedTrainer:
    os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"  # we know that rollout_func is experimental
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
    warnings.filterwarnings("ignore", message=".*pin_memory.*")
    transformers.set_seed(seed)  # the adapter's initial weights
    model, tokenizer = load_model(profile.model.name, profile.model.weights, four_bit=profile.model.four_bit)
    style = load_style(profile.model.prompt_style, tokenizer)
    callback = RunCallback(folder.name, profile, style, executor)
    trainer: SelfPlayTrainer | WorkedTrainer
    if method == "sft":
        steps = steps_of_rows(worked_problems(profile.train.problems), style, tokenizer, profile, seed)
        trainer = WorkedTrainer(model, tokenizer, steps, profile, seed, folder, [callback])
    else:
        source: SelfPlay | FixedProblems
        if method == "rlvr":
            tasks = [worked.task for worked in worked_problems(profile.train.problems)]
            source = FixedProblems(tasks, profile.rollout, style, executor, seed)
        else:
            source = SelfPlay(profile.rollout, style, executor, seed, profile.train)
        args = grpo_config(profile, source.rows_per_step, seed, folder / "checkpoints")
        trainer = SelfPlayTrainer(model, tokenizer, source, profile, args, folder / "log.jsonl", [callback])
    trainer.remove_callback(PrinterCallback)  # the log has it all
    callback.trainer = trainer
    return trainer


def _fill_buffer(trainer: SelfPlayTrainer, folder: Path, checkpoint: Path | None) -> None:
    """The buffer of the checkpoint, else of the run's seeds, else seeded by the untrained model."""
    source, seeds = trainer.source, folder / "seeds.jsonl"
    assert isinstance(source, SelfPlay)
    if checkpoint:
        with reading(checkpoint / STATE, _without(checkpoint)):
            source.buffer = TaskBuffer.from_json(json.loads((checkpoint / STATE).read_text()))
        return
    if not seeds.exists():
        transformers.set_seed(trainer.args.seed * 100_003)
        source.seed_buffer(trainer.generate)
        if trainer.accelerator.is_main_process:
            write_buffer(seeds, source.buffer)
        trainer.accelerator.wait_for_everyone()
    with reading(seeds, f"{REMOVE}run the same command again"):
        source.buffer = TaskBuffer.from_json(read_lines(seeds))
