"""RQ4: which share of the parameters each way of training leaves unchanged, with all weights trained.

    frame = update_frame(study, ["sft-full", "rlvr-full", "selfplay-full"])
    save(plot_sparsity(frame, note="nano"), "fig07_sparsity", frame, "figures")
    order = sparsity_order(frame)

Left out: comparing checkpoints (``azr.metrics.sparsity``), finding those of a study (``azr.updates``), and LoRA, of
which S says something else (``azr.figures.lora``).
"""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.pyplot import figure

from azr.figures.style import METHOD_COLORS, count_of, finish, known_first, method_style, plot_seeds, require_columns
from azr.metrics.sparsity import BF16_THRESHOLD
from azr.metrics.stats import t_interval

CLAIM = {"dtype": "bfloat16", "tolerance": "1e-05", "granularity": "element"}
"""The definition of claim C12: elements with |w1 - w0| <= 1e-5 in bfloat16, full fine-tuning."""

_SHORT = {"bfloat16": "bf16", "float32": "fp32", "exact": "=", "1e-05": "≤ 1e-5", "relative": "≤ |w|/256"}
_OFFSET = 0.22
"""Between the methods in a row of dots."""


def sparsity_order(frame: pd.DataFrame) -> pd.DataFrame:
    """Claim C12: does self-play's update sparsity lie between SFT's and RLVR's, seed by seed?

    Args:
        frame: from ``azr.updates.update_matrix`` or ``update_frame``: training (``full`` or ``lora``), method, seed,
            dtype, tolerance, granularity, sparsity. Rows of LoRA, of other definitions than ``CLAIM`` and of views
            other than ``whole`` are not looked at.

    Returns:
        One row a seed that all three methods have: seed, sft, rlvr, selfplay (S in [0, 1]) and ``between``: whether
        sign(S_selfplay - S_sft) differs from sign(S_selfplay - S_rlvr).

    Raises:
        ValueError: no seed has all three.
    """
    require_columns(frame, ("training", "method", "seed", "sparsity", *CLAIM))
    if "view" in frame:
        frame = frame[frame["view"] == "whole"]
    rows = _claimed(frame[frame["training"] == "full"])
    table = rows.pivot(index="seed", columns="method", values="sparsity").reindex(columns=["sft", "rlvr", "selfplay"])
    table = table.dropna()
    if table.empty:
        raise ValueError("No seed has sft, rlvr and selfplay with all weights trained.")
    signs = [np.sign(table["selfplay"] - table[other]) for other in ("sft", "rlvr")]
    return table.assign(between=signs[0] != signs[1]).rename_axis(columns=None).reset_index()


def plot_sparsity(frame: pd.DataFrame, *, note: str = "") -> Figure:
    """Update sparsity by definition, over training, by layer and by module type, and the sizes of the changes.

    Args:
        frame: from ``azr.updates.update_frame``, of runs that trained all weights.
        note: model, steps, learning rate: appended to the caption.

    Returns:
        A figure of five panels, colours are methods; a panel of training steps without a logged one says so. Each
        panel's title or axis has the definition of its numbers.
    """
    require_columns(frame, ("method", "seed", "view", "sparsity", "group", "share", *CLAIM))
    methods = known_first(frame["method"], METHOD_COLORS)
    views = {view: frame[frame["view"] == view] for view in ("whole", "step", "layer", "module", "change")}
    fig = figure(figsize=(9.3, 9.6), layout="constrained")
    axes = fig.subplot_mosaic([["whole", "step"], ["whole", "change"], ["module", "layer"]], height_ratios=(1, 1, 1.5))
    _definitions(axes["whole"], views["whole"], methods)
    _over_training(axes["step"], views["step"], methods)
    _changes(axes["change"], views["change"], methods)
    _by_layer(axes["layer"], _claimed(views["layer"]), methods)
    modules = _claimed(views["module"])
    order = [str(group) for group in modules["group"].unique()]
    dots(axes["module"], modules, "group", order, "sparsity", methods)
    axes["module"].set(title="by module type", xlabel=f"S: {definition_name(CLAIM)}")
    axes["module"].tick_params(axis="y", labelsize=8)
    handles = [Line2D([], [], markersize=5, **method_style(method, methods)) for method in methods]
    return finish(fig, _caption(views["whole"], note), handles, seeds=frame["seed"].nunique())


