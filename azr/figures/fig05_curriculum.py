"""Do problems proposed later get harder? From ``azr.tables.curriculum.curriculum``."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from azr.figures.panels import canvas, forest, legend, lines, present, whole_steps

ROWS = {"solve rate": "base's solve rate", "response length": "tokens a response", "statements": "statements"}
RHO = {
    "step, solve rate": "step, solve rate",
    "step, length": "step, length",
    "solve rate, length | statements": "solve rate, length\nwithin statements",
}


def plot(frame: pd.DataFrame, reference: pd.DataFrame | None = None) -> Figure:
    """Columns are models, rows what the base makes of the proposals of each step, and the rank correlations."""

    def rows_of(table: pd.DataFrame | None, model: str, quantity: str) -> pd.DataFrame | None:
        if table is None:
            return None
        return table[(table["model"] == model) & (table["quantity"] == quantity)].assign(
            statistic=table["statistic"].map(RHO)
        )

    models = present(frame["model"])
    figure, axes = canvas(len(ROWS) + 1, len(models), 6.4, height_ratios=[1, 1, 1, 1.5], sharey="row")
    for column, model in enumerate(models):
        for ax, quantity in zip(axes[:, column], ROWS, strict=False):
            behind = rows_of(reference, model, quantity)
            if behind is not None:
                lines(behind, "step", ax, pale=True)
            lines(rows_of(frame, model, quantity), "step", ax)
            whole_steps(ax)
            ax.set_xlabel("training step" if quantity == "statements" else "")
        forest(
            axes[-1, column],
            rows_of(frame, model, "rho"),
            list(RHO.values()),
            "statistic",
            rows_of(reference, model, "rho"),
        )
        axes[-1, column].set_xlabel("Spearman's ρ, mean over runs")
        axes[0, column].set_title(model)
    for ax, words in zip(axes[:, 0], ROWS.values(), strict=False):
        ax.set_ylabel(words)
    return legend(figure, frame["method"], reference=reference)
