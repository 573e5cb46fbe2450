"""What happens inside a self-play run? From ``azr.tables.training.selfplay``."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.pyplot import get_cmap

from azr.figures.panels import canvas, legend, lines, present, whole_steps

ROLES = {"solver": "-", "proposer": "--"}
SHARES = ("never", "to ¼", "to ¾", "below 1", "always")
ROWS = {"reward": "reward", "length": "tokens a response", "fate": "valid proposals", "solved": "solve rates"}


def plot(frame: pd.DataFrame, reference: pd.DataFrame | None = None) -> Figure:
    """Rows: rewards and lengths of both roles, valid share of proposals, their solve rates; columns: models."""
    models, rows = present(frame["model"]), present(frame["quantity"], list(ROWS))
    figure, axes = canvas(len(rows), len(models), 1.45 * len(rows) + 0.5, sharex=True, sharey="row")
    for place, quantity in enumerate(rows):
        for ax, model in zip(axes[place], models, strict=True):
            own = frame[(frame["model"] == model) & (frame["quantity"] == quantity)]
            if quantity == "solved":
                _stack(ax, own, labelled=model == models[-1])
                continue
            look = {"style": "role", "dashes": ROLES} if quantity != "fate" else {}
            if reference is not None:
                behind = reference[(reference["model"] == model) & (reference["quantity"] == quantity)]
                lines(behind, "step", ax, pale=True, **look)
            lines(own, "step", ax, **look)
        axes[place, 0].set_ylabel(ROWS[quantity])
    for ax, model in zip(axes[0], models, strict=True):
        ax.set_title(model)
    for ax in axes[-1]:
        whole_steps(ax)
    return legend(figure, frame["method"], styles=ROLES, reference=reference)


def _stack(ax: Axes, rows: pd.DataFrame, labelled: bool) -> None:
    """Shares of the valid proposals by solve rate, from never solved (dark) to always (light)."""
    table = rows.pivot(index="step", columns="name", values="estimate").fillna(0.0)
    names = [name for name in SHARES if name in table]
    shades = get_cmap("Greys")([0.75 - 0.6 * SHARES.index(name) / (len(SHARES) - 1) for name in names])
    ax.stackplot(table.index, table[names].T, colors=shades)
    ax.set(ylim=(0, 1), xlim=(table.index.min(), table.index.max()))
    if labelled:
        patches = [Patch(color=shade, label=name) for name, shade in zip(names, shades, strict=True)]
        ax.legend(handles=patches[::-1], loc="center left", bbox_to_anchor=(1, 0.5), handlelength=1, fontsize=7)
