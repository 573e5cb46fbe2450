"""RQ4, LoRA's part: what a merged adapter leaves unchanged, and the rank and size of its update.

    frame = lora_frame(study, ["sft", "rlvr", "selfplay"])
    save(plot_lora(frame, note="nano"), "fig07_lora", frame, "figures")

A merged update of low rank changes every element of the weights it touches; what survives the cast to bfloat16 depends
on its size alone. So these numbers stand apart from those of full fine-tuning (``azr.figures.sparsity``).
"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.pyplot import subplots
from matplotlib.ticker import MaxNLocator

from azr.figures.sparsity import definition_name, dots
from azr.figures.style import METHOD_COLORS, count_of, finish, known_first, method_style, require_columns

_UNTOUCHED = "untouched by\nconstruction"


def plot_lora(frame: pd.DataFrame, *, note: str = "") -> Figure:
    """Unchanged shares of merged adapters, the effective rank and the relative size of their updates.

    Args:
        frame: from ``azr.updates.lora_frame``.
        note: model, steps, learning rate: appended to the caption.

    Returns:
        A figure of three panels, colours are methods: shares of all parameters by definition; effective rank by module
        type, with LoRA's rank as a line; norm of the update over that of the weight by module type. The last two are
        means over layers.
    """
    require_columns(frame, ("method", "seed", "view", "untouched", "effective_rank", "relative_norm"))
    methods = known_first(frame["method"], METHOD_COLORS)
    whole, weights = frame[frame["view"] == "whole"], frame[frame["view"] == "weight"]
    fig, (shares, ranks, norms) = subplots(1, 3, figsize=(9.3, 4.3), layout="constrained")
    first = whole.drop_duplicates(["method", "seed"])
    rows = whole.assign(name=whole.apply(definition_name, axis=1), value=whole["sparsity"])
    order = [_UNTOUCHED, *rows["name"].unique()]
    rows = pd.concat([first.assign(name=_UNTOUCHED, value=first["untouched"]), rows])
    dots(shares, rows, "name", order, "value", methods)
    shares.set(title="unchanged", xlabel="share of parameters, merged", xlim=(-0.03, 1.03))
    modules = [str(module) for module in weights["module"].unique()]
    means = weights.groupby(["method", "seed", "module"], as_index=False)[["effective_rank", "relative_norm"]].mean()
    rank = weights["rank"].max()
    dots(ranks, means, "module", modules, "effective_rank", methods, high=rank)
    ranks.axvline(rank, color="#444444", linewidth=1, linestyle="--")
    ranks.set(title="effective rank", xlabel=f"of at most {rank:.0f} (dashed)", xlim=(0, 1.05 * rank))
    dots(norms, means, "module", modules, "relative_norm", methods, high=float("inf"))
    norms.set(title="size of the update", xlabel="‖scale · BA‖ / ‖W‖")
    norms.set_xlim(0, 1.15 * means["relative_norm"].max())
    norms.xaxis.set_major_locator(MaxNLocator(4))
    for ax in (shares, ranks, norms):
        ax.tick_params(axis="y", labelsize=9)
    handles = [Line2D([], [], markersize=5, **method_style(method, methods)) for method in methods]
    return finish(fig, _caption(frame, note), handles, seeds=frame["seed"].nunique())


def _caption(frame: pd.DataFrame, note: str) -> str:
    seeds = frame["seed"].nunique()
    text = f"LoRA adapters of {count_of(seeds, 'training seed')}, merged into the base in fp32, counted by element; "
    text += "not comparable with full fine-tuning. "
    if seeds > 1:
        text += "Small dots: each seed; bars: 95 % t-interval, cut at the bounds of the quantity. "
    else:
        text += "Single run: no intervals. "
    text += "Effective rank: exp of the entropy of the update's singular values; it and the size: mean over layers."
    return f"{text} {note}".strip()
