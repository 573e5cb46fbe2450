"""What happens inside a self-play run? From ``azr.tables.training.selfplay``."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.pyplot import get_cmap

from azr.figures.panels import canvas, legend, lines, pick, present, whole_steps

ROLES = {"solver": "-", "proposer": "--"}
SHARES = ("never", "to ¼", "to ¾", "below 1", "always")
ROWS = {"reward": "reward", "length": "tokens a response", "fate": "valid proposals", "solved": "solve rates"}


def plot(frame: pd.DataFrame) -> Figure:
    """Rows: rewards and lengths of both roles, valid share of proposals, their solve rates; columns: models."""
    models, rows = present(frame["model"]), present(frame["quantity"], ROWS)
    figure, axes = canvas(len(rows), len(models), 1.45 * len(rows) + 0.5, sharex=True, sharey="row")
    for place, quantity in enumerate(rows):
        for ax, model in zip(axes[place], models, strict=True):
            own = pick(frame, model=model, quantity=quantity)
            if quantity == "solved":
                _stack(ax, pick(own, pale=False), labelled=model == models[-1])
            else:
                lines(own, "step", ax, **{"style": "role", "dashes": ROLES} if quantity != "fate" else {})
        axes[place, 0].set_ylabel(ROWS[quantity])
    for model, top, bottom in zip(models, axes[0], axes[-1], strict=True):
        top.set_title(model)
        whole_steps(bottom)
    return legend(figure, frame, styles=ROLES)


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
