"""What does imitating worked answers bring on new problems? And RLVR? From ``azr.tables.accuracy.over_steps``."""

import pandas as pd
from matplotlib.figure import Figure

from azr.figures.panels import facets, legend, line_panel, present

GROUPS = ("all", "deduction", "abduction", "induction", "arithmetic")
DASHES = {"pass@1": "-", "greedy": "--"}


def groups_of(frame: pd.DataFrame) -> list[str]:
    """The groups that are shown, in their order; where there is one alone, not all of them together as well."""
    found = present(frame["group"], [*GROUPS, *frame["group"]])
    return found[1:] if found[0] == "all" and len(found) == 2 else found


def plot(frame: pd.DataFrame) -> Figure:
    """Gain over the base against training steps: columns are groups of problems, rows models, dashes quantities.

    The base's point at step 0 is another sample of it: what an untrained model gets.
    """
    grid = facets(frame, line_panel("step", "quantity", DASHES, True), "model", "group", col_order=groups_of(frame))
    return legend(grid.set_axis_labels("training step", "gain over the base").figure, frame, styles=DASHES)
