"""Do a frozen proposer or another reward change what is learned? From ``azr.tables.accuracy.contrasts``."""

import pandas as pd
from matplotlib.figure import Figure

from azr.figures.panels import facets, forest, legend, pick
from azr.figures.style import again_or_label, in_order

COLUMNS = {"base": "gain over the base", "selfplay": "difference from self-play"}


def plot(frame: pd.DataFrame) -> Figure:
    """Accuracy on validation problems, task types together: rows are models, columns what an arm is compared with."""
    group = "all" if "all" in set(frame["group"]) else frame["group"].iloc[0]
    frame = pick(frame, quantity="pass@1", group=group).assign(name=frame["method"].map(again_or_label))
    names = [again_or_label(method) for method in in_order(pick(frame, pale=False)["method"])]
    frame = frame.assign(against=frame["reference"].map(COLUMNS))
    look = {"col_order": COLUMNS.values(), "height": 1.5, "sharex": "col", "sharey": True}
    grid = facets(frame, lambda ax, rows: forest(ax, rows, names), "model", "against", **look)
    return legend(grid.set_xlabels("pass@1").figure, frame, [])
