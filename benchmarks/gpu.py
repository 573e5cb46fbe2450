"""What a GPU does with a self-play step and with the built-in world's model: seconds, tokens, predicted memory.

    python benchmarks/gpu.py                  # on a CUDA GPU: a table for docs/scaling.md
    python benchmarks/gpu.py --sizes 0.5B     # one size
    python benchmarks/gpu.py --tiny           # anywhere: the same code at toy sizes, measuring nothing

The models have the shapes of Qwen2.5-Coder and random weights in bf16, and are trained with LoRA by the project's own
trainer. A random model proposes nothing valid, so ``Load`` stands in for self-play: it asks for as many proposals,
attempts and solves, of as many tokens, and rewards them by chance. Left out: the executor (``benchmarks/executor.py``),
vLLM, several GPUs.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    PreTrainedTokenizerFast,
    PrinterCallback,
    Qwen2Config,
    TrainerCallback,
)

from azr.config import Profile, load_profile, override
from azr.files import read_lines
from azr.fit import workload
from azr.memory import GIB, predict
from azr.selfplay import GROUPS, Clock, Generate, Row, StepResult
from azr.tasks import Role
from azr.training.trainer import SelfPlayTrainer, grpo_config
from azr.world.base import RECIPES, batches, new_model

SHAPES = {
    "0.5B": {"hidden_size": 896, "intermediate_size": 4864, "num_hidden_layers": 24, "num_attention_heads": 14},
    "3B": {"hidden_size": 2048, "intermediate_size": 11008, "num_hidden_layers": 36, "num_attention_heads": 16},
    "toy": {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4},
}
VOCABULARY = 151_936
WORDS = 1000
"""The tokenizer's; the model's vocabulary is padded to the size of the real one."""
STEPS = 3
"""The first warms up and is not counted."""
WORLD_BATCH, WORLD_STEPS = 1024, 20
COLUMNS = ("model", "propose s", "estimate s", "solve s", "update s", "step s", "sampled tokens/s", "trained tokens/s")
MEMORY_COLUMNS = ("peak GiB", "predicted GiB", "ratio")


class Load:
    """As much work as a self-play step of a profile, with prompts of random words and rewards by chance."""

    def __init__(self, profile: Profile, prompt_tokens: int) -> None:
        self.rollout, self.prompt_tokens = profile.rollout, prompt_tokens

    @property
    def rows_per_step(self) -> int:
        """Proposals and solves."""
        return self.rollout.rows

    def step(self, step: int, generate: Generate, generate_from_base: Generate) -> StepResult:
        """Proposals, attempts at all of them, solves."""
        rng, clock, rows, sampled = np.random.default_rng(step), Clock(), [], 0
        half = self.rows_per_step // 2
        for phase, count in (("propose", half), ("estimate", half * self.rollout.rollouts), ("solve", half)):
            words = rng.integers(WORDS, size=(count, self.prompt_tokens))
            with clock(phase):
                completions = generate([" ".join(f"w{word}" for word in prompt) for prompt in words])
            sampled += sum(len(completion.ids) for completion in completions)
            if phase != "estimate":
                role = Role.PROPOSER if phase == "propose" else Role.SOLVER
                own = [group for group in GROUPS if group[1] is role]
                for number, completion in enumerate(completions):
                    rows.append(Row(own[number % 3][0], role, completion, float(rng.choice([-1.0, -0.5, 1.0]))))
        return StepResult(rows, metrics={"seconds": dict(clock.seconds), "tokens": {"sampled": sampled}})

    def state(self) -> list[dict[str, Any]]:
        """Nothing that a checkpoint would have to keep."""
        return []


class StopClock(TrainerCallback):
    """Ends the time of a step when the optimizer has stepped, as a run does."""

    trainer: SelfPlayTrainer

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.trainer.end_update()


def tokenizer() -> PreTrainedTokenizerFast:
    """One token a word, so that a prompt has exactly as many tokens as words."""
    special = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    words = [*special.values(), *(f"w{number}" for number in range(WORDS))]
    model = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="<unk>"))
    model.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=model, padding_side="left", **special)


def config_of(size: str) -> Qwen2Config:
    """A Qwen2 configuration of that size."""
    ids = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
    vocabulary = 2 * WORDS if size == "toy" else VOCABULARY
    return Qwen2Config(
        **SHAPES[size], num_key_value_heads=2, vocab_size=vocabulary, tie_word_embeddings=True, use_cache=True, **ids
    )


def measure_step(size: str, profile: Profile) -> tuple[list[str], list[str]]:
    """Cells of the table for one model: times and tokens, memory."""
    cuda, config = torch.cuda.is_available(), config_of(size)
    work = workload(profile, cuda=cuda)
    predicted = predict(config, work)
    transformers.set_seed(0)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    source = Load(profile, work.prompt_tokens)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        args = grpo_config(profile, source.rows_per_step, 0, folder, save_strategy="no")
        clock = StopClock()
        trainer = clock.trainer = SelfPlayTrainer(
            model, tokenizer(), source, profile, args, folder / "log.jsonl", [clock]
        )
        trainer.remove_callback(PrinterCallback)
        if cuda:
            torch.cuda.reset_peak_memory_stats()
        trainer.train()
        log = read_lines(folder / "log.jsonl")[1:]
    peak = torch.cuda.max_memory_reserved() / GIB if cuda else float("nan")
    phases = ("propose", "estimate", "solve", "update", "step")
    seconds = {name: float(np.mean([row["seconds"][name] for row in log])) for name in phases}
    sampled = np.mean([row["tokens"]["sampled"] for row in log])
    trained = np.mean([row["tokens"]["trained"] for row in log])
    sampling = seconds["propose"] + seconds["estimate"] + seconds["solve"]
    times = [size, *(f"{seconds[name]:.1f}" for name in phases)]
    times += [f"{sampled / sampling:,.0f}", f"{trained / seconds['update']:,.0f}"]
    return times, [f"{peak:.1f}", f"{predicted.peak / GIB:.1f}", f"{peak * GIB / predicted.peak:.2f}"]


def measure_world(batch: int, steps: int) -> str:
    """Speed of training the built-in world's micro model, its documents prepared beforehand."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    recipe = replace(RECIPES["micro"], batch=batch, steps=steps)
    model = new_model(recipe, len(tokenizer_of_world())).to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.adam_learning_rate, fused=True)
    tokens, began = 0, 0.0
    for number, (ids, weights) in enumerate(list(batches(recipe))):
        if number == steps // 4:  # the rest is measured
            tokens, began = 0, _now()
        ids, weights = ids.to(device), weights.to(device)
        with torch.autocast(device, dtype=torch.bfloat16):
            logits = model(input_ids=ids[:, :-1], use_cache=False).logits
        losses = torch.nn.functional.cross_entropy(logits.float().transpose(1, 2), ids[:, 1:], reduction="none")
        ((losses * weights[:, 1:]).sum() / weights[:, 1:].sum()).backward()
        optimizer.step()
        optimizer.zero_grad()
        tokens += ids.numel()
    spent, counted = _now() - began, steps - steps // 4
    return (
        f"micro, batch {batch:,}: {spent / counted:.3f} s a step, {batch * counted / spent:,.0f} documents/s, "
        f"{tokens / spent:,.0f} tokens/s"
    )