def dots(
    ax: Axes, rows: pd.DataFrame, column: str, order: list[str], value: str, methods: list[str], high: float = 1.0
) -> None:
    """A row of the panel for each name in ``order``: of each method every seed, their mean and its 95 % t-interval.

    Args:
        ax: where to draw.
        rows: columns method, seed, ``column`` and ``value``, one row a method, seed and name.
        column: which column has the names.
        order: from top to bottom.
        value: which column has the numbers.
        methods: in the order in which they are drawn.
        high: bound of the quantity, at which intervals are cut; the other bound is 0.
    """
    for place, method in enumerate(methods):
        style = method_style(method, methods)
        for row, name in enumerate(order):
            values = rows.loc[(rows["method"] == method) & (rows[column] == name), value].to_numpy()
            if not len(values):
                continue
            y = row + _OFFSET * (place - (len(methods) - 1) / 2)
            interval = t_interval(values)
            if len(values) > 1:
                ends = np.clip([interval.low, interval.high], 0, high)
                ax.plot(ends, [y, y], color=style["color"], linewidth=1.2, alpha=0.45, solid_capstyle="butt")
                ax.plot(values, np.full(len(values), y), ".", color=style["color"], markersize=3.5, alpha=0.6)
            ax.plot(interval.estimate, y, color=style["color"], marker=style["marker"], markersize=4.5)
    ax.set_yticks(range(len(order)), order)
    ax.set_ylim(len(order) - 0.5, -0.5)


