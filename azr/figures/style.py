"""One look for every figure: sizes, colours, the caption, and ``save``, which keeps the numbers beside the picture.

A method has the same colour in every figure, so has a role and a task type (Okabe and Ito's palette, made for colour
blindness); line styles and markers repeat the distinction for print in grey.

>>> METHOD_COLORS["base"]
'#444444'

Left out: what any figure shows. Each has a module of its own beside this one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from azr.metrics.stats import t_interval

METHOD_COLORS: Mapping[str, str] = {
    "base": "#444444",
    "sft": "#E69F00",
    "rlvr": "#009E73",
    "selfplay": "#0072B2",
    "frozen": "#56B4E9",
    "frozen-strict": "#CC79A7",
    "half": "#D55E00",
}
METHOD_LABELS: Mapping[str, str] = {
    "base": "base",
    "sft": "SFT",
    "rlvr": "RLVR",
    "selfplay": "self-play",
    "frozen": "self-play, frozen proposer",
    "frozen-strict": "self-play, base as proposer",
    "half": "self-play, reward peak ½",
}
METHOD_MARKERS: Mapping[str, str] = dict(zip(METHOD_COLORS, "osD^vPX", strict=True))
ROLE_COLORS: Mapping[str, str] = {"whole": "#444444", "proposer": "#D55E00", "solver": "#0072B2"}
TASK_COLORS: Mapping[str, str] = {
    "deduction": "#0072B2",
    "abduction": "#E69F00",
    "induction": "#009E73",
    "arithmetic": "#CC79A7",
}

_SPARE_COLORS = ("#7A5195", "#8C6D31", "#2F7F7F", "#A83232", "#5B5B9E")
_SPARE_MARKERS = ("<", ">", "p", "h", "*")
_DPI = 180


def use_style() -> None:
    """Set the look of all figures drawn after it: call it once, before the first figure."""
    sns.set_theme(context="paper", style="ticks", font_scale=1.15)
    mpl.rcParams.update(
        {
            "figure.constrained_layout.use": True,
            "figure.dpi": 110,
            "savefig.dpi": _DPI,
            "font.family": "DejaVu Sans",  # shipped with matplotlib: the same text on every machine
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlelocation": "left",
            "axes.titlesize": "medium",
            "axes.titleweight": "bold",
            "axes.grid": True,
            "grid.color": "#E3E3E3",
            "grid.linewidth": 0.6,
            "lines.linewidth": 1.8,
            "legend.frameon": False,
            "pdf.fonttype": 42,  # text stays text in the PDF
        }
    )


def method_style(method: str, methods: Sequence[str] = ()) -> dict[str, str]:
    """Colour, marker and label of a method, as keyword arguments for ``Axes.plot``.

    Args:
        method: a key of ``METHOD_COLORS``, or any other name (a reward, a model), which gets a spare colour.
        methods: every method in the figure, so that unknown ones get different spare colours.

    >>> method_style("rlvr")["label"]
    'RLVR'
    >>> method_style("b", ["base", "a", "b"])["color"] == method_style("a", ["base", "a", "b"])["color"]
    False
    """
    if method in METHOD_COLORS:
        return {
            "color": METHOD_COLORS[method],
            "marker": METHOD_MARKERS[method],
            "label": METHOD_LABELS[method],
        }
    unknown = [name for name in methods if name not in METHOD_COLORS]
    i = (unknown.index(method) if method in unknown else 0) % len(_SPARE_COLORS)
    return {"color": _SPARE_COLORS[i], "marker": _SPARE_MARKERS[i], "label": method}


def known_first(names: pd.Series, order: Mapping[str, str]) -> list[str]:
    """The distinct names, those of ``order`` first and in its order, the others after them in order of appearance.

    >>> known_first(pd.Series(["x", "induction", "deduction", "x"]), TASK_COLORS)
    ['deduction', 'induction', 'x']
    """
    present = [str(name) for name in names.dropna().unique()]
    return [name for name in order if name in present] + [name for name in present if name not in order]


def error_bars(estimate: ArrayLike, low: ArrayLike, high: ArrayLike) -> np.ndarray:
    """How far an interval reaches to each side of its estimate, shape (2, n): matplotlib's ``xerr`` or ``yerr``.

    >>> error_bars(3.0, 1.0, 4.0)
    array([[2.],
           [1.]])
    """
    middle = np.atleast_1d(estimate)
    return np.stack([middle - np.atleast_1d(low), np.atleast_1d(high) - middle])


def whole_steps(ax: Axes) -> None:
    """Ticks of the horizontal axis at whole numbers."""
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))


def plot_seeds(
    ax: Axes,
    frame: pd.DataFrame,
    x: str,
    y: str,
    *,
    color: str,
    label: str | None = None,
    linestyle: str = "-",
    window: int = 1,
) -> None:
    """Draw one quantity over training: every seed thin, the mean thick, a 95 % t-band where there are seeds for one.

    Args:
        ax: where to draw.
        frame: columns ``x``, ``y`` and ``seed``, one row a seed and step; rows with NaN in ``y`` are skipped.
        x: name of the column on the horizontal axis.
        y: name of the column on the vertical axis.
        color: colour of line and band.
        label: legend entry of the mean.
        linestyle: of the mean and the seeds.
        window: each seed is first smoothed by a centred moving average over this many rows; say so in the caption.
    """
    table = frame.dropna(subset=[y]).pivot_table(index=x, columns="seed", values=y)
    if table.empty:
        return
    table = table.rolling(window, center=True, min_periods=1).mean().where(table.notna())
    whole_steps(ax)
    if table.shape[1] > 1:
        for seed in table:
            ax.plot(table.index, table[seed], color=color, linestyle=linestyle, linewidth=0.6, alpha=0.5)
        bands = [t_interval(row) for row in table.to_numpy()]
        ax.fill_between(
            table.index, [b.low for b in bands], [b.high for b in bands], color=color, alpha=0.15, linewidth=0
        )
    # A mean over the seeds that happen to have reached a step would jump where one ends.
    mean = table.dropna().mean(axis=1)
    marker = "o" if len(mean) <= 12 else None
    ax.plot(mean.index, mean, color=color, linestyle=linestyle, label=label, marker=marker, markersize=3)


def require_columns(frame: pd.DataFrame, columns: Iterable[str]) -> None:
    """Raise ValueError with one sentence if ``frame`` has no rows or lacks one of ``columns``."""
    missing = [column for column in columns if column not in frame]
    if missing:
        raise ValueError(f"The frame lacks the columns {', '.join(missing)}.")
    if frame.empty:
        raise ValueError("The frame has no rows; there is nothing to draw.")


def keep_to_data(ax: Axes, values: pd.Series, low: float | None = None, high: float | None = None) -> None:
    """Set the vertical range from the values themselves, so that a wide t-band of three seeds does not squash them.

    Args:
        ax: axes to limit.
        values: what was plotted, in the unit of the axis; NaN is ignored.
        low: bound of the quantity that the range never passes, for instance 0 for an entropy.
        high: the same at the top.
    """
    finite = values.dropna()
    if finite.empty:
        return
    margin = 0.08 * max(finite.max() - finite.min(), 1e-3)
    bottom, top = finite.min() - margin, finite.max() + margin
    ax.set_ylim(
        bottom if low is None else max(bottom, low - margin / 4), top if high is None else min(top, high + margin)
    )


def finish(fig: Figure, caption: str, handles: Sequence[Artist] = (), *, columns: int = 4, seeds: int = 0) -> Figure:
    """Put one legend for the whole figure above the panels and the caption below them.

    Args:
        fig: a figure with constrained layout, which makes room for both.
        caption: what is averaged over what, units and settings; wrapped to the width of the figure.
        handles: legend entries; empty for a figure without a legend.
        columns: legend entries in a row.
        seeds: training seeds behind the curves; with one, the title of the first panel says "single run".

    Returns:
        ``fig``.
    """
    if seeds == 1:
        first = fig.axes[0]
        first.set_title(f"{first.get_title(loc='left')} (single run)")
    if handles:
        fig.legend(handles=handles, loc="outside upper center", ncols=min(columns, len(handles)))
    fig.supxlabel(_wrap(caption, fig.get_figwidth()), fontsize=8, color="#444444", x=0.01, ha="left")
    return fig


def count_of(number: int, noun: str) -> str:
    """``1 seed``, ``3 seeds``: for captions.

    >>> count_of(1, "seed"), count_of(3, "seed")
    ('1 seed', '3 seeds')
    """
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def save(fig: Figure, name: str, frame: pd.DataFrame, folder: str | Path) -> list[Path]:
    """Write ``name``.png, ``name``.pdf and ``name``.csv, the tidy frame that the figure was drawn from.

    Args:
        fig: the figure; it is closed afterwards, so that notebooks do not collect open figures.
        name: file name without extension, no folder in it.
        frame: tidy data; floats are written with ten significant digits, lines end in ``\\n``.
        folder: created if missing.

    Returns:
        The three paths. No file holds a date or a version of a program: the same figure and frame give the same bytes.
    """
    if Path(name).name != name or Path(name).suffix in {".png", ".pdf", ".csv"}:
        raise ValueError(f"{name!r} must be a bare file name without extension.")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    png, pdf, csv = (folder / f"{name}.{ext}" for ext in ("png", "pdf", "csv"))
    fig.savefig(png, dpi=_DPI, metadata={"Software": None})
    fig.savefig(pdf, metadata={"Creator": None, "Producer": None, "CreationDate": None})
    plt.close(fig)
    frame.to_csv(csv, index=False, float_format="%.10g", lineterminator="\n")
    return [png, pdf, csv]


def _wrap(text: str, width_inches: float) -> str:
    """Break ``text`` at blanks so that 8-point lines fit ``width_inches``: about 16 characters an inch."""
    limit = int(16 * width_inches)
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > limit:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines)
