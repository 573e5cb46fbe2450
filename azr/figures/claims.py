"""All claims at a glance: one row a claim, one block a model, each estimate against the claim's margin.

    save(plot_claims(frame), "fig09_claims", frame, "figures")    # frame: azr.claims.claims_table of each model

Left out: the statistics and verdicts (``azr.claims``), and the numbers' units: every row has a scale of its own, which
makes rows comparable by side and width alone. The frame beside the figure has the numbers.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.pyplot import subplots

from azr.claims import CONTRADICTED, NOT_MEASURED, SUPPORTED, UNDECIDED
from azr.figures.style import finish, known_first, require_columns

VERDICT_COLORS = {SUPPORTED: "#009E73", CONTRADICTED: "#D55E00", UNDECIDED: "#777777", NOT_MEASURED: "#BBBBBB"}
_ROW_INCHES, _LABEL_INCHES, _BLOCK_INCHES = 0.25, 4.3, 3.1
_LEVEL = 0.05


def towards_claim(frame: pd.DataFrame) -> pd.DataFrame:
    """Estimates and intervals as distances into the claim's side, scaled to [-1, 1] claim by claim.

    Args:
        frame: from ``azr.claims.claims_table``, of one model or several: id, part, estimate, low, high, side_low,
            side_high.

    Returns:
        Columns x, x_low, x_high, rows as in ``frame``. The distance of a value is to the nearer end of the claim's
        side: positive inside, negative outside, 0 on the margin. A row and the same row of another model share a
        scale, the largest distance that either reaches. NaN where there is no number.
    """
    side = (frame["side_low"], frame["side_high"])
    ends = pd.concat([_distance(frame[name], *side) for name in ("low", "high")], axis=1)
    # Inside a bounded side the largest distance lies between the ends of the interval.
    centre = pd.Series(np.where(np.isfinite(side[0]) & np.isfinite(side[1]), (side[0] + side[1]) / 2, frame["low"]))
    centre.index = frame.index
    best = _distance(centre.clip(frame["low"], frame["high"]), *side)
    found = pd.DataFrame(
        {
            "x": _distance(frame["estimate"], *side),
            "x_low": ends.min(axis=1, skipna=False),
            "x_high": pd.concat([ends, best], axis=1).max(axis=1, skipna=False),
        }
    )
    reach = found.abs().max(axis=1)
    scale = reach.groupby([frame["id"], frame["part"]]).transform("max").replace(0.0, 1.0)
    return found.div(scale, axis=0)


def plot_claims(frame: pd.DataFrame, *, note: str = "") -> Figure:
    """A forest of claims: to the right of a row's line the claim holds, to the left it does not.

    Args:
        frame: ``azr.claims.claims_table``, of one model or concatenated over models.
        note: profile and steps: appended to the caption.

    Returns:
        A figure with one panel a model. Points are estimates, bars intervals; a point without bar has no interval.
        Beside them the estimate in its own unit and the verdict; an asterisk marks one that Holm's adjustment over the
        confirmatory claims of that model would not leave standing.
    """
    require_columns(frame, ("model", "id", "part", "paper", "rule", "estimate", "low", "high", "p_holm", "verdict"))
    data = frame.assign(part=frame["part"].fillna("")).reset_index(drop=True)
    data = pd.concat([data, towards_claim(data)], axis=1)
    models = known_first(data["model"], {})
    rows = data[data["model"] == models[0]].reset_index(drop=True)
    y = _heights(rows)
    width, height = _LABEL_INCHES + _BLOCK_INCHES * len(models), _ROW_INCHES * (y[0] + 1) + 1.6
    ratios = [_LABEL_INCHES, *[_BLOCK_INCHES] * len(models)]
    fig, axes = subplots(1, 1 + len(models), figsize=(width, height), layout="constrained", width_ratios=ratios)
    _labels(axes[0], rows, y)
    for ax, model in zip(axes[1:], models, strict=True):
        own = data[data["model"] == model].set_index(["id", "part"])
        _block(ax, own.loc[pd.MultiIndex.from_frame(rows[["id", "part"]])], y)
        ax.set_title(_title(model, own))
    for ax in axes:
        ax.set_ylim(-0.7, y[0] + 1.7)
        for first in rows.groupby("id", sort=False).head(1).index[1:]:
            ax.axhline(y[first - 1] - 0.5, color="#CCCCCC", linewidth=0.6, zorder=0)
    present = [verdict for verdict in VERDICT_COLORS if verdict in set(data["verdict"])]
    handles = [Line2D([], [], color=VERDICT_COLORS[v], marker="o", ms=4, label=v) for v in present]
    return finish(fig, _caption(note), handles)


def signed(value: float) -> str:
    """A number for a label: three decimals and a sign, none for a whole number such as a count or a share of 1.

    >>> signed(0.0214), signed(-1.0), signed(float("nan"))
    ('+0.021', '−1', '')
    """
    if np.isnan(value):
        return ""
    text = f"{value:+.0f}" if value == round(value) else f"{value:+.3f}"
    return text.replace("+0", "0", 1).replace("-", "−") if value == 0 else text.replace("-", "−")


def _distance(value: pd.Series, low: pd.Series, high: pd.Series) -> pd.Series:
    return np.minimum(value - low, high - value)


def _heights(rows: pd.DataFrame) -> np.ndarray:
    """Where each row stands, from the top; above the parts of a claim there is a line for its statement."""
    first = ~rows["id"].duplicated()
    lines = 1 + (first & (rows["part"] != "")).to_numpy()
    return (lines.sum() - lines.cumsum()).astype(float)


def _labels(ax: Axes, rows: pd.DataFrame, y: np.ndarray) -> None:
    ax.set_axis_off()
    ax.set_xlim(0, 1)
    for row, height, again in zip(rows.itertuples(), y, rows["id"].duplicated(), strict=True):
        above = height + (row.part != "")
        if not again:
            ax.text(0.0, above, row.id, va="center", fontweight="bold", fontsize=8.5)
            ax.text(0.085, above, row.paper, va="center", fontsize=8.5)
        ax.text(0.12, height, row.part, va="center", fontsize=8.5, color="#555555")


def _block(ax: Axes, rows: pd.DataFrame, y: np.ndarray) -> None:
    ax.set_xlim(-1.15, 3.95)
    ax.axvspan(0, 1.1, color="#009E73", alpha=0.06, linewidth=0)
    ax.axvline(0, color="#444444", linewidth=1)
    for row, height in zip(rows.itertuples(), y, strict=True):
        color = VERDICT_COLORS[row.verdict]
        if not np.isnan(row.x):
            ax.plot([row.x], [height], marker="o", ms=4.5, color=color)
        if not np.isnan(row.x_low):
            ax.plot([row.x_low, row.x_high], [height, height], color=color, linewidth=1.6)
        ax.text(2.0, height, signed(row.estimate), ha="right", va="center", fontsize=8.5)
        beyond = "*" if row.verdict in (SUPPORTED, CONTRADICTED) and row.p_holm > _LEVEL else ""
        ax.text(2.15, height, row.verdict + beyond, va="center", fontsize=8.5, color=color, fontweight="bold")
    ax.set(xticks=[], yticks=[])
    ax.grid(visible=False)
    for spine in ax.spines.values():
        spine.set_visible(False)


def _title(model: str, rows: pd.DataFrame) -> str:
    seeds = int(rows["seeds"].max())
    return f"{model} (single run)" if seeds == 1 else f"{model} ({seeds} seeds)"


def _caption(note: str) -> str:
    text = (
        "Right of a row's line (shaded): as claimed, but for C11's curriculum, C12 and E2, whose rules are their own. "
        "Each row has its own scale, shared by the models; numbers are estimates in their own unit. Bars: 95 % "
        "intervals, over what the table says; no bar: no interval. C: confirmatory, E: exploratory. *: not after "
        "Holm's adjustment over the model's confirmatory rows with a p-value."
    )
    return f"{text} {note}".strip()
