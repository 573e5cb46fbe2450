"""What happens inside a self-play run? From ``azr.tables.training.selfplay``."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.pyplot import get_cmap

from azr.figures.panels import facets, legend, line_panel, pick, present
from azr.tables.training import SOLVED

ROLES = {"solver": "-", "proposer": "--"}
SHADES = dict(zip(SOLVED, get_cmap("Greys")([0.75, 0.6, 0.45, 0.3, 0.15]), strict=True))
ROWS = {"reward": "reward", "length": "tokens a response", "fate": "valid proposals", "solved": "share of the valid"}


def plot(frame: pd.DataFrame) -> Figure:
    """Rows: rewards and lengths of both roles, valid share of proposals, their solve rates; columns: models."""

    def draw(ax: Axes, rows: pd.DataFrame) -> None:
        if "solved" in set(rows["quantity"]):
            _stack(ax, pick(rows, pale=False))
        else:
            line_panel("step", "role", ROLES | {"": "-"})(ax, rows)

    grid = facets(frame, draw, "quantity", "model", row_order=ROWS, height=1.45, ylabels=ROWS)
    patches = [Patch(color=shade, label=name) for name, shade in SHADES.items()]
    corner = grid.set_xlabels("training step").axes[-1, -1]
    look = {"loc": "center left", "bbox_to_anchor": (1, 0.5), "handlelength": 1, "fontsize": 7}
    corner.legend(handles=patches[::-1], title="solve rate", title_fontsize=7, **look)
    return legend(grid.figure, frame, styles=ROLES)


def _stack(ax: Axes, rows: pd.DataFrame) -> None:
    """Shares of the valid proposals by solve rate, from never solved (dark) to always (light)."""
    table = rows.pivot(index="step", columns="name", values="estimate").fillna(0.0)
    names = present(table, SHADES)
    ax.stackplot(table.index, table[names].T, colors=[SHADES[name] for name in names])
    ax.set(ylim=(0, 1), xlim=(table.index.min(), table.index.max()))
