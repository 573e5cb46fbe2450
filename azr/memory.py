"""What a model takes to train and to sample, from its config alone: parameters, memory by part, and what to change.

    config = AutoConfig.from_pretrained("Qwen/Qwen2.5-Coder-3B")
    memory = predict(config, Workload(rows=4, lora_rank=32))
    print(memory.table())
    print(advice(config, Workload(rows=4, lora_rank=32), available=24 * GIB))

No weight is loaded: the parameters are counted on PyTorch's meta device. The rest is arithmetic, in bytes, with b the
bytes of the compute dtype, T = rows x (prompt + completion) tokens, L layers, h hidden, q = heads x head size, f the
inner size of the MLP, V the vocabulary:

* KV cache: rows x tokens x L x 2 x key-value heads x head size x b; sliding layers keep no more than their window.
* activations of one layer, for each token (attention by fused kernels, which keep no score matrix):
  full training without autocast      (4 + 2b) n + 4 b q + m b f
  full training with autocast         8 n + 4 b q + (m - 1) b f + b (inputs of all linear layers)
  LoRA                                4 n + 4 b q + (m - 1) b f + b (inputs and ranks of the adapted layers)
  n is the width of a layer's norms together (h each, and those of queries and keys); m is 4 for a gated MLP, 2 for one
  without a gate, 5 with gelu_new, which PyTorch composes; without autocast the adapters work in 4 bytes
* L such layers without gradient checkpointing; with it L b h per token and one whole layer.
* logits: TRL never holds those of all tokens; it works in tiles of at most 4,096 tokens x 32,768 words of b bytes (on
  the CPU with four copies in fp32 beside each), and keeps the gradient of the last hidden states, h (4 + 2b) per
  completion token (on the CPU: per token), and with full training that of the output layer, V h (4 + weights' bytes).
* while sampling with an adapter merged, a copy of the weights that it changes.

Tests compare these with what autograd keeps for five architectures. Left out: mixture-of-experts kernels, 4-bit
weights, vLLM (which takes the share of memory that it is given), communication buffers.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

GIB = 1 << 30
DTYPE_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
ADAM_BYTES = 8
"""Two moments in fp32 for each trained parameter."""
TILE_TOKENS, TILE_WORDS = 4096, 32768
"""Largest tile of logits in training (TRL's)."""
TILE_COPIES = 4
"""Copies in fp32 of a tile where no GPU's kernel works in place."""
SCORE_COPIES = 3
"""Copies in fp32 of the next token's logits in sampling."""
FRAGMENTATION = 0.05
"""Share of the peak that a caching allocator loses."""
CONTEXT_BYTES = 700 << 20
"""What a CUDA process takes before its first tensor (context, libraries' workspaces)."""


@dataclass(frozen=True)
class Workload:
    """What one device has to do at once. All counts are per device."""

    rows: int = 4
    """Sequences in one forward and backward pass."""
    generation_rows: int = 64
    """Sequences that are generated at once; 0 where vLLM generates."""
    prompt_tokens: int = 1024
    completion_tokens: int = 1024
    weights: str = "bfloat16"
    """Dtype in which the weights are held; full training by mixed precision holds float32."""
    autocast: bool = True
    """Mixed precision as Trainer's ``bf16`` does it."""
    lora_rank: int | None = 32
    """None trains all parameters."""
    lora_targets: str | tuple[str, ...] = "all-linear"
    """PEFT's ``target_modules``: names of linear layers, or all of them but the output layer."""
    gradient_checkpointing: bool = True
    shards: int = 1
    """Devices over which weights, gradients and optimizer are split (FSDP, ZeRO-3)."""
    cuda: bool = True
    """On a CUDA GPU, whose kernels fold the tiles of logits in place."""


@dataclass(frozen=True)
class Shape:
    """What counts of a model's architecture."""

    parameters: int
    linears: tuple[tuple[str, int, int], ...]
    """Name, inputs and outputs of every linear layer but the output layer."""
    layers: int
    hidden: int
    query: int
    key_value: int
    inner: int
    inner_copies: int
    """Tensors of the inner size that full training keeps for each token."""
    norms: int
    """Width of one layer's norms together."""
    vocabulary: int
    windows: tuple[int, ...]
    """For each layer the longest past that it keeps; 0 for all of it."""


@dataclass(frozen=True)
class Memory:
    """Bytes by part, on one device."""

    parameters: int
    trained: int
    """Parameters that are trained: the adapter's, or all."""
    weights: int
    adapter: int
    gradients: int
    optimizer: int
    kv_cache: int
    prefill: int
    """Passing working memory of generation."""
    merging: int
    """Copy of the weights that a merged adapter changes, held while sampling."""
    activations: int
    logits: int

    @property
    def held(self) -> int:
        """Bytes held from the first step to the last."""
        return self.weights + self.adapter + self.optimizer

    @property
    def generating(self) -> int:
        """Bytes while responses are generated."""
        return self.held + self.kv_cache + self.prefill + self.merging

    @property
    def training(self) -> int:
        """Bytes at the height of a training step."""
        return self.held + self.gradients + self.activations + self.logits

    @property
    def peak(self) -> int:
        """The larger of the two, with what the allocator loses; without the CUDA context."""
        return int(max(self.generating, self.training) * (1 + FRAGMENTATION))

    def table(self) -> str:
        """One line a part, in GiB."""
        rows = [("parameters", f"{self.parameters / 1e6:,.1f} M"), ("trained", f"{self.trained / 1e6:,.2f} M")]
        parts = (
            "weights",
            "adapter",
            "gradients",
            "optimizer",
            "kv_cache",
            "prefill",
            "merging",
            "activations",
            "logits",
        )
        rows += [(part.replace("_", " "), f"{getattr(self, part) / GIB:,.2f} GiB") for part in parts]
        rows += [(name, f"{getattr(self, name) / GIB:,.2f} GiB") for name in ("generating", "training", "peak")]
        return "\n".join(f"{name:<12}{value:>14}" for name, value in rows)


def shape_of(config: Any) -> Shape:
    """Read the architecture from a transformers config by building its causal model without memory."""
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    text = config.get_text_config()
    output = model.get_output_embeddings()
    linears = tuple(
        (name, module.in_features, module.out_features)
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and module is not output
    )
    heads = text.num_attention_heads
    head = getattr(text, "head_dim", None) or text.hidden_size // heads
    key_heads = getattr(text, "num_key_value_heads", None) or heads
    layers = text.num_hidden_layers
    inner = getattr(text, "intermediate_size", None) or 4 * text.hidden_size
    weights = [
        (name, tensor.shape[0])
        for name, tensor in model.named_parameters()
        if "norm" in name and name.endswith("weight")
    ]
    wide = (sum(1 for _, width in weights if width == text.hidden_size) - 1) // layers  # one is behind the last layer
    of_heads = any(name.endswith("q_norm.weight") for name, _ in weights)
    gated = any(name.endswith(("gate_proj", "gate_up_proj")) for name, _, _ in linears)
    activation = getattr(text, "hidden_act", None) or getattr(text, "hidden_activation", None)
    window = getattr(text, "sliding_window", None) or 0
    kinds = getattr(text, "layer_types", None) or ["sliding_attention" if window else "full_attention"] * layers
    return Shape(
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        linears=linears,
        layers=layers,
        hidden=text.hidden_size,
        query=heads * head,
        key_value=key_heads * head,
        inner=inner,
        inner_copies=4 if gated else 5 if activation == "gelu_new" else 2,
        norms=max(1, wide) * text.hidden_size + (heads + key_heads) * head * of_heads,
        vocabulary=text.vocab_size,
        windows=tuple(window if kind == "sliding_attention" else 0 for kind in kinds),
    )


def adapted_linears(shape: Shape, targets: str | tuple[str, ...]) -> list[tuple[int, int]]:
    """Inputs and outputs of the linear layers that LoRA adapts, matched by the end of their names as PEFT does."""
    if targets == "all-linear":
        return [(inputs, outputs) for _, inputs, outputs in shape.linears]
    names = (targets,) if isinstance(targets, str) else targets
    return [(i, o) for name, i, o in shape.linears if any(name == t or name.endswith(f".{t}") for t in names)]


def lora_parameters(shape: Shape, rank: int, targets: str | tuple[str, ...] = "all-linear") -> int:
    """Parameters of a LoRA adapter: rank x (inputs + outputs) for each adapted layer."""
    return sum(rank * (inputs + outputs) for inputs, outputs in adapted_linears(shape, targets))


def kv_cache_bytes(shape: Shape, rows: int, tokens: int, bytes_each: int) -> int:
    """Keys and values of ``rows`` sequences of ``tokens`` tokens."""
    kept = sum(min(tokens, window) if window else tokens for window in shape.windows)
    return rows * kept * 2 * shape.key_value * bytes_each


def activation_bytes(shape: Shape, work: Workload) -> int:
    """What autograd keeps between forward and backward, without the logits."""
    b = 2 if work.autocast else DTYPE_BYTES[work.weights]
    full = work.lora_rank is None
    if full and not work.autocast:
        norm, mlp, inputs = 4 + 2 * b, shape.inner_copies, 0
    else:
        norm, mlp = 8 if full else 4, shape.inner_copies - 1
        adapted = adapted_linears(shape, "all-linear" if full else work.lora_targets)
        width = sum(i + (work.lora_rank or 0) for i, _ in adapted) // shape.layers
        inputs = (b if work.autocast else 4) * width
    layer = norm * shape.norms + b * (4 * shape.query + mlp * shape.inner) + inputs
    sequence = work.prompt_tokens + work.completion_tokens
    per_token = shape.layers * b * shape.hidden + layer if work.gradient_checkpointing else shape.layers * layer
    mask = work.rows * sequence * sequence
    # Autocast keeps bf16 copies of fp32 weights until the backward pass; sharding holds one layer's at a time.
    copies = b * shape.parameters if full and work.autocast and work.weights == "float32" else 0
    copies //= shape.layers if work.shards > 1 else 1
    return work.rows * sequence * (per_token + norm * shape.hidden) + mask + copies


def logit_bytes(shape: Shape, work: Workload) -> int:
    """What a training step holds of logits and of the gradients behind them."""
    each = DTYPE_BYTES[work.weights]
    b = 2 if work.autocast else each
    scored = work.rows * (work.completion_tokens + (0 if work.cuda else work.prompt_tokens))
    tile = min(scored, TILE_TOKENS) * min(shape.vocabulary, TILE_WORDS) * (b + (0 if work.cuda else 4 * TILE_COPIES))
    output_layer = shape.vocabulary * shape.hidden * (4 + each) if work.lora_rank is None else 0
    return tile + scored * shape.hidden * (4 + 2 * b) + output_layer


def predict(config: Any, work: Workload, shape: Shape | None = None) -> Memory:
    """Memory of ``work`` on one device, from a transformers ``config``; ``shape`` saves reading it again.

    Raises ValueError for an unknown dtype, counts below one, or LoRA targets that the model does not have.
    """
    counts = (work.rows, work.prompt_tokens, work.completion_tokens, work.shards)
    if work.weights not in DTYPE_BYTES:
        raise ValueError(f"{work.weights} is no dtype of weights: choose one of {', '.join(DTYPE_BYTES)}")
    if min(counts) < 1 or work.generation_rows < 0 or (work.lora_rank is not None and work.lora_rank < 1):
        raise ValueError("rows, tokens, rank and shards must be at least 1")
    shape = shape or shape_of(config)
    adapter = 0
    if work.lora_rank is not None:
        adapter = lora_parameters(shape, work.lora_rank, work.lora_targets)
        if adapter == 0:
            raise ValueError(f"the model has no linear layer named {work.lora_targets}")
    trained = adapter or shape.parameters
    each = DTYPE_BYTES[work.weights]
    b = 2 if work.autocast else each
    tokens = work.prompt_tokens + work.completion_tokens
    cache = kv_cache_bytes(shape, work.generation_rows, tokens, b)
    # Generation: the MLP and residuals of one layer over all prompts, one layer's cache while it grows, and the
    # sampler's copies of the next-token scores.
    passing = work.generation_rows * work.prompt_tokens * b * (2 * shape.hidden + 3 * shape.inner)
    merged = sum(inputs * outputs for inputs, outputs in adapted_linears(shape, work.lora_targets)) * each
    scores = work.generation_rows * shape.vocabulary * 4 * SCORE_COPIES
    return Memory(
        parameters=shape.parameters,
        trained=trained,
        weights=shape.parameters * each // work.shards,
        adapter=adapter * 4 // work.shards,
        gradients=trained * (4 if adapter else each) // work.shards,
        optimizer=trained * ADAM_BYTES // work.shards,
        kv_cache=cache,
        prefill=passing + scores + cache // shape.layers,
        merging=merged if adapter and work.generation_rows and work.shards == 1 else 0,
        activations=activation_bytes(shape, work),
        logits=logit_bytes(shape, work),
    )


def advice(config: Any, work: Workload, available: int, *, cuda: bool = True) -> str:
    """One sentence: whether ``work`` fits into ``available`` bytes, and if not which settings to change, in order."""
    shape = shape_of(config)
    room = available - (CONTEXT_BYTES if cuda else 0)
    first = peak = predict(config, work, shape).peak
    if peak <= room:
        return f"fits: {peak / GIB:.1f} of {room / GIB:.1f} GiB"
    changes: list[str] = []
    for describe, turn in _KNOBS:
        turned = False
        while peak > room:
            changed = turn(work)
            smaller = predict(config, changed, shape).peak
            if smaller >= peak:
                break
            work, peak, turned = changed, smaller, True
        if turned:
            changes.append(describe(work))
        if peak <= room:
            todo = ", ".join(changes)
            return f"does not fit: {first / GIB:.1f} of {room / GIB:.1f} GiB; {todo} makes it {peak / GIB:.1f} GiB"
    return (
        f"does not fit: {first / GIB:.1f} of {room / GIB:.1f} GiB; no setting brings it below {peak / GIB:.1f} GiB: "
        "take a smaller model or split it over more devices"
    )


_KNOBS: tuple[tuple[Callable[[Workload], str], Callable[[Workload], Workload]], ...] = (
    (lambda work: "train.gradient_checkpointing=true", lambda work: replace(work, gradient_checkpointing=True)),
    (lambda work: f"train.micro_batch={work.rows}", lambda work: replace(work, rows=max(1, work.rows // 2))),
    (
        lambda work: f"rollout.chunk={work.generation_rows}",
        lambda work: replace(work, generation_rows=-(-work.generation_rows // 2)),
    ),
    (
        lambda work: f"a LoRA adapter of rank {work.lora_rank} instead of full training",
        lambda work: work if work.lora_rank else replace(work, lora_rank=32, weights="bfloat16"),
    ),
    (
        lambda work: f"rollout.max_new_tokens={work.completion_tokens}",
        lambda work: replace(work, completion_tokens=max(256, work.completion_tokens // 2)),
    ),
)
"""What to turn, the cheapest for the result first: how it is called, and one turn of it."""


def machine_memory() -> tuple[int, bool]:
    """Bytes that this machine has for a model, and whether they are a CUDA card's (the smallest) or main memory."""
    if torch.cuda.is_available():
        sizes = [torch.cuda.get_device_properties(number).total_memory for number in range(torch.cuda.device_count())]
        return min(sizes), True
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), False
