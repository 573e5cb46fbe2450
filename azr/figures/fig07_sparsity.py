"""Is update sparsity more than the size of the update? From ``azr.tables.sparsity.runs``."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from azr.figures.panels import canvas, legend, present, zero_line
from azr.figures.style import GREY, color_of, in_order, marker_of
from azr.tables.sparsity import full_weights, of_definition


def plot(frame: pd.DataFrame, reference: pd.DataFrame | None = None) -> Figure:
    """A point a run and step, columns are models: sparsity, and what is left of it above the Gaussian null."""
    own = full_weights(of_definition(frame))
    behind = None if reference is None else full_weights(of_definition(reference))
    models = present(own["model"])
    figure, axes = canvas(2, len(models), 4.3, sharex=True, sharey="row", height_ratios=(1.6, 1))
    for column, model in enumerate(models):
        rows = own[own["model"] == model].sort_values("size")
        above, below = axes[:, column]
        above.plot(rows["size"], rows["null"], color=GREY, linewidth=1, zorder=1)
        zero_line(below)
        for ax, quantity in ((above, "sparsity"), (below, "residual")):
            if behind is not None:
                _points(ax, behind[behind["model"] == model], quantity, pale=True)
            _points(ax, rows, quantity)
        above.set_title(model)
        below.set_xlabel("size of the update, ‖Δθ‖ / ‖θ‖")
        below.set_xscale("log")
    axes[0, 0].set_ylabel("S, bf16, |Δw| ≤ 1e-5")
    axes[1, 0].set_ylabel("S − null")
    null = Line2D([], [], color=GREY, linewidth=1, label="Gaussian update of that size")
    return legend(figure, own["method"], reference=reference, handles=[null])


def _points(ax: Axes, rows: pd.DataFrame, quantity: str, pale: bool = False) -> None:
    look = {"markersize": 8, "alpha": 0.25, "markeredgewidth": 0} if pale else {"markersize": 4, "alpha": 0.8}
    for method in in_order(rows["method"]):
        mine = rows[rows["method"] == method]
        marker = marker_of(method)
        ax.plot(mine["size"], mine[quantity], marker, color=color_of(method), linestyle="", zorder=2, **look)
