"""Does entropy collapse, in which role, and does a frozen proposer slow it? From ``azr.tables.entropy.changes``."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from azr.figures.panels import facets, legend, whole_steps, zero_line

ROWS = {"solver": "solver", "proposer": "proposer", "gap": "proposer − solver", "answers": "answers"}


def plot(frame: pd.DataFrame, reference: pd.DataFrame | None = None) -> Figure:
    """Change of entropy on fixed prompts against training steps: columns are models, rows roles, their gap, answers."""

    def shown(table: pd.DataFrame) -> pd.DataFrame:
        return table.assign(panel=table["quantity"].map(ROWS))

    own = shown(frame)
    behind = None if reference is None else shown(reference)
    order = [name for name in ROWS.values() if name in set(own["panel"])]
    grid = facets(own, "step", "panel", "model", reference=behind, row_order=order, height=1.45)
    for (panel, model), ax in grid.axes_dict.items():
        zero_line(ax)
        whole_steps(ax)
        start = own[(own["panel"] == panel) & (own["model"] == model)]["start"]
        if len(start):
            ax.text(0.08, 0.04, f"base: {start.iloc[0]:.2f} nats", transform=ax.transAxes, fontsize=7.5)
    grid.set_ylabels("change, nats")
    for ax in grid.axes[:-1].flat:
        ax.set_xlabel("")
    return legend(grid.figure, own["method"], reference=reference)
