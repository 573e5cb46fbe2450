"""What can the base do, by the size of the program? From ``azr.tables.accuracy.base_by_size``."""

import pandas as pd
from matplotlib.figure import Figure

from azr.figures.fig01_sft import GROUPS
from azr.figures.panels import facets, legend, line_panel, present

DASHES = {"pass@1": "-", "greedy": "--", "pass@32": ":"}


def plot(frame: pd.DataFrame) -> Figure:
    """Share of problems solved against statements: columns are groups of problems, rows models, dashes quantities."""
    groups = [*GROUPS, *frame["group"]]
    grid = facets(frame, line_panel("size", "quantity", DASHES), "model", "group", col_order=groups)
    grid.set(ylim=(0, 1.02)).set_axis_labels("statements", "problems solved")
    return legend(grid.figure, frame, [], {name: DASHES[name] for name in present(frame["quantity"], DASHES)})
