"""Do problems proposed later get harder? From ``azr.tables.curriculum.curriculum``."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from azr.figures.panels import canvas, forest, legend, lines, pick, present, whole_steps

ROWS = {"solve rate": "base's solve rate", "response length": "tokens a response", "statements": "statements"}
RHO = {
    "step, solve rate": "step, solve rate",
    "step, length": "step, length",
    "solve rate, length | statements": "solve rate, length\nwithin statements",
}


def plot(frame: pd.DataFrame) -> Figure:
    """Columns are models, rows what the base makes of the proposals of each step, and the rank correlations."""
    models = present(frame["model"])
    figure, axes = canvas(len(ROWS) + 1, len(models), 6.4, height_ratios=[1, 1, 1, 1.5], sharey="row")
    for column, model in zip(axes.T, models, strict=True):
        for ax, (quantity, words) in zip(column, ROWS.items(), strict=False):
            lines(pick(frame, model=model, quantity=quantity), "step", ax)
            whole_steps(ax)
            ax.set_xlabel("training step" if quantity == "statements" else "")
            ax.set_ylabel(words if model == models[0] else "")
        rho = pick(frame, model=model, quantity="rho")
        forest(column[-1], rho.assign(name=rho["statistic"].map(RHO)), list(RHO.values()))
        column[-1].set_xlabel("Spearman's ρ, mean over runs")
        column[0].set_title(model)
    return legend(figure, frame)
