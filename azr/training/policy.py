"""The model that is trained, as it samples: with its adapter merged, or by vLLM beside it.

    policy = Policy(trainer, profile, seed)
    policy(["input 1\\n"] * 8, (3, 0))          # eight completions; random streams (seed, 3, 0, row)
    policy.of_base(["input 1\\n"], (3, 1))      # of the untrained model: the adapter is switched off

Left out: the sampler itself (``azr.models.sampling``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property

import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from torch import nn
from transformers import Trainer
from trl.generation.vllm_generation import VLLMGeneration

from azr.config import Profile
from azr.models.sampling import Completion, Decoding, encode_prompt, sample
from azr.training.ranks import shared_out
from azr.training.settings import vllm_settings


@contextmanager
def merged_adapter(model: nn.Module) -> Iterator[None]:
    """Sample with the LoRA adapter merged into the weights, which is two to three times as fast on a small model.

    Afterwards the weights are exactly what they were: subtracting the adapter again would leave rounding errors, and a
    resumed run would differ. Does nothing for a model without an adapter.
    """
    layers = [module for module in model.modules() if isinstance(module, LoraLayer)]
    if not layers:
        yield
        return
    weights = [layer.get_base_layer().weight for layer in layers]
    saved = [weight.detach().clone() for weight in weights]
    model.merge_adapter()
    try:
        yield
    finally:
        model.unmerge_adapter()
        with torch.no_grad():
            for weight, before in zip(weights, saved, strict=True):
                weight.copy_(before)


class Policy:
    """Samples from a trainer's model; in several processes each samples its share and has all (``azr.training.ranks``).

    A completion depends on the weights, its prompt and its random stream alone, but for rounding; with vLLM on chance.
    """

    def __init__(self, trainer: Trainer, profile: Profile, seed: int) -> None:
        self.trainer, self.profile, self.seed = trainer, profile, seed
        rollout = profile.rollout
        self.decoding = Decoding(rollout.max_new_tokens, rollout.temperature, chunk=rollout.chunk)
        self.synced = -1

    def __call__(self, prompts: Sequence[str], stream: tuple[int, ...]) -> list[Completion]:
        """A completion of each prompt; row i draws from the stream ``(seed, *stream, i)``."""
        if self.profile.engine.name == "vllm":
            return shared_out(prompts, lambda mine: self._by_vllm([prompts[i] for i in mine]), self._state)
        with merged_adapter(self.trainer.model):
            return shared_out(prompts, self._sampler(prompts, stream), self._state)

    def of_base(self, prompts: Sequence[str], stream: tuple[int, ...]) -> list[Completion]:
        """The same of the untrained model."""
        model = self.trainer.model
        assert isinstance(model, PeftModel), "the base is the model with its adapter switched off"
        with model.disable_adapter():
            return shared_out(prompts, self._sampler(prompts, stream), self._state)

    def own_share(self, prompts: Sequence[str], stream: tuple[int, ...]) -> list[Completion]:
        """A completion of each prompt where each process has prompts of its own."""
        own = (*stream, self._state.process_index)
        with merged_adapter(self.trainer.model):
            return self._sampler(prompts, own)(list(range(len(prompts))))

    @property
    def _state(self):
        return self.trainer.accelerator.state

    def _sampler(self, prompts: Sequence[str], stream: tuple[int, ...]) -> Callable[[list[int]], list[Completion]]:
        def of_rows(mine: list[int]) -> list[Completion]:
            streams = [(self.seed, *stream, i) for i in mine]
            model, own = self.trainer.model, [prompts[i] for i in mine]
            plain = model.get_base_model() if isinstance(model, PeftModel) else model
            model.eval()  # in training gradient checkpointing would keep no cache
            with self.trainer.accelerator.autocast():  # full training holds its weights in fp32
                rows = sample(plain, self.trainer.processing_class, own, self.decoding, streams)
            model.train()
            return rows

        return of_rows

    @cached_property
    def _vllm(self) -> VLLMGeneration:
        return VLLMGeneration(
            self.trainer.model,
            self.trainer.accelerator,
            self.trainer.processing_class,
            temperature=self.decoding.temperature,
            max_completion_length=self.decoding.max_new_tokens,
            **vllm_settings(self.profile.engine),
        )

    def _by_vllm(self, prompts: list[str]) -> list[Completion]:
        tokenizer, step = self.trainer.processing_class, self.trainer.state.global_step
        if self.synced != step:
            self._vllm.sync_weights()
            self.synced = step
        ids = [encode_prompt(tokenizer, prompt) for prompt in prompts]
        responses = self._vllm.generate(prompts=ids, images=None, num_generations=1)[1]
        texts = tokenizer.batch_decode(responses, skip_special_tokens=True)
        limit = self.decoding.max_new_tokens
        return [Completion(p, r, t, len(r) < limit) for p, r, t in zip(ids, responses, texts, strict=True)]
