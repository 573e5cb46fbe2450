"""What does imitating worked answers bring on new problems? And RLVR? From ``azr.tables.accuracy.over_steps``."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from azr.figures.panels import facets, legend, whole_steps, zero_line

GROUPS = ("all", "deduction", "abduction", "induction", "arithmetic")
DASHES = {"pass@1": "-", "greedy": "--"}


def plot(frame: pd.DataFrame) -> Figure:
    """Gain over the base against training steps: columns are groups of problems, rows models, dashes quantities.

    The base's point at step 0 is another sample of it: what an untrained model gets.
    """
    grid = facets(frame, "step", "model", "group", style="quantity", dashes=DASHES, col_order=GROUPS)
    for ax in grid.axes.flat:
        zero_line(ax)
        whole_steps(ax)
    grid.set_ylabels("gain over the base")
    return legend(grid.figure, frame, styles=DASHES)
