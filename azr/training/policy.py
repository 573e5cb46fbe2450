"""The model that is trained, as it samples: with its adapter, or by vLLM beside it.

    policy = Policy(trainer, profile, seed)
    policy(["input 1\\n"] * 8, (3, 0))          # eight completions; random streams (seed, 3, 0, row)
    policy.of_base(["input 1\\n"], (3, 1))      # of the untrained model: the adapter is switched off

Left out: the sampler itself (``azr.models.sampling``).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property

import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from torch import nn
from transformers import Trainer
from trl.generation.vllm_generation import VLLMGeneration

from azr.config import Profile
from azr.models.sampling import Completion, Decoding, encode_prompt, end_tokens, sample
from azr.training.ranks import Streams, sampled_together
from azr.training.settings import vllm_settings


@contextmanager
def kept_weights(model: nn.Module) -> Iterator[None]:
    """Afterwards the weights under an adapter are exactly what they were: to merge it and to subtract it again would
    leave rounding errors, and a resumed run would differ.
    """
    weights = [layer.get_base_layer().weight for layer in model.modules() if isinstance(layer, LoraLayer)]
    saved = [weight.detach().clone() for weight in weights]
    try:
        yield
    finally:
        with torch.no_grad():
            for weight, before in zip(weights, saved, strict=True):
                weight.copy_(before)


@contextmanager
def merged_adapter(model: nn.Module) -> Iterator[None]:
    """Sample with the LoRA adapter merged into the weights, which is two to three times as fast on a small model.

    Only where they are float32: a bfloat16 weight keeps no change of less than half its step, which most of a young
    adapter's are, so there the adapter stays beside it. Does nothing for a model without an adapter.
    """
    if not isinstance(model, PeftModel) or model.dtype != torch.float32:
        yield
        return
    with kept_weights(model):
        model.merge_adapter()
        try:
            yield
        finally:
            model.unmerge_adapter()


class Policy:
    """Samples from a trainer's model. A completion depends on the weights, its prompt and its random stream alone, but
    for rounding; with vLLM, which has no such streams, on chance.
    """

    def __init__(self, trainer: Trainer, profile: Profile, seed: int) -> None:
        self.trainer, self.profile, self.seed = trainer, profile, seed
        rollout = profile.rollout
        self.decoding = Decoding(rollout.max_new_tokens, rollout.temperature, chunk=rollout.chunk)
        self.ends = end_tokens(trainer.model, trainer.processing_class)
        self.synced = -1

    def __call__(self, prompts: Sequence[str], stream: tuple[int, ...]) -> list[Completion]:
        """A completion of each prompt, on all processes; row i draws from the stream ``(seed, *stream, i)``."""
        if self.profile.engine.name == "vllm":
            return sampled_together(prompts, self._streams(prompts, stream), self._by_vllm)
        with merged_adapter(self.trainer.model):
            return sampled_together(prompts, self._streams(prompts, stream), self._sample)

    def of_base(self, prompts: Sequence[str], stream: tuple[int, ...]) -> list[Completion]:
        """The same of the untrained model, which needs an adapter that can be switched off."""
        with self.trainer.model.disable_adapter():
            return sampled_together(prompts, self._streams(prompts, stream), self._sample)

    def of_share(self, prompts: Sequence[str], stream: tuple[int, ...]) -> list[Completion]:
        """A completion of each prompt where every process has prompts of its own."""
        stream = (*stream, self.trainer.args.process_index)
        with merged_adapter(self.trainer.model):
            return self._sample(prompts, self._streams(prompts, stream))

    def _streams(self, prompts: Sequence[str], stream: tuple[int, ...]) -> Streams:
        return [(self.seed, *stream, row) for row in range(len(prompts))]

    def _sample(self, prompts: Sequence[str], streams: Streams) -> list[Completion]:
        model = self.trainer.model
        plain = model.get_base_model() if isinstance(model, PeftModel) else model
        model.eval()  # in training gradient checkpointing would keep no cache
        with torch.inference_mode(), self.trainer.accelerator.autocast():  # full training holds its weights in fp32
            completions = sample(plain, self.trainer.processing_class, prompts, self.decoding, streams)
        model.train()
        return completions

    @cached_property
    def _vllm(self) -> VLLMGeneration:
        trainer, decoding = self.trainer, self.decoding
        settings = {"temperature": decoding.temperature, "max_completion_length": decoding.max_new_tokens}
        settings |= vllm_settings(self.profile.engine) | {"generation_kwargs": {"stop_token_ids": sorted(self.ends)}}
        return VLLMGeneration(trainer.model, trainer.accelerator, trainer.processing_class, **settings)

    def _by_vllm(self, prompts: Sequence[str], streams: Streams) -> list[Completion]:
        tokenizer = self.trainer.processing_class
        if self.synced != self.trainer.state.global_step:
            with kept_weights(self.trainer.model):
                self._vllm.sync_weights()
            self.synced = self.trainer.state.global_step
        ids = [encode_prompt(tokenizer, prompt) for prompt in prompts]
        responses = self._vllm.generate(prompts=ids, images=None, num_generations=1)[1]
        texts = tokenizer.batch_decode(responses, skip_special_tokens=True)
        return [Completion(p, r, text, r[-1] in self.ends) for p, r, text in zip(ids, responses, texts, strict=True)]
