"""LoRA as one operation: what ``peft.tuners.lora.Linear`` computes, without its passes over whole activations.

    fuse(get_peft_model(model, config))

PEFT scales and adds the adapter's output, and autograd the gradients of both paths, in steps of their own; for a small
model these are a quarter of an update. Here they are part of the matrix products. Values and gradients are PEFT's, but
for rounding. Left out: dropout, and other kinds of adapters; merged or switched-off layers and mixed precision are left
to PEFT.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from peft.tuners.lora import Linear
from torch import nn
from torch.nn.functional import linear


class LoraProduct(torch.autograd.Function):
    """y = x W^T + bias + s (x A^T) B^T, with gradients for x, A (rank, in) and B (out, rank)."""

    @staticmethod
    def forward(ctx: Any, x, weight, bias, a, b, scaling: float) -> torch.Tensor:
        """``x`` has the shape (..., in)."""
        flat = x.reshape(-1, x.shape[-1])
        low = flat @ a.T
        y = linear(flat, weight, bias).addmm_(low, b.T, alpha=scaling)
        ctx.save_for_backward(flat, weight, a, b, low)
        ctx.scaling = scaling
        return y.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """The gradients in the order of the inputs; W and its bias are frozen."""
        flat, weight, a, b, low = ctx.saved_tensors
        g = gradient.reshape(-1, gradient.shape[-1])
        low_gradient = ctx.scaling * (g @ b)
        of_x = None
        if ctx.needs_input_grad[0]:
            of_x = (g @ weight).addmm_(low_gradient, a).view(*gradient.shape[:-1], -1)
        return of_x, None, None, low_gradient.T @ flat, ctx.scaling * (g.T @ low), None


def fuse(model: nn.Module) -> nn.Module:
    """Let the linear layers of a PEFT model with one LoRA adapter compute by ``LoraProduct``; returns the model."""
    for layer in model.modules():
        if isinstance(layer, Linear):
            layer.forward = partial(_forward, layer, layer.forward)
    return model


def _forward(layer: Linear, plain: Callable[..., torch.Tensor], x: torch.Tensor, **options: Any) -> torch.Tensor:
    if layer.merged or layer.disable_adapters or torch.is_autocast_enabled(x.device.type):
        return plain(x, **options)
    base, (name,) = layer.get_base_layer(), layer.active_adapters
    a, b = layer.lora_A[name].weight, layer.lora_B[name].weight
    return LoraProduct.apply(x, base.weight, base.bias, a, b, layer.scaling[name])
