"""Is update sparsity more than the size of the update? From ``azr.tables.sparsity.runs``."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from azr.figures.panels import canvas, legend, pick, present, zero_line
from azr.figures.style import GREY, color_of, marker_of
from azr.tables.sparsity import full_weights, of_definition


def plot(frame: pd.DataFrame) -> Figure:
    """A point a run and step, columns are models: sparsity, and what is left of it above the Gaussian null."""
    frame = full_weights(of_definition(frame)).sort_values("pale", ascending=False)
    models = present(pick(frame, pale=False)["model"])
    figure, axes = canvas(2, len(models), 4.3, sharex=True, sharey="row", height_ratios=(1.6, 1))
    for (above, below), model in zip(axes.T, models, strict=True):
        rows = pick(frame, model=model, pale=False).sort_values("size")
        above.plot(rows["size"], rows["null"], color=GREY, linewidth=1, zorder=1)
        zero_line(below)
        for (pale, method), mine in pick(frame, model=model).groupby(["pale", "method"], sort=False):
            look = {"markersize": 8, "alpha": 0.25, "markeredgewidth": 0} if pale else {"markersize": 4, "alpha": 0.8}
            look |= {"marker": marker_of(method), "color": color_of(method), "linestyle": "", "zorder": 2}
            above.plot(mine["size"], mine["sparsity"], **look)
            below.plot(mine["size"], mine["residual"], **look)
        above.set_title(model)
        below.set(xlabel="size of the update, ‖Δθ‖ / ‖θ‖", xscale="log")
    axes[0, 0].set_ylabel("S, bf16, |Δw| ≤ 1e-5")
    axes[1, 0].set_ylabel("S − null")
    null = Line2D([], [], color=GREY, linewidth=1, label="Gaussian update of that size")
    return legend(figure, frame, handles=[null])
