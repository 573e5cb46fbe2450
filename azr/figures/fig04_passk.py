"""Does training widen what a model can solve, or only make it likelier? From ``azr.tables.passk.curves``."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.pyplot import figure

from azr.figures.panels import k_axis, legend, lines, present, zero_line
from azr.figures.style import WIDTH, use_style


def plot(frame: pd.DataFrame, reference: pd.DataFrame | None = None) -> Figure:
    """Columns are models, rows differences from the base for the task types together, the curves, and by type."""
    use_style()
    models, groups = present(frame["model"]), [group for group in present(frame["group"]) if group != "arithmetic"]
    whole = "all" if "all" in groups else groups[0]
    types = [group for group in groups if group != whole]
    span = max(len(types), 1)
    rows = [[f"{model}/{kind}" for model in models for _ in range(span)] for kind in ("difference", "pass@k")]
    rows += [[f"{model}/{group}" for model in models for group in types]] if types else []
    fig = figure(figsize=(WIDTH, 5.9 if types else 4.4), layout="constrained")
    axes = fig.subplot_mosaic(rows, height_ratios=(1.8, 1.2, 1.1)[: len(rows)])

    def draw(ax: Axes, model: str, quantity: str, group: str, first: Axes) -> None:
        if ax is not first:
            ax.sharey(first)
            ax.tick_params(labelleft=False)
        for table, pale in ((reference, True), (frame, False)):
            if table is not None:
                wanted = (table["model"] == model) & (table["quantity"] == quantity) & (table["group"] == group)
                wanted &= (table["method"] != "base") | (quantity == "pass@k")
                lines(table[wanted], "k", ax, pale=pale)
        k_axis(ax, frame["k"])
        if quantity == "difference":
            zero_line(ax)

    for model in models:
        draw(axes[f"{model}/difference"], model, "difference", whole, axes[f"{models[0]}/difference"])
        draw(axes[f"{model}/pass@k"], model, "pass@k", whole, axes[f"{models[0]}/pass@k"])
        axes[f"{model}/difference"].set_title(f"{model}, task types together" if types else model)
        for group in types:
            ax = axes[f"{model}/{group}"]
            draw(ax, model, "difference", group, axes[f"{models[0]}/{types[0]}"])
            ax.set_title(group)
    axes[f"{models[0]}/difference"].set_ylabel("pass@k, method − base")
    axes[f"{models[0]}/pass@k"].set_ylabel("pass@k")
    if types:
        axes[f"{models[0]}/{types[0]}"].set_ylabel("difference")
    return legend(fig, frame["method"], reference=reference)
