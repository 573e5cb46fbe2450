"""Start a larger Llama from a smaller one, so that at first both compute the same (Net2Net, arXiv 1511.05641).

    grow(small, large)    # large: randomly initialised, larger in everything but the width of its heads

The small model's weights take the first places of each tensor. What is new reads through random weights and writes
through zeros: training can use it, and nothing has changed yet. Left out: sizes whose heads differ in width.
"""

from __future__ import annotations

import torch
from transformers import LlamaForCausalLM

WRITERS = ("o_proj.weight", "down_proj.weight")
"""What adds to the residual stream: new rows, columns and layers of these begin at zero."""


@torch.no_grad()
def grow(small: LlamaForCausalLM, large: LlamaForCausalLM) -> None:
    """Give ``large`` the function of ``small``, in place. Raises ValueError where its heads have another width."""
    if small.config.head_dim != large.config.head_dim:
        raise ValueError(f"heads are {small.config.head_dim} and {large.config.head_dim} wide: they must be equal")
    # A norm divides by the root of a mean square, and the mean is now over more places, the new ones zero.
    narrower = (small.config.hidden_size / large.config.hidden_size) ** 0.5
    known = dict(small.named_parameters())
    for name, weight in large.named_parameters():
        if name.endswith(WRITERS) or "embed" in name:
            weight.zero_()
        if name in known:
            part = known[name]
            weight[tuple(map(slice, part.shape))] = part * narrower if part.dim() == 1 else part
