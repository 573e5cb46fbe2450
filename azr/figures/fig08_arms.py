"""Do a frozen proposer or another reward change what is learned? From ``azr.tables.accuracy.contrasts``."""

import pandas as pd
from matplotlib.figure import Figure

from azr.figures.panels import facets, forest, legend, pick
from azr.figures.style import again_or_label, in_order

COLUMNS = {"base": "gain over the base", "selfplay": "difference from self-play"}


def plot(frame: pd.DataFrame) -> Figure:
    """Accuracy on validation problems, task types together: rows are models, columns what an arm is compared with."""
    group = "all" if "all" in set(frame["group"]) else frame["group"].iloc[0]
    named = frame.assign(name=frame["method"].map(again_or_label), against=frame["reference"].map(COLUMNS))
    frame = pick(named, quantity="pass@1", group=group)
    arms = pick(frame, pale=False).groupby("model", sort=False)["method"].agg(in_order)
    names = {model: list(map(again_or_label, own)) for model, own in arms.items()}
    look = {"col_order": COLUMNS.values(), "height": 1.5, "sharex": "col", "ratios": list(map(len, names.values()))}
    grid = facets(frame, lambda ax, rows: forest(ax, rows, names[rows["model"].iloc[0]]), "model", "against", **look)
    return legend(grid.set_xlabels("pass@1").figure, frame, [])
