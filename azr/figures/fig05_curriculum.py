"""Do problems proposed later get harder? From ``azr.tables.curriculum.curriculum``."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from azr.figures.panels import facets, forest, legend, line_panel

ROWS = {
    "solve rate": "base's solve rate",
    "response length": "tokens a response",
    "statements": "statements",
    "rho": "Spearman's ρ",
}
RHO = {
    "step, solve rate": "step,\nsolve rate",
    "step, length": "step,\nlength",
    "solve rate, length | statements": "solve rate,\nlength within\nstatements",
}


def plot(frame: pd.DataFrame) -> Figure:
    """Columns are models, rows what the base makes of the proposals of each step, and the rank correlations."""

    def draw(ax: Axes, rows: pd.DataFrame) -> None:
        if "rho" in set(rows["quantity"]):
            forest(ax, rows.assign(name=rows["statistic"].map(RHO)), list(RHO.values()))
        else:
            line_panel("step")(ax, rows)

    look = {"height": 1.5, "sharex": False, "ratios": (1, 1, 1, 1.6), "ylabels": ROWS}
    grid = facets(frame, draw, "quantity", "model", row_order=ROWS, **look)
    for above, below in zip(grid.axes[-2], grid.axes[-1], strict=True):
        above.set_xlabel("training step")
        below.set_xlabel("mean over runs")
    return legend(grid.figure, frame)
