"""Does training sharpen the base's answers or widen them? From ``azr.tables.passk.leash``."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator
from scipy.special import expit, logit

from azr.figures.panels import canvas, present
from azr.figures.style import GREY, again_or_label, color_of, in_order

LIMITS = (0.004, 0.996)
TICKS = (0.01, 0.1, 0.5, 0.9, 0.99)


def plot(frame: pd.DataFrame, reference: pd.DataFrame | None = None) -> Figure:
    """A point a problem, in log-odds: columns are methods, rows models; a slope above 1 is an answer that sharpens."""
    models, methods = present(frame["model"]), in_order(frame["method"])
    figure, axes = canvas(len(models), len(methods), 1.75 * len(models) + 0.4, sharex=True, sharey=True)
    for row, model in enumerate(models):
        for ax, method in zip(axes[row], methods, strict=True):
            _log_odds(ax)
            rows = frame[(frame["model"] == model) & (frame["method"] == method)]
            if reference is not None:
                behind = reference[(reference["model"] == model) & (reference["method"] == method)]
                _line(ax, behind, color=color_of(method), linewidth=5, alpha=0.28, zorder=1)
            inside = rows[["before", "after"]].clip(*LIMITS)
            ax.plot(inside["before"], inside["after"], ".", color=color_of(method), markersize=2.5, alpha=0.45)
            for _, found in _line(ax, rows, color=color_of(method), zorder=3).iterrows():
                words = f"slope {found['estimate']:.2f}"
                words += f"\n[{found['low']:.2f}, {found['high']:.2f}]" if np.isfinite(found["low"]) else ""
                ax.text(0.05, 0.97, words, transform=ax.transAxes, va="top", fontsize=7)
            if row == 0:
                ax.set_title(again_or_label(method))
        axes[row, 0].set_ylabel(f"{model}: after training")
    figure.supxlabel("probability of a right answer, base", fontsize=8)
    return figure


def _log_odds(ax: Axes) -> None:
    """Both axes in log-odds, and the line on which nothing changes."""
    ax.set(xscale="logit", yscale="logit", xlim=LIMITS, ylim=LIMITS)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(FixedLocator(TICKS))
        axis.set_major_formatter(FixedFormatter([f"{tick:g}" for tick in TICKS]))
    ax.minorticks_off()
    ax.plot(LIMITS, LIMITS, color=GREY, linewidth=0.8, zorder=1)


def _line(ax: Axes, rows: pd.DataFrame, **look: object) -> pd.DataFrame:
    """Draw the fitted line, where there is one, and return its row."""
    slope = rows[rows["quantity"] == "slope"]
    x = np.linspace(*logit(LIMITS), 50)
    for _, found in slope.iterrows():
        ax.plot(expit(x), expit(found["intercept"] + found["estimate"] * x), **look)
    return slope
