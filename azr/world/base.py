"""Train the built-in base models from scratch: small Llama models that any transformers tool opens.

``build("nano", folder)`` trains on the corpus, for half an hour on two cores, and writes a transformers folder (fp16
safetensors, tokenizer, record); it gives the same weights bit for bit on the same machine with the same number of
threads. ``azr base build --size nano`` is the command. What it leaves out: evaluation (``azr.evaluate``), resuming.
"""

import math
import random
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from azr.progress import Progress
from azr.runs import CHECKPOINTS, versions, write_json
from azr.world.corpus import documents
from azr.world.grammar import MAX_STATEMENTS
from azr.world.tokenizer import build_tokenizer


@dataclass(frozen=True)
class BaseRecipe:
    """Architecture and training of a base model."""

    hidden: int
    """Width of the residual stream."""
    layers: int
    intermediate: int
    """Width of the MLP."""
    heads: int
    """Attention heads; two share a key-value head, which keeps generation on CPUs quick."""
    steps: int
    """Optimizer steps."""
    grown_from: str = ""
    """A smaller size whose function the model has before its first step; empty for random weights."""
    batch: int = 64
    """Documents a step."""
    learning_rate: float = 7e-3
    """Muon's, for the matrices of the blocks; peak, after ``warmup`` steps, then a cosine down to 2 % of it."""
    adam_learning_rate: float = 3e-3
    """AdamW's, for embeddings and norms; the same schedule."""
    initializer_range: float = 0.08
    """Standard deviation of the initial weights: about 1 / sqrt(width), the usual 0.02 is for wider models."""
    growth: float = 0.05
    """Programs start with one statement and may have another after each such share of the steps: short ones first; with
    0 they may have all from the start."""
    prompt_weight: float = 0.1
    """Weight of a prompt's tokens in the loss, beside 1 for a response's."""
    warmup: int = 150
    weight_decay: float = 0.05
    seed: int = 0
    threads: int = 2
    """Bit-for-bit repetition needs the same number."""


RECIPES = {
    "nano": BaseRecipe(hidden=160, layers=4, intermediate=432, heads=4, steps=7000),
    # Documents that nano has not seen: another seed.
    "micro": BaseRecipe(
        hidden=240, layers=5, intermediate=752, heads=6, grown_from="nano", growth=0.0, initializer_range=0.06,
        steps=1600, learning_rate=4e-3, adam_learning_rate=1.5e-3, seed=1, threads=1,
    ),
}  # fmt: skip
_CHUNK = 32  # batches drawn and sorted by length together
WRITERS = ("o_proj.weight", "down_proj.weight")
"""What adds to the residual stream: new rows, columns and layers of these begin at zero."""


def new_model(recipe: BaseRecipe, vocab_size: int) -> LlamaForCausalLM:
    """The model before training: of the recipe's shape, with random weights or those of a smaller model."""
    config = LlamaConfig(
        vocab_size=vocab_size,
        hidden_size=recipe.hidden,
        intermediate_size=recipe.intermediate,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        num_key_value_heads=recipe.heads // 2,
        tie_word_embeddings=True,
        initializer_range=recipe.initializer_range,
        max_position_embeddings=512,
        pad_token_id=0,
    )
    torch.manual_seed(recipe.seed)
    model = LlamaForCausalLM(config)
    if recipe.grown_from:
        grow(LlamaForCausalLM.from_pretrained(CHECKPOINTS / recipe.grown_from, dtype=torch.float32), model)
    return model


@torch.no_grad()
def grow(small: LlamaForCausalLM, large: LlamaForCausalLM) -> None:
    """Start ``large`` from ``small``, in place, so that at first both compute the same (Net2Net, arXiv 1511.05641).

    The small model's weights take the first places of each tensor. What is new reads through random weights and writes
    through zeros: training can use it, and nothing has changed yet. Heads of both are equally wide.
    """
    # A norm divides by the root of a mean square, and the mean is now over more places, the new ones zero.
    narrower = (small.config.hidden_size / large.config.hidden_size) ** 0.5
    known = dict(small.named_parameters())
    for name, weight in large.named_parameters():
        if name.endswith(WRITERS) or "embed" in name:
            weight.zero_()
        if name in known:
            part = known[name]
            weight[tuple(map(slice, part.shape))] = part * narrower if part.dim() == 1 else part


