"""Is update sparsity more than the size of the update? From ``azr.tables.sparsity.runs``."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from azr.figures.panels import facets, legend, pick
from azr.figures.style import GREY, color_of, marker_of
from azr.tables.sparsity import full_weights, of_definition

ROWS = {"sparsity": "S, bf16, |Δw| ≤ 1e-5", "residual": "S − null"}


def plot(frame: pd.DataFrame) -> Figure:
    """A point a run and step, columns are models: sparsity, and what is left of it above the Gaussian null."""
    frame = full_weights(of_definition(frame)).sort_values("size")
    parts = [frame.assign(panel=name, y=frame[name]) for name in ROWS]
    parts[1]["null"] = 0  # what a residual is measured from
    grid = facets(pd.concat(parts), _panel, "panel", "model", height=1.85, ratios=(1.6, 1), ylabels=ROWS)
    null = Line2D([], [], color=GREY, linewidth=1, label="Gaussian update of that size")
    return legend(grid.set_xlabels("size of the update, ‖Δθ‖ / ‖θ‖").figure, frame, handles=[null])


def _panel(ax: Axes, rows: pd.DataFrame) -> None:
    """Points over the null's line; the reference study's are large and pale."""
    own = pick(rows, pale=False)
    ax.plot(own["size"], own["null"], color=GREY, linewidth=1, zorder=1)
    for (method, pale), mine in rows.groupby(["method", "pale"]):
        look = {"markersize": 8, "alpha": 0.25, "markeredgewidth": 0} if pale else {"markersize": 4, "alpha": 0.8}
        ax.plot(mine["size"], mine["y"], marker_of(method), color=color_of(method), zorder=2, **look)
    ax.set_xscale("log")
