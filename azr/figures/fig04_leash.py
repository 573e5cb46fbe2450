"""Does training sharpen the base's answers or widen them? From ``azr.tables.passk.leash``."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator
from scipy.special import expit, logit

from azr.figures.panels import PALE, facets, legend, pick
from azr.figures.style import GREY, again_or_label, color_of, in_order

LIMITS = (0.004, 0.996)
TICKS = (0.01, 0.1, 0.5, 0.9, 0.99)


def plot(frame: pd.DataFrame) -> Figure:
    """A point a problem, in log-odds: columns are methods, rows models; a slope above 1 is an answer that sharpens."""
    names = [again_or_label(method) for method in in_order(frame["method"])]
    frame = frame.assign(name=frame["method"].map(again_or_label))
    grid = facets(frame, _panel, "model", "name", col_order=names, height=1.75, sharey=True)
    grid.set_ylabels("after training").figure.supxlabel("probability of a right answer, base", fontsize=8)
    return legend(grid.figure, frame, [])


def _panel(ax: Axes, rows: pd.DataFrame) -> None:
    """One method on log-odds axes: points, the line through them, and the line on which nothing changes."""
    ax.set(xscale="logit", yscale="logit", xlim=LIMITS, ylim=LIMITS)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(FixedLocator(TICKS))
        axis.set_major_formatter(FixedFormatter([f"{tick:g}" for tick in TICKS]))
    ax.minorticks_off()
    ax.plot(LIMITS, LIMITS, color=GREY, linewidth=0.8, zorder=1)
    color = color_of(rows["method"].iloc[0])
    inside = pick(rows, quantity="point", pale=False)[["before", "after"]].clip(*LIMITS)
    ax.plot(inside["before"], inside["after"], ".", color=color, markersize=2.5, alpha=0.45)
    x = np.linspace(*logit(LIMITS), 50)
    for found in pick(rows, quantity="slope").itertuples():
        line = expit(found.intercept + found.estimate * x)
        ax.plot(expit(x), line, color=color, **PALE if found.pale else {"zorder": 3})
        if not found.pale:
            words = f"slope {found.estimate:.2f}"
            words += f"\n[{found.low:.2f}, {found.high:.2f}]" if np.isfinite(found.low) else ""
            ax.text(0.05, 0.97, words, transform=ax.transAxes, va="top", fontsize=7)