def _claimed(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of the claim's definition."""
    return frame[(frame[list(CLAIM)] == pd.Series(CLAIM)).all(axis=1)]


def definition_name(row: dict[str, str] | pd.Series) -> str:
    """A definition on an axis, as in ``bf16, |Δw| ≤ 1e-5``."""
    test = "w₁ = w₀" if row["tolerance"] == "exact" else f"|Δw| {_SHORT[row['tolerance']]}"
    return f"{_SHORT[row['dtype']]}, {test}"


def _definitions(ax: Axes, whole: pd.DataFrame, methods: list[str]) -> None:
    names = whole.apply(definition_name, axis=1) + whole["granularity"].map({"element": "", "tensor": " "})
    rows = whole.assign(name=names)
    order = [name for unit in ("element", "tensor") for name in rows.loc[rows["granularity"] == unit, "name"].unique()]
    dots(ax, rows, "name", order, "sparsity", methods)
    half = len(order) / 2
    ax.axhline(half - 0.5, color="#444444", linewidth=0.8)
    for y, text in ((-0.5, "counted by element"), (half - 0.5, "in wholly unchanged tensors")):
        ax.annotate(text, (1, y), (0, -3), ("axes fraction", "data"), "offset points", ha="right", va="top", fontsize=8)
    ax.set(title="by definition", xlabel="S: share of parameters unchanged", xlim=(-0.03, 1.03))


def _over_training(ax: Axes, steps: pd.DataFrame, methods: list[str]) -> None:
    if steps.empty:
        ax.text(0.5, 0.5, "not logged", ha="center", va="center", transform=ax.transAxes)
    tolerable = steps[steps["tolerance"] == CLAIM["tolerance"]]
    for method, (dtype, linestyle) in itertools.product(methods, (("bfloat16", "-"), ("float32", ":"))):
        rows = tolerable[(tolerable["method"] == method) & (tolerable["dtype"] == dtype)]
        if len(rows):
            color = method_style(method, methods)["color"]
            plot_seeds(ax, rows, "step", "sparsity", color=color, linestyle=linestyle)
    ax.set(title="over training (dotted: fp32)", xlabel="training step", ylabel="S: |Δw| ≤ 1e-5")
    ax.set_ylim(-0.03, 1.03)


def _changes(ax: Axes, changes: pd.DataFrame, methods: list[str]) -> None:
    """Share of parameters a half octave; the share of equal ones, which a logarithmic scale cannot hold, in words."""
    inner = changes[(changes["low"] > 0) & np.isfinite(changes["high"])]
    lows = inner.loc[inner["share"] > 1e-3, "low"]
    first, last = min(lows.min(), BF16_THRESHOLD / 4), max(lows.max(), BF16_THRESHOLD * 2)
    ax.axvspan(BF16_THRESHOLD / 2, BF16_THRESHOLD, color="#999999", alpha=0.3, linewidth=0, zorder=0)
    ax.axvline(BF16_THRESHOLD, color="#444444", linewidth=1)
    ax.text(0.02, 0.97, "equal in fp32:", transform=ax.transAxes, va="top", fontsize=8)
    for place, method in enumerate(methods, start=1):
        style, own = method_style(method, methods), changes[changes["method"] == method]
        table = own[own["low"] > 0].pivot(index="low", columns="seed", values="share").loc[first:last]
        centres = table.index.to_numpy() * 2**0.25
        if table.shape[1] > 1:
            ax.plot(centres, table, color=style["color"], linewidth=0.6, alpha=0.5)
        ax.plot(centres, table.mean(axis=1), color=style["color"])
        equal = own.loc[own["high"] == 0, "share"].mean()
        text = f"{style['label']} {100 * equal:.1f} %"
        ax.text(0.02, 0.97 - 0.1 * place, text, transform=ax.transAxes, va="top", fontsize=8, color=style["color"])
    ax.set_xscale("log", base=2)
    ax.minorticks_off()
    ax.set(title="relative size of changes, and |w|/256", xlabel="|Δw| / |w|, fp32")
    ax.set(ylabel="share per half octave", ylim=(0, None))


def _by_layer(ax: Axes, layers: pd.DataFrame, methods: list[str]) -> None:
    numbers = sorted(int(group) for group in layers["group"].unique() if group != "outside")
    outside = numbers[-1] + 1 if numbers else 0
    places = layers["group"].map({str(number): number for number in numbers} | {"outside": outside})
    for method in methods:
        rows = layers.assign(place=places)[layers["method"] == method]
        apart, color = rows["group"] == "outside", method_style(method, methods)["color"]
        for part in (rows[~apart], rows[apart]):  # two lines: the rest is no layer after the last
            plot_seeds(ax, part, "place", "sparsity", color=color)
        ax.plot(rows.loc[apart, "place"], rows.loc[apart, "sparsity"], ".", color=color, markersize=3.5, alpha=0.6)
    ticks = [*numbers[:: 1 + len(numbers) // 8], outside]
    ax.set_xticks(ticks, [*map(str, ticks[:-1]), "rest"])
    ax.set(title="by layer", xlabel="layer", ylabel=f"S: {definition_name(CLAIM)}")


def _caption(whole: pd.DataFrame, note: str) -> str:
    seeds, stored = whole["seed"].nunique(), str(whole["stored"].iloc[0])
    text = f"Full fine-tuning of {int(whole['parameters'].max()):,} parameters, {count_of(seeds, 'training seed')}; "
    text += f"stored types, base and trained: {stored}. "
    if seeds > 1:
        text += "Small dots and thin lines: each seed; bars and bands: 95 % t-interval, bars cut at 0 and 1. "
    else:
        text += "Single run: no intervals. "
    text += "Grey: a weight that bf16 holds exactly keeps its value under changes up to |w|/512 to |w|/256"
    if not stored.startswith("bfloat16"):
        text += "; this base is not stored in bf16, so smaller changes can show too, and larger ones vanish"
    return f"{text}. Layer “rest”: embeddings, head, last norm. {note}".strip()