def tokenizer_of_world() -> Any:
    """The built-in models' tokenizer."""
    from azr.world.tokenizer import build_tokenizer

    return build_tokenizer()


def _now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def table(rows: list[list[str]], header: tuple[str, ...]) -> str:
    """Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    """Measure and print, or with ``--tiny`` show that the code runs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiny", action="store_true", help="toy sizes, on any machine; measures nothing")
    parser.add_argument("--sizes", default="0.5B,3B", help="which models (default: 0.5B,3B)")
    arguments = parser.parse_args()
    os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"
    warnings.filterwarnings("ignore", category=FutureWarning)
    if not arguments.tiny and not torch.cuda.is_available():
        parser.error("there is no CUDA GPU here: run with --tiny to see that the code works")
    changes: dict[str, Any] = {"train.steps": STEPS, "rollout.max_new_tokens": 512}
    if arguments.tiny:
        changes |= {"rollout.max_new_tokens": 8, "rollout.batch": 2, "rollout.rollouts": 2, "train.micro_batch": 4}
        changes |= {"rollout.references": 0}
    profile = override(load_profile("gpu"), changes)
    sizes = ["toy"] if arguments.tiny else arguments.sizes.split(",")
    if unknown := set(sizes) - set(SHAPES):
        parser.error(f"there is no size {', '.join(sorted(unknown))}: choose among {', '.join(SHAPES)}")
    rows = []
    for size in sizes:
        times, memory = measure_step(size, profile)
        rows.append(times + memory)
    world = measure_world(*((8, 4) if arguments.tiny else (WORLD_BATCH, WORLD_STEPS)))
    if arguments.tiny:
        print("No figure was measured: toy sizes, to show that the code runs. The table's form:\n")
        rows = [[row[0], *("-" for _ in row[1:])] for row in rows]
        world = world.partition(":")[0] + ": -"
    else:
        rollout = profile.rollout
        print(
            f"{torch.cuda.get_device_name()}, torch {torch.__version__}, transformers' generation, {rollout.batch} "
            f"proposals a task type, {rollout.rollouts} attempts each, {rollout.max_new_tokens} new tokens:\n"
        )
    print(table(rows, COLUMNS + MEMORY_COLUMNS))
    print(f"\n{world}")


if __name__ == "__main__":
    main()
