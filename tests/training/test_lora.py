"""LoRA as one operation: PEFT's values and PEFT's gradients."""

from __future__ import annotations

import copy

import pytest
import torch
from peft import LoraConfig, get_peft_model

from azr.training.lora import fuse

from .tiny import tiny_model


@pytest.fixture
def adapted():
    """A model whose adapter changes it."""
    model = get_peft_model(tiny_model(), LoraConfig(r=4, lora_alpha=6, target_modules="all-linear")).train()
    torch.manual_seed(1)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.2)
    return model


def test_values_and_gradients_are_pefts(adapted):
    fused = fuse(copy.deepcopy(adapted))
    ids = torch.randint(4, 60, (3, 7), generator=torch.Generator().manual_seed(0))
    for model in (adapted, fused):
        model(ids).logits.square().mean().backward()
    torch.testing.assert_close(fused(ids).logits, adapted(ids).logits)
    gradients = [{n: p.grad for n, p in model.named_parameters() if p.requires_grad} for model in (adapted, fused)]
    assert gradients[0]
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, msg=name)


def test_merged_and_switched_off_layers_are_left_to_peft(adapted):
    ids = torch.tensor([[1, 8, 20, 33]])
    fused = fuse(copy.deepcopy(adapted))
    with adapted.disable_adapter(), fused.disable_adapter():
        assert torch.equal(fused(ids).logits, adapted(ids).logits)
    apart = fused(ids).logits
    fused.merge_adapter()
    torch.testing.assert_close(fused(ids).logits, apart)
