"""How a response is drawn: the decoding settings, a seed for every sample, and a sampler for models of transformers.

    generate = transformers_generate(model, tokenizer, Decoding(temperature=0.6, top_p=0.95, max_new_tokens=4096))
    generate([prompt], [sample_seed(0, problem, 3)])   ->  [Response(text, tokens, ended)]

A response depends on its prompt and its seed alone, up to the rounding that comes with the shape of a batch. Left out:
vLLM; any function of the type ``Generate`` will do.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from azr.benchmarks.base import Problem
from azr.errors import UserError


@dataclass(frozen=True)
class Response:
    """What a model wrote to a prompt."""

    text: str
    tokens: int
    """Its length, with the token that ends it."""
    ended: bool
    """Whether the model ended it; False where it was cut off at the longest length."""


Generate = Callable[[Sequence[str], Sequence[int]], list[Response]]
"""(prompts, seeds) -> responses."""


@dataclass(frozen=True)
class Decoding:
    """How responses are drawn; recorded with the result."""

    temperature: float = 1.0
    """0 is greedy decoding."""
    top_p: float = 1.0
    """Mass of the most probable tokens that are kept; 1 keeps all."""
    top_k: int = 0
    """Number of the most probable tokens that are kept; 0 keeps all."""
    max_new_tokens: int = 2048
    """Longest response."""
    seed: int = 0
    """Base of every sample's own seed."""
    stop: tuple[str, ...] = ()
    """Texts at whose end a response ends."""

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < math.inf or not 0 < self.top_p <= 1 or self.top_k < 0 or self.max_new_tokens < 1:
            raise UserError(
                "decoding needs temperature >= 0, 0 < top_p <= 1, top_k >= 0 and at least one new token: "
                f"it was given {self.temperature:g}, {self.top_p:g}, {self.top_k} and {self.max_new_tokens}"
            )

    def __str__(self) -> str:
        """As a caption says it."""
        kept = f", top-p {self.top_p:g}" * (self.top_p < 1) + f", top-k {self.top_k}" * (self.top_k > 0)
        how = f"temperature {self.temperature:g}{kept}" if self.temperature else "greedy"
        return f"{how}, at most {self.max_new_tokens} tokens"


def sample_seed(seed: int, problem: Problem, sample: int) -> int:
    """The seed of one sample, 63 bits, the same on every machine."""
    digest = hashlib.sha256(f"{seed}\0{problem.benchmark}\0{problem.id}\0{sample}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def transformers_generate(model: Any, tokenizer: Any, decoding: Decoding) -> Generate:
    """A ``Generate`` for any causal language model of transformers and its tokenizer.

    Each row draws from its own uniform numbers by inverting the cumulative distribution, so a sample does not depend on
    what else is in the batch, nor on the global random state. Prompts of unequal length are padded on the left.
    """
    import torch
    from transformers import (
        LogitsProcessor,
        LogitsProcessorList,
        StoppingCriteria,
        StoppingCriteriaList,
        TopKLogitsWarper,
        TopPLogitsWarper,
    )

    from azr.sampling import encode_prompt

    ends = model.generation_config.eos_token_id
    eos = set(ends if isinstance(ends, list) else [ends])
    warpers = LogitsProcessorList()
    if decoding.top_k:
        warpers.append(TopKLogitsWarper(decoding.top_k))
    if decoding.top_p < 1:
        warpers.append(TopPLogitsWarper(decoding.top_p))

    class DrawToken(LogitsProcessor):
        """Leaves only the drawn token, which greedy search then takes."""

        def __init__(self, seeds: Sequence[int], start: int) -> None:
            self.start = start
            draws = [np.random.Generator(np.random.Philox(key=s)).random(decoding.max_new_tokens) for s in seeds]
            self.uniform = torch.from_numpy(np.stack(draws))

        def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
            exact = torch.float32 if scores.device.type == "mps" else torch.float64
            scores = warpers(input_ids, scores.to(exact) / decoding.temperature)
            cumulative = scores.softmax(-1).cumsum(-1)
            step = input_ids.shape[1] - self.start
            uniform = self.uniform[:, step].to(scores).unsqueeze(1) * cumulative[:, -1:]
            token = torch.searchsorted(cumulative, uniform, right=True).clamp(max=scores.shape[1] - 1)
            return torch.full_like(scores, -torch.inf).scatter(1, token, 0.0)

    class StopAtText(StoppingCriteria):
        """Ends each row whose latest tokens spell one of the stop texts."""

        def __init__(self, start: int) -> None:
            self.start = start
            self.tail = max(map(len, decoding.stop), default=0) + 8

        def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
            texts = tokenizer.batch_decode(input_ids[:, max(self.start, input_ids.shape[1] - self.tail) :])
            ended = [any(stop in text for stop in decoding.stop) for text in texts]
            return torch.tensor(ended, device=input_ids.device)

    def generate(prompts: Sequence[str], seeds: Sequence[int]) -> list[Response]:
        ids = [encode_prompt(tokenizer, text) for text in prompts]
        length = max(map(len, ids))
        pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
        rows = torch.tensor([[pad] * (length - len(row)) + row for row in ids], device=model.device)
        mask = torch.tensor([[0] * (length - len(row)) + [1] * len(row) for row in ids], device=model.device)
        with torch.inference_mode():
            tokens = model.generate(
                input_ids=rows,
                attention_mask=mask,
                max_new_tokens=decoding.max_new_tokens,
                do_sample=False,
                num_beams=1,
                temperature=None,
                top_p=None,
                top_k=None,
                logits_processor=LogitsProcessorList([DrawToken(seeds, length)] if decoding.temperature else []),
                stopping_criteria=StoppingCriteriaList([StopAtText(length)] if decoding.stop else []),
                pad_token_id=pad,
            )
        return [response(row) for row in tokens[:, length:].tolist()]

    def response(ids: list[int]) -> Response:
        end = next((place for place, token in enumerate(ids, 1) if token in eos), None)
        text = tokenizer.decode(ids[:end], skip_special_tokens=True)
        stopped = any(stop in text for stop in decoding.stop)
        if end is None and stopped:  # the rest of the row is padding
            end = len(ids) - next((n for n, token in enumerate(ids[::-1]) if token != tokenizer.pad_token_id), 0)
        return Response(text, len(ids) if end is None else end, end is not None)

    return generate
