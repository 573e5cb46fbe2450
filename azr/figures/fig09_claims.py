"""What became of the paper's claims? From the claims table (``azr.study.claims``)."""

from __future__ import annotations

import re
import textwrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from azr.figures.panels import canvas, pick, present
from azr.figures.style import GREY, PALETTE

OWN = "#000000"
_ROW = 0.25
"""Inches of a claim."""
_LETTERS = 40
_FAR = 1e6


def plot(frame: pd.DataFrame) -> Figure:
    """Every claim with its interval in its own unit; columns are models, a block of rows shares a unit and an axis.

    Args:
        frame: model, id, part, paper, unit, estimate, low, high, side_low, side_high (the claim's side, shaded), base,
            base_low, base_high (the same statistic of the untrained base), verdict.
    """
    frame = frame.assign(part=frame["part"].fillna(""))
    frame, behind = pick(frame, pale=False), pick(frame, pale=True)[["model", "id", "part", "low", "high"]]
    frame = frame.merge(behind, on=["model", "id", "part"], how="left", suffixes=("", "_reference"))
    models, units = present(frame["model"]), present(frame["unit"])
    claims = frame.drop_duplicates(["id", "part"])
    blocks = [claims[claims["unit"] == unit] for unit in units]
    heights = [len(rows) * _ROW + 0.34 for rows in blocks]
    shape = {"height_ratios": heights, "sharex": "row", "sharey": "row"}
    figure, axes = canvas(len(units), len(models), sum(heights) + 0.4, **shape)
    for panels, unit, rows in zip(axes, units, blocks, strict=True):
        order = pd.MultiIndex.from_frame(rows[["id", "part"]])
        for ax, model in zip(panels, models, strict=True):
            own = frame[frame["model"] == model].set_index(["id", "part"])
            for y, claim in enumerate(order):
                if claim in own.index:
                    _claim(ax, y, own.loc[claim], first=claim[0] not in order[:y].get_level_values("id"))
            ax.set_xlabel(unit, labelpad=1)
            ax.xaxis.set_major_locator(MaxNLocator(3))
            ax.grid(visible=False, axis="y")
        panels[0].set_yticks(range(len(rows)), _words(rows), fontsize=7)
        panels[0].set_ylim(len(rows) - 0.4, -0.6)
    for ax, model in zip(axes[0], models, strict=True):
        ax.set_title(model)
    hollow = {"color": PALETTE["base"], "marker": "o", "markerfacecolor": "white", "linewidth": 0.8}
    entries = [
        Line2D([], [], color=OWN, marker="o", label="trained"),
        Line2D([], [], label="untrained base", **hollow),
        Line2D([], [], color="#DDDDDD", linewidth=6, label="the claim's side"),
    ]
    if len(behind):
        entries.append(Line2D([], [], color=GREY, linewidth=5, alpha=0.4, label="reference study"))
    figure.legend(handles=entries, loc="outside upper center", ncols=4)
    return figure


def _words(rows: pd.DataFrame) -> list[str]:
    """Id and words of each claim on at most two lines; of its further parts their names alone."""
    words = []
    for row, again in zip(rows.to_dict("records"), rows["id"].duplicated(), strict=True):
        claim = "" if again else f"{row['id']}  {re.sub(r' [(].*[)]', '', row['paper'])}"
        text = ": ".join(part for part in (claim, row["part"]) if part)
        words.append("\n".join(textwrap.wrap(text, _LETTERS, max_lines=2, placeholder=" …")))
    return words


def _claim(ax: Axes, y: int, row: pd.Series, first: bool) -> None:
    """One row of a block: the claim's side, the estimate, below it the base's, and with its first part the verdict."""
    side = np.array([row["side_low"], row["side_high"]], dtype=float)
    low, high = np.clip(side, -_FAR, _FAR)
    # Artists, not plots: neither the claim's side nor the reference widens the axis.
    ax.add_artist(Rectangle((low, y - 0.42), high - low, 0.84, facecolor="#EEEEEE", edgecolor="none", zorder=0))
    ax.plot(side, [y, y], linestyle="none")  # an end of the side that is finite belongs on the axis
    ends = [row["low_reference"], row["high_reference"]]
    ax.add_artist(Line2D(ends, [y - 0.14] * 2, color=GREY, linewidth=5, alpha=0.4))
    ax.plot([row["low"], row["high"]], [y - 0.14] * 2, color=OWN, linewidth=1.2)
    ax.plot(row["estimate"], y - 0.14, "o", color=OWN)
    ax.plot([row["base_low"], row["base_high"]], [y + 0.2] * 2, color=PALETTE["base"], linewidth=0.8)
    ax.plot(row["base"], y + 0.2, "o", color=PALETTE["base"], markerfacecolor="white", markersize=3)
    ax.text(1.02, y, row["verdict"] if first else "", transform=ax.get_yaxis_transform(), va="center", fontsize=7)
