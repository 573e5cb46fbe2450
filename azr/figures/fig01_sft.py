"""What does imitating worked answers bring on new problems? And RLVR? From ``azr.tables.accuracy.over_steps``."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from azr.figures.panels import facets, legend, line_panel

GROUPS = ("all", "deduction", "abduction", "induction", "arithmetic")
DASHES = {"pass@1": "-", "greedy": "--"}


def plot(frame: pd.DataFrame) -> Figure:
    """Gain over the base against training steps: columns are groups of problems, rows models, dashes quantities.

    The base's point at step 0 is another sample of it: what an untrained model gets.
    """
    groups = [*GROUPS, *frame["group"]]
    grid = facets(frame, line_panel("step", "quantity", DASHES, zero=True), "model", "group", col_order=groups)
    return legend(grid.set_axis_labels("training step", "gain over the base").figure, frame, styles=DASHES)
