"""What became of the paper's claims? From the claims table (``azr.study.claims``)."""

import re
import textwrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.pyplot import subplots
from matplotlib.ticker import MaxNLocator

from azr.figures.panels import pick, present
from azr.figures.style import GREY, PALETTE, WIDTH, use_style

OWN = {"color": "#000000", "marker": "o", "linewidth": 1.2}
HOLLOW = {"color": PALETTE["base"], "marker": "o", "markerfacecolor": "white", "markersize": 3, "linewidth": 0.8}
REFERENCE = {"color": GREY, "linewidth": 5, "alpha": 0.4}
_ROW = 0.31
"""Inches of a claim."""
_LETTERS = 46


def plot(frame: pd.DataFrame) -> Figure:
    """Every claim with its interval in its own unit; columns are models, a block of rows shares a unit and an axis.

    Args:
        frame: model, id, part, paper, unit, estimate, low, high, side_low, side_high (the claim's side, shaded), base,
            base_low, base_high (the same statistic of the untrained base), verdict, confirmatory (others are slanted).
    """
    use_style()
    frame = frame.assign(part=frame["part"].fillna(""))
    frame, behind = pick(frame, pale=False), pick(frame, pale=True)[["model", "id", "part", "low", "high"]]
    frame = frame.merge(behind, on=["model", "id", "part"], how="left", suffixes=("", "_reference"))
    models = present(frame["model"])
    measured = frame.loc[frame["estimate"].notna(), "unit"]  # an axis without a single number would say nothing
    claims = frame[frame["unit"].isin(measured)].drop_duplicates(["id", "part"])
    blocks = [rows for _, rows in claims.groupby("unit", sort=False)]
    heights = [len(rows) * _ROW + 0.34 for rows in blocks]
    look = {"height_ratios": heights, "sharex": "row", "sharey": "row", "squeeze": False, "layout": "constrained"}
    figure, axes = subplots(len(blocks), len(models), figsize=(WIDTH, sum(heights) + 0.4), **look)
    for panels, rows in zip(axes, blocks, strict=True):
        places = rows[["id", "part"]].assign(y=range(len(rows)), first=~rows["id"].duplicated())
        own = [places.merge(pick(frame, model=model), on=["id", "part"]) for model in models]
        for ax, mine in zip(panels, own, strict=True):
            _intervals(ax, mine)
        for ax, mine in zip(panels, own, strict=True):
            _far_bases(ax, mine)
            ax.set_xlabel(rows["unit"].iloc[0], labelpad=1)
            ax.xaxis.set_major_locator(MaxNLocator(3))
            ax.grid(visible=False, axis="y")
        panels[0].set_yticks(range(len(rows)), _words(rows), fontsize=7)
        panels[0].set_ylim(len(rows) - 0.4, -0.6)
    for ax, model in zip(axes[0], models, strict=True):
        ax.set_title(model)
    entries = [Line2D([], [], label="trained", **OWN), Line2D([], [], label="untrained base", **HOLLOW)]
    entries.append(Line2D([], [], color="#DDDDDD", linewidth=6, label="the claim's side"))
    entries.append(Line2D([], [], linestyle="", label="slanted: exploratory"))
    if len(behind):
        entries.append(Line2D([], [], label="reference study", **REFERENCE))
    figure.legend(handles=entries, loc="outside upper center", ncols=len(entries), columnspacing=1.2)
    return figure


def _words(rows: pd.DataFrame) -> list[str]:
    """Id and words of each claim on at most two lines; of its further parts their names alone."""
    words = []
    for row, again in zip(rows.to_dict("records"), rows["id"].duplicated(), strict=True):
        claim = "" if again else f"{row['id']}  {re.sub(r' [(].*[)]', '', row['paper'])}"
        text = ": ".join(part for part in (claim, row["part"]) if part)
        words.append("\n".join(textwrap.wrap(text, _LETTERS, max_lines=2, placeholder=" …")))
    return words


def _intervals(ax: Axes, rows: pd.DataFrame) -> None:
    """One model's rows of a block: estimates, below them the base's, the claims' sides, and the verdicts.

    The axis is that of the estimates and of the ends of the sides; artists do not widen it.
    """
    for row in rows.itertuples():
        above, below, side = row.y - 0.14, row.y + 0.2, (row.side_low, row.side_high)
        ax.plot([row.low, row.high], [above, above], **OWN | {"marker": ""})
        ax.plot(row.estimate, above, **OWN)
        ax.plot(side, [row.y, row.y], linestyle="none")
        if np.isfinite(side).any():
            low, high = np.clip(side, -1e6, 1e6)
            ax.add_artist(Rectangle((low, row.y - 0.42), high - low, 0.84, facecolor="#EEEEEE", zorder=0))
        ax.add_artist(Line2D([row.low_reference, row.high_reference], [above, above], **REFERENCE))
        ax.add_artist(Line2D([row.base_low, row.base_high], [below, below], **HOLLOW | {"marker": ""}))
        ax.add_artist(Line2D([row.base], [below], **HOLLOW))
        if row.first:
            slant = "normal" if row.confirmatory else "italic"
            ax.text(1.02, row.y, row.verdict, transform=ax.get_yaxis_transform(), va="center", fontsize=7, style=slant)


def _far_bases(ax: Axes, rows: pd.DataFrame) -> None:
    """The numbers of those of the base that lie outside the axis, where they left it."""
    low, high = ax.get_xlim()
    behind = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}
    look = {"va": "center", "fontsize": 7, "color": HOLLOW["color"], "bbox": behind}
    for row in rows.itertuples():
        if row.base > high:
            ax.text(high, row.y + 0.28, f"base {row.base:.2f} →", ha="right", **look)
        elif row.base < low:
            ax.text(low, row.y + 0.28, f"← base {row.base:.2f}", ha="left", **look)
