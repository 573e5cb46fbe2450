"""What figures share: lines with bands over panels, forests of intervals, one legend, the reference study behind.

    frame = overlay(frame, reference)
    grid = facets(frame, "step", row="model", col="group")
    legend(grid.figure, frame)

A frame has model, method, estimate, low, high, and what the panels go by. The reference study is drawn pale: thick
lines without bands, thick bars behind points. Left out: statistics.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.pyplot import subplots
from matplotlib.ticker import MaxNLocator

from azr.figures.style import GREY, WIDTH, color_of, in_order, label, marker_of, use_style

PALE = {"linewidth": 5, "alpha": 0.28, "zorder": 1, "solid_capstyle": "butt"}
"""The look of the reference study's lines."""


def overlay(frame: pd.DataFrame, reference: pd.DataFrame | None) -> pd.DataFrame:
    """A frame over the reference study's, whose rows, those of the same models, are the ones that are ``pale``."""
    parts = [frame.assign(pale=False)]
    if reference is not None:
        parts.append(reference[reference["model"].isin(frame["model"])].assign(pale=True))
    return pd.concat(parts, ignore_index=True)


def pick(frame: pd.DataFrame, **values: object) -> pd.DataFrame:
    """The rows with these values in these columns."""
    for column, value in values.items():
        frame = frame[frame[column] == value]
    return frame


def canvas(rows: int, columns: int, height: float, **options: object) -> tuple[Figure, np.ndarray]:
    """A figure as wide as a page with ``rows`` x ``columns`` axes [rows, columns]; ``height`` in inches."""
    use_style()
    return subplots(rows, columns, figsize=(WIDTH, height), layout="constrained", squeeze=False, **options)


def lines(
    data: pd.DataFrame, x: str, ax: Axes, *, style: str | None = None, dashes: Mapping[str, str] | None = None
) -> None:
    """A line a method and value of ``style``; solid ones with a band, or an error bar where there is a single point.

    Args:
        data: method, ``x``, estimate, low, high, pale, ``style``.
        x: column of the horizontal axis.
        ax: where to draw.
        style: column by which lines differ in their dashes; all are solid without it.
        dashes: line style by its values.
    """
    data = data.assign(line=data[style].map(dashes) if style else "-").sort_values(x)
    for method in in_order(data["method"]):
        color = color_of(method)
        for (line, pale), rows in data[data["method"] == method].groupby(["line", "pale"]):
            if line != "-" and (pale or len(rows) == 1):
                continue
            if pale:
                ax.plot(rows[x], rows["estimate"], color=color, **PALE)
                continue
            few = marker_of(method) if len(rows) <= 12 else None
            ax.plot(rows[x], rows["estimate"], color=color, linestyle=line, marker=few, zorder=3)
            if line == "-" and len(rows) == 1:
                ax.vlines(rows[x], rows["low"], rows["high"], color=color, linewidth=1.2, zorder=3)
            elif line == "-":
                ax.fill_between(rows[x], rows["low"], rows["high"], color=color, alpha=0.13, linewidth=0, zorder=2)


def facets(
    frame: pd.DataFrame,
    x: str,
    row: str,
    col: str,
    *,
    row_order: Sequence[str] | None = None,
    col_order: Sequence[str] | None = None,
    height: float = 1.7,
    **look: object,
) -> sns.FacetGrid:
    """``lines`` in a grid of panels, titled by ``row`` and ``col``; ``height`` of a row in inches."""
    use_style()
    own = pick(frame, pale=False)
    orders = {"row_order": present(own[row], row_order), "col_order": present(own[col], col_order)}
    grid = sns.FacetGrid(frame, row=row, col=col, sharey="row", margin_titles=True, **orders)
    grid.figure.set_size_inches(WIDTH, height * len(orders["row_order"]) + 0.6)
    for (row_name, col_name), ax in grid.axes_dict.items():
        lines(pick(frame, **{row: row_name, col: col_name}), x, ax, **look)
    grid.figure.set_layout_engine("constrained")
    grid.set_xlabels(x)
    return grid.set_titles(row_template="{row_name}", col_template="{col_name}")


def forest(ax: Axes, rows: pd.DataFrame, names: Sequence[str]) -> None:
    """Points with intervals, a ``name`` a line from the top; several methods of one name stand below each other."""
    methods = in_order(pick(rows, pale=False)["method"])
    alone = rows.groupby("name")["method"].nunique().max() <= 1
    step = 0.0 if alone else 0.7 / max(len(methods), 1)
    shift = {method: step * (place - (len(methods) - 1) / 2) for place, method in enumerate(methods)}
    for row in rows[rows["name"].isin(names) & rows["method"].isin(methods)].to_dict("records"):
        y, color = names.index(row["name"]) + shift[row["method"]], color_of(row["method"])
        ends = ([row["low"], row["high"]], [y, y])
        if row["pale"]:  # an artist: the reference does not widen the axis
            ax.add_artist(Line2D(*ends, color=color, **PALE))
        else:
            ax.plot(*ends, color=color, linewidth=1.2)
            ax.plot(row["estimate"], y, marker_of(row["method"]), color=color, zorder=3)
    ax.axvline(0, color=GREY, linewidth=0.8, zorder=0)
    ax.xaxis.set_major_locator(MaxNLocator(5))
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.45, -0.55)
    ax.grid(visible=False, axis="y")


def legend(
    figure: Figure,
    frame: pd.DataFrame,
    methods: Sequence[str] | None = None,
    *,
    styles: Mapping[str, str] | None = None,
    handles: Sequence[Line2D] = (),
) -> Figure:
    """One legend above all panels: the frame's methods, or those given, ``styles`` by line, the reference study."""
    methods = in_order(pick(frame, pale=False)["method"] if methods is None else methods)
    entries = [Line2D([], [], color=color_of(m), marker=marker_of(m), label=label(m)) for m in methods]
    entries += [Line2D([], [], color=GREY, linestyle=line, label=name) for name, line in (styles or {}).items()]
    entries += list(handles)
    if frame["pale"].any():
        entries.append(Line2D([], [], color=GREY, label="reference study", **PALE))
    width = sum(len(entry.get_label()) + 7 for entry in entries)  # in letters; about 105 fit a line
    columns = len(entries) if width <= 105 else (len(entries) + 1) // 2
    figure.legend(handles=entries, loc="outside upper center", ncols=columns, handlelength=2.2, columnspacing=1.5)
    return figure


def present(values: pd.Series, order: Iterable[str] | None = None) -> list[str]:
    """The distinct values that occur, in the order given, else in that of appearance."""
    found = list(dict.fromkeys(values))
    return [name for name in order if name in found] if order else found


def zero_line(ax: Axes) -> None:
    """The line at which two methods do not differ."""
    ax.axhline(0, color=GREY, linewidth=0.8, zorder=0)


def whole_steps(ax: Axes) -> None:
    """A few ticks at whole training steps."""
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=4))
    ax.set_xlabel("training step")


def k_axis(ax: Axes, ks: Sequence[int]) -> None:
    """Powers of two, every second one written."""
    ax.set_xscale("log", base=2)
    ticks = sorted(set(ks))[:: 2 if len(set(ks)) > 5 else 1]
    ax.set_xticks(ticks, [str(k) for k in ticks])
    ax.minorticks_off()
    ax.set_xlabel("k")
