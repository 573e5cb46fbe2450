"""Does training widen what a model can solve, or only make it likelier? From ``azr.tables.passk.curves``."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.pyplot import figure

from azr.figures.panels import k_axis, legend, lines, pick, present, zero_line
from azr.figures.style import WIDTH, use_style

TYPES = ("deduction", "abduction", "induction")
LABELS = {"difference": "pass@k, method − base", "pass@k": "pass@k"}


def plot(frame: pd.DataFrame) -> Figure:
    """Columns are models, rows differences from the base for the task types together, the curves, and by type."""
    use_style()
    models, groups = present(frame["model"]), present(pick(frame, pale=False)["group"])
    whole, types = ("all", present(frame["group"], TYPES)) if "all" in groups else (groups[0], [])
    panels = [[(model, quantity, whole) for model in models] for quantity in LABELS]
    panels += [[(model, "difference", group) for model in models for group in types]] if types else []
    rows = [[at for at in row for _ in range(len(panels[-1]) // len(row))] for row in panels]
    fig = figure(figsize=(WIDTH, 5.9 if types else 4.4), layout="constrained")
    axes = fig.subplot_mosaic(
        [["/".join(at) for at in row] for row in rows], height_ratios=(1.8, 1.2, 1.1)[: len(rows)]
    )
    for row in panels:
        first = axes["/".join(row[0])]
        first.set_ylabel(LABELS[row[0][1]] if row[0][2] == whole else "difference")
        for model, quantity, group in row:
            ax = axes["/".join((model, quantity, group))]
            if ax is not first:
                ax.sharey(first)
                ax.tick_params(labelleft=False)
            shown = pick(frame, model=model, quantity=quantity, group=group)
            lines(shown if quantity == "pass@k" else shown[shown["method"] != "base"], "k", ax)
            k_axis(ax, frame["k"])
            if quantity == "difference":
                zero_line(ax)
                ax.set_title(group if group != whole else f"{model}, task types together" if types else model)
    return legend(fig, frame)
