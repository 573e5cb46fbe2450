"""Do a frozen proposer or another reward change what is learned? From ``azr.tables.accuracy.contrasts``."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from azr.figures.panels import canvas, forest, legend, present
from azr.figures.style import again_or_label, in_order

COLUMNS = {"base": "gain over the base", "selfplay": "difference from self-play"}


def plot(frame: pd.DataFrame, reference: pd.DataFrame | None = None) -> Figure:
    """Accuracy on validation problems, task types together: rows are models, columns what an arm is compared with."""

    def shown(table: pd.DataFrame) -> pd.DataFrame:
        rows = table[table["quantity"] == "pass@1"]
        group = "all" if "all" in set(rows["group"]) else rows["group"].iloc[0]
        return rows[rows["group"] == group].assign(name=rows["method"].map(again_or_label))

    own, behind = shown(frame), None if reference is None else shown(reference)
    models, columns = present(own["model"]), present(own["reference"], list(COLUMNS))
    names = [again_or_label(method) for method in in_order(own["method"])]
    figure, axes = canvas(len(models), len(columns), 1.5 * len(models) + 0.5, sharex="col", sharey=True)
    for row, model in enumerate(models):
        for ax, against in zip(axes[row], columns, strict=True):
            rows = own[(own["model"] == model) & (own["reference"] == against)]
            grey = None if behind is None else behind[(behind["model"] == model) & (behind["reference"] == against)]
            forest(ax, rows, names, "name", grey)
            if row == len(models) - 1:
                ax.set_xlabel(f"pass@1, {COLUMNS[against]}")
        axes[row, 0].set_ylabel(model)
    return figure if reference is None else legend(figure, [], reference=reference)
