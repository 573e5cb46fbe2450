"""What can the base do, by the size of the program? From ``azr.tables.accuracy.base_by_size``."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from azr.figures.fig01_sft import GROUPS
from azr.figures.panels import facets, legend, present

DASHES = {"pass@1": "-", "greedy": "--", "pass@32": ":"}


def plot(frame: pd.DataFrame) -> Figure:
    """Share of problems solved against statements: columns are groups of problems, rows models, dashes quantities."""
    grid = facets(frame, "size", "model", "group", style="quantity", dashes=DASHES, col_order=GROUPS)
    grid.set(ylim=(0, 1.02), xlabel="statements")
    grid.set_ylabels("problems solved")
    shown = {name: DASHES[name] for name in present(frame["quantity"], DASHES)}
    return legend(grid.figure, frame, [], styles=shown)
