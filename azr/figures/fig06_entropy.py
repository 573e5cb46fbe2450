"""Does entropy collapse, in which role, and does a frozen proposer slow it? From ``azr.tables.entropy.over_steps``."""

import pandas as pd
from matplotlib.figure import Figure

from azr.figures.panels import facets, legend, line_panel, pick

ROWS = {"solver": "solver", "proposer": "proposer", "gap": "proposer − solver", "answers": "answers"}


def plot(frame: pd.DataFrame) -> Figure:
    """Change of entropy on fixed prompts against training steps: columns are models, rows roles, their gap, answers."""
    frame = frame.assign(panel=frame["quantity"].map(ROWS))
    grid = facets(frame, line_panel("step", zero=True), "panel", "model", row_order=ROWS.values(), height=1.45)
    for (panel, model), ax in grid.axes_dict.items():
        start = pick(frame, panel=panel, model=model, pale=False)["start"].iloc[0]
        ax.text(0.99, 1.02, f"base: {start:.2f} nats", transform=ax.transAxes, ha="right", fontsize=7.5)
    return legend(grid.set_axis_labels("training step", "change, nats").figure, frame)
