"""Do a frozen proposer or another reward change what is learned? From ``azr.tables.accuracy.contrasts``."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from azr.figures.panels import canvas, forest, legend, pick, present
from azr.figures.style import again_or_label, in_order

COLUMNS = {"base": "gain over the base", "selfplay": "difference from self-play"}


def plot(frame: pd.DataFrame) -> Figure:
    """Accuracy on validation problems, task types together: rows are models, columns what an arm is compared with."""
    group = "all" if "all" in set(frame["group"]) else frame["group"].iloc[0]
    frame = pick(frame, quantity="pass@1", group=group).assign(name=frame["method"].map(again_or_label))
    own = pick(frame, pale=False)
    models, columns = present(own["model"]), present(own["reference"], COLUMNS)
    names = [again_or_label(method) for method in in_order(own["method"])]
    figure, axes = canvas(len(models), len(columns), 1.5 * len(models) + 0.5, sharex="col", sharey=True)
    for row, model in zip(axes, models, strict=True):
        for ax, against in zip(row, columns, strict=True):
            forest(ax, pick(frame, model=model, reference=against), names)
        row[0].set_ylabel(model)
    for ax, against in zip(axes[-1], columns, strict=True):
        ax.set_xlabel(f"pass@1, {COLUMNS[against]}")
    return legend(figure, frame, []) if frame["pale"].any() else figure
