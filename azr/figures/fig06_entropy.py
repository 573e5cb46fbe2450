"""Does entropy collapse, in which role, and does a frozen proposer slow it? From ``azr.tables.entropy.over_steps``."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from azr.figures.panels import facets, legend, pick, whole_steps, zero_line

ROWS = {"solver": "solver", "proposer": "proposer", "gap": "proposer − solver", "answers": "answers"}


def plot(frame: pd.DataFrame) -> Figure:
    """Change of entropy on fixed prompts against training steps: columns are models, rows roles, their gap, answers."""
    frame = frame.assign(panel=frame["quantity"].map(ROWS))
    grid = facets(frame, "step", "panel", "model", row_order=list(ROWS.values()), height=1.45)
    for (panel, model), ax in grid.axes_dict.items():
        zero_line(ax)
        whole_steps(ax)
        for start in pick(frame, panel=panel, model=model, pale=False)["start"].head(1):
            ax.text(0.08, 0.04, f"base: {start:.2f} nats", transform=ax.transAxes, fontsize=7.5)
    grid.set_ylabels("change, nats")
    for ax in grid.axes[:-1].flat:
        ax.set_xlabel("")
    return legend(grid.figure, frame)
