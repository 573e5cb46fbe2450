"""Does training widen what a model can solve, or only make it likelier? From ``azr.tables.passk.curves``."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from azr.figures.fig01_sft import groups_of
from azr.figures.panels import facets, legend, line_panel

CURVES = "pass@k"


def plot(frame: pd.DataFrame) -> Figure:
    """Columns are models; rows the differences from the base and the curves of the first group, then other groups."""
    groups = groups_of(frame)
    own = (frame["quantity"] == CURVES) & (frame["group"] == groups[0])
    difference = (frame["quantity"] == "difference") & (frame["method"] != "base")
    shown = frame[own | difference].assign(panel=frame["group"].mask(own, CURVES))
    ks = sorted(set(shown["k"]))

    def draw(ax: Axes, rows: pd.DataFrame) -> None:
        line_panel("k", zero=CURVES not in set(rows["panel"]))(ax, rows)
        ax.set_xscale("log", base=2)
        ax.set_xticks(ks, [str(k) for k in ks])
        ax.minorticks_off()

    rows = [groups[0], CURVES, *groups[1:]]
    words = {name: CURVES if name == CURVES else f"{name}\nminus base" for name in rows}
    grid = facets(shown, draw, "panel", "model", row_order=rows, height=1.25, ylabels=words)
    return legend(grid.set_xlabels("k").figure, frame)
