"""What does imitating worked answers bring on new problems? From ``azr.tables.accuracy.over_steps``."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from azr.figures.panels import facets, legend, whole_steps, zero_line

GROUPS = ("all", "deduction", "abduction", "induction", "arithmetic")
DASHES = {"pass@1": "-", "greedy": "--"}


def plot(frame: pd.DataFrame, reference: pd.DataFrame | None = None) -> Figure:
    """Gain over the base against training steps: columns are groups of problems, rows models, dashes quantities.

    The base's point at step 0 is another sample of it: what an untrained model gets.
    """
    look = {"style": "quantity", "dashes": DASHES, "col_order": GROUPS}
    grid = facets(frame, "step", "model", "group", reference=reference, **look)
    for ax in grid.axes.flat:
        zero_line(ax)
        whole_steps(ax)
    grid.set_ylabels("gain over the base")
    return legend(grid.figure, frame["method"], styles=DASHES, reference=reference)