def batches(recipe: BaseRecipe) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Token ids ``<bos> prompt response <eos>``, right-padded with 0, and their loss weights: (documents, length)."""
    tokenizer = build_tokenizer()
    for chunk in range(math.ceil(recipe.steps / _CHUNK)):
        seed = recipe.seed * 1_000_003 + chunk
        most = 1 + int(chunk * _CHUNK / recipe.steps / recipe.growth) if recipe.growth else MAX_STATEMENTS
        prompts, responses = zip(*documents(seed, recipe.batch * _CHUNK, min(most, MAX_STATEMENTS)), strict=True)
        encoded = zip(tokenizer(list(prompts))["input_ids"], tokenizer(list(responses))["input_ids"], strict=True)
        rows = sorted(((len(p) + 1, [1, *p, *r, 2]) for p, r in encoded), key=lambda row: len(row[1]))
        groups = [rows[i : i + recipe.batch] for i in range(0, len(rows), recipe.batch)]
        random.Random(seed).shuffle(groups)
        for group in groups:
            width = max(len(row) for _, row in group)
            ids = torch.tensor([row + [0] * (width - len(row)) for _, row in group])
            prompt = torch.arange(width) < torch.tensor([[start_of_response] for start_of_response, _ in group])
            yield ids, torch.where(prompt, recipe.prompt_weight, 1.0) * (ids != 0)


def _schedule(recipe: BaseRecipe, step: int) -> float:
    """Factor of the learning rates at a step."""
    if step < recipe.warmup:
        return (step + 1) / recipe.warmup
    done = (step - recipe.warmup) / max(1, recipe.steps - recipe.warmup)
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done))


def _optimizers(model: LlamaForCausalLM, recipe: BaseRecipe) -> list[torch.optim.Optimizer]:
    """Muon for the blocks' matrices (quicker than AdamW at this size), AdamW for the rest."""
    matrices = [p for name, p in model.named_parameters() if p.dim() == 2 and "embed" not in name]
    rest = [p for name, p in model.named_parameters() if p.dim() != 2 or "embed" in name]
    decay, rms = recipe.weight_decay, "match_rms_adamw"
    muon = torch.optim.Muon(matrices, lr=recipe.learning_rate, weight_decay=decay, adjust_lr_fn=rms)
    adam = torch.optim.AdamW(rest, lr=recipe.adam_learning_rate, betas=(0.9, 0.98), weight_decay=0.0, fused=True)
    return [muon, adam]


def build(size: str, folder: Path, steps: int | None = None, recipe: BaseRecipe | None = None) -> None:
    """Train ``size`` into ``folder``, by its own recipe unless another, or another number of steps, is given."""
    recipe = recipe or RECIPES[size]
    recipe = replace(recipe, steps=steps or recipe.steps)
    torch.set_num_threads(recipe.threads)
    folder.mkdir(parents=True, exist_ok=True)  # whether it may be written is said now, not in an hour
    tokenizer = build_tokenizer()
    model = new_model(recipe, len(tokenizer)).train()
    optimizers = _optimizers(model, recipe)
    schedules = [torch.optim.lr_scheduler.LambdaLR(optimizer, partial(_schedule, recipe)) for optimizer in optimizers]
    progress = Progress(f"base {size}", recipe.steps)
    for step, (ids, weights) in zip(range(recipe.steps), batches(recipe), strict=False):
        with torch.autocast("cpu", dtype=torch.bfloat16):  # right padding needs no mask under causal attention
            logits = model(input_ids=ids[:, :-1], use_cache=False).logits
        losses = torch.nn.functional.cross_entropy(logits.float().transpose(1, 2), ids[:, 1:], reduction="none")
        loss = (losses * weights[:, 1:]).sum() / weights[:, 1:].sum()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer, schedule in zip(optimizers, schedules, strict=True):
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
        progress.update(step + 1, f"loss {loss.item():.3f}")
    model.half().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    record = {"size": size, "recipe": asdict(recipe), "versions": versions(), "final_loss": loss.item()}
    write_json(folder / "record.json", record)
