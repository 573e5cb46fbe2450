"""A random Llama of a few thousand weights, and a prompt style in which even its gibberish is sometimes right."""

from __future__ import annotations

import random
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from azr.buffer import TaskBuffer
from azr.config import Profile, override
from azr.prompts.base import ParsedAnswer, ParsedProposal
from azr.prompts.compact import CompactStyle
from azr.runs import write_lines
from azr.tasks import Proposal, TaskType
from azr.world.corpus import draw_task
from azr.world.tokenizer import build_tokenizer

TOKENIZER = build_tokenizer()


def tiny_model(seed: int = 0) -> LlamaForCausalLM:
    """One layer of width 32; weights wide enough that its next-token distribution is not uniform."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(TOKENIZER),
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=512,
        initializer_range=0.3,
        tie_word_embeddings=True,
        pad_token_id=TOKENIZER.pad_token_id,
        bos_token_id=TOKENIZER.bos_token_id,
        eos_token_id=TOKENIZER.eos_token_id,
    )
    return LlamaForCausalLM(config).eval()


def save_tiny(folder: Path) -> Path:
    """The model and the world's tokenizer as a folder that transformers opens."""
    tiny_model().save_pretrained(folder)
    TOKENIZER.save_pretrained(folder)
    return folder


def tiny_profile(model: Path | str = "none", **changes: object) -> Profile:
    """Four steps of twelve rows; changes by name with two underscores for the dot, as in ``train__steps=2``."""
    values = {
        "model.name": str(model),
        "rollout.batch": 2,
        "rollout.rollouts": 2,
        "rollout.max_new_tokens": 16,
        "train.steps": 4,
        "train.learning_rate": 0.01,
        "train.micro_batch": 4,
        "train.group": 2,
        "train.save_every": 2,
        "problems.train_size": 6,
    }
    return override(Profile(name="tiny"), values | {name.replace("__", "."): value for name, value in changes.items()})


def write_seeds(folder: Path, count: int = 6) -> TaskBuffer:
    """``seeds.jsonl`` of a run: tasks of the world in place of what a random model could never propose."""
    buffer, rng = TaskBuffer(), random.Random(0)
    for task_type in TaskType:
        for _ in range(count):
            buffer.add(draw_task(task_type, rng)[0], step=0)
    folder.mkdir(parents=True, exist_ok=True)
    write_lines(folder / "seeds.jsonl", buffer.to_json())
    return buffer


class LenientStyle(CompactStyle):
    """Reads any response: a sum over its characters decides whether it is well formed and what it says, 0 or 1.

    A proposal's program returns 0 or 1, so that about half the answers to it are right. Rewards therefore vary.
    """

    def _bits(self, response: str) -> tuple[int, int]:
        number = sum(map(ord, response))
        return number % 2, number // 2 % 4

    def parse_proposal(self, task_type, response, references) -> ParsedProposal:
        bit, kind = self._bits(response)
        if kind == 0:
            return ParsedProposal(None, False, "one in four")
        if task_type is TaskType.INDUCTION:
            inputs = tuple(str(n + bit) for n in range(self.num_induction_inputs))
            return ParsedProposal(Proposal(references[0].program, inputs, "hint"), True)
        return ParsedProposal(Proposal(f"def f(x):\n    return {bit}", (str(len(response)),)), True)

    def parse_answer(self, task_type, response) -> ParsedAnswer:
        bit, kind = self._bits(response)
        if kind == 0:
            return ParsedAnswer(None, False)
        return ParsedAnswer(f"def f(x):\n    return {bit}" if task_type is TaskType.INDUCTION else str(bit), True)
