"""What became of the paper's claims? From the claims table (``azr.study.claims``)."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from azr.figures.panels import canvas, present
from azr.figures.style import GREY, PALETTE

OWN = "#000000"
_ROW = 0.25
"""Inches of a claim."""
_FAR = 1e6


def plot(frame: pd.DataFrame, reference: pd.DataFrame | None = None) -> Figure:
    """Every claim with its interval in its own unit; columns are models, a block of rows shares a unit and an axis.

    Args:
        frame: model, id, part, paper, unit, estimate, low, high, side_low, side_high (the claim's side, shaded), base,
            base_low, base_high (the same statistic of the untrained base), verdict.
        reference: the same frame of the reference study.
    """
    frame = frame.assign(part=frame["part"].fillna(""))
    models, units = present(frame["model"]), present(frame["unit"])
    rows = {unit: frame.loc[frame["unit"] == unit, ["id", "part", "paper"]].drop_duplicates() for unit in units}
    heights = [len(rows[unit]) * _ROW + 0.38 for unit in units]
    figure, axes = canvas(
        len(units), len(models), sum(heights) + 0.5, height_ratios=heights, sharex="row", sharey="row"
    )
    for block, unit in enumerate(units):
        keys = rows[unit].set_index(["id", "part"])
        for ax, model in zip(axes[block], models, strict=True):
            own = frame[(frame["model"] == model) & (frame["unit"] == unit)].set_index(["id", "part"])
            behind = None
            if reference is not None:
                behind = reference[(reference["model"] == model) & (reference["unit"] == unit)]
                behind = behind.assign(part=behind["part"].fillna("")).set_index(["id", "part"])
            for y, key in enumerate(keys.index):
                if key in own.index:
                    _claim(ax, y, own.loc[key], behind.loc[key] if behind is not None and key in behind.index else None)
            ax.set_xlabel(unit, labelpad=1)
            ax.grid(visible=False, axis="y")
        words = [f"{key[0]}  {row['paper']}" + (f": {key[1]}" if key[1] else "") for key, row in keys.iterrows()]
        axes[block, 0].set_yticks(range(len(words)), words)
        axes[block, 0].set_ylim(len(words) - 0.4, -0.6)
    for ax, model in zip(axes[0], models, strict=True):
        ax.set_title(model)
    entries = [
        Line2D([], [], color=OWN, marker="o", label="trained"),
        Line2D(
            [], [], color=PALETTE["base"], marker="o", markerfacecolor="white", linewidth=0.8, label="untrained base"
        ),
        Line2D([], [], color="#DDDDDD", linewidth=6, label="the claim's side"),
    ]
    if reference is not None:
        entries.append(Line2D([], [], color=GREY, linewidth=5, alpha=0.4, label="reference study"))
    figure.legend(handles=entries, loc="outside upper center", ncols=4)
    return figure


def _claim(ax: Axes, y: int, row: pd.Series, reference: pd.Series | None) -> None:
    """One row of a block: the claim's side, the estimate, below it the base's, and the verdict at the right."""
    side = np.array([row["side_low"], row["side_high"]], dtype=float)
    low, high = np.clip(side, -_FAR, _FAR)
    # Artists, not plots: neither the claim's side nor the reference widens the axis.
    ax.add_artist(Rectangle((low, y - 0.42), high - low, 0.84, facecolor="#EEEEEE", edgecolor="none", zorder=0))
    ax.plot(side, [y, y], linestyle="none")  # an end of the side that is finite belongs on the axis
    if reference is not None:
        ends = [reference["low"], reference["high"]]
        ax.add_artist(Line2D(ends, [y - 0.14] * 2, color=GREY, linewidth=5, alpha=0.4))
    ax.plot([row["low"], row["high"]], [y - 0.14] * 2, color=OWN, linewidth=1.2)
    ax.plot(row["estimate"], y - 0.14, "o", color=OWN)
    ax.plot([row["base_low"], row["base_high"]], [y + 0.2] * 2, color=PALETTE["base"], linewidth=0.8)
    ax.plot(row["base"], y + 0.2, "o", color=PALETTE["base"], markerfacecolor="white", markersize=3)
    ax.text(1.02, y, row["verdict"], transform=ax.get_yaxis_transform(), va="center", fontsize=7)
