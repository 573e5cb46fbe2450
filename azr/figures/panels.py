"""What figures share: lines with bands over panels, forests of intervals, one legend, the reference study behind.

    grid = facets(frame, "step", row="model", col="group", reference=reference)
    legend(grid.figure, frame["method"], reference=reference)

A frame has model, method, estimate, low, high, and what the panels go by. The reference study is drawn pale: thick
lines without bands, thick bars behind points. Left out: statistics.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.pyplot import subplots
from matplotlib.ticker import MaxNLocator

from azr.figures.style import GREY, WIDTH, color_of, in_order, label, marker_of, use_style

Dashes = Mapping[str, str]
"""Line style by the value of a column."""
SOLID: Dashes = {"": "-"}
_PALE = {"alpha": 0.28, "zorder": 1, "solid_capstyle": "butt"}


def canvas(rows: int, columns: int, height: float, **options: object) -> tuple[Figure, np.ndarray]:
    """A figure as wide as a page with ``rows`` x ``columns`` axes [rows, columns]; ``height`` in inches."""
    use_style()
    return subplots(rows, columns, figsize=(WIDTH, height), layout="constrained", squeeze=False, **options)


def lines(
    data: pd.DataFrame,
    x: str,
    ax: Axes,
    *,
    style: str | None = None,
    dashes: Dashes = SOLID,
    pale: bool = False,
) -> None:
    """A line a method and value of ``style``; solid ones with a band, or an error bar where there is a single point.

    Args:
        data: method, ``x``, estimate, low, high, ``style``; sorted by itself.
        x: column of the horizontal axis.
        ax: where to draw.
        style: column by which lines differ in their dashes.
        dashes: line style by its values.
        pale: draw the reference study.
    """
    kinds = data[style] if style else pd.Series("", index=data.index)
    for method in in_order(data["method"]):
        for kind, line in dashes.items():
            rows = data[(data["method"] == method) & (kinds == kind)].sort_values(x)
            color, solid = color_of(method), line == "-"
            if rows.empty or (not solid and (pale or len(rows) == 1)):
                continue
            if pale:
                ax.plot(rows[x], rows["estimate"], color=color, linewidth=5, **_PALE)
                continue
            few = marker_of(method) if len(rows) <= 12 else None
            ax.plot(rows[x], rows["estimate"], color=color, linestyle=line, marker=few, zorder=3)
            if solid and len(rows) == 1:
                ax.vlines(rows[x], rows["low"], rows["high"], color=color, linewidth=1.2, zorder=3)
            elif solid:
                ax.fill_between(rows[x], rows["low"], rows["high"], color=color, alpha=0.13, linewidth=0, zorder=2)


def facets(
    frame: pd.DataFrame,
    x: str,
    row: str,
    col: str,
    *,
    reference: pd.DataFrame | None = None,
    style: str | None = None,
    dashes: Dashes = SOLID,
    row_order: Sequence[str] | None = None,
    col_order: Sequence[str] | None = None,
    height: float = 1.7,
) -> sns.FacetGrid:
    """``lines`` in a grid of panels, titled by ``row`` and ``col``; ``height`` of a row in inches."""
    use_style()
    orders = {"row_order": present(frame[row], row_order), "col_order": present(frame[col], col_order)}
    frame = frame[frame[row].isin(orders["row_order"]) & frame[col].isin(orders["col_order"])]
    grid = sns.FacetGrid(frame, row=row, col=col, sharey="row", margin_titles=True, **orders)
    grid.figure.set_size_inches(WIDTH, height * len(orders["row_order"]) + 0.6)
    if reference is not None:
        for (row_name, col_name), ax in grid.axes_dict.items():
            behind = reference[(reference[row] == row_name) & (reference[col] == col_name)]
            lines(behind, x, ax, style=style, dashes=dashes, pale=True)
    for (i, j, _), own in grid.facet_data():  # not map_dataframe: its layout makes no room for a legend
        lines(own, x, grid.axes[i, j], style=style, dashes=dashes)
    grid.figure.set_layout_engine("constrained")
    grid.set_xlabels(x)
    return grid.set_titles(row_template="{row_name}", col_template="{col_name}")


def forest(
    ax: Axes, rows: pd.DataFrame, names: Sequence[str], column: str, reference: pd.DataFrame | None = None
) -> None:
    """Points with intervals, a name a line from the top; several methods of one name stand below each other."""
    methods = in_order(rows["method"])
    alone = rows.groupby(column)["method"].nunique().max() <= 1
    step = 0.0 if alone else 0.7 / max(len(methods), 1)
    shift = {method: step * (place - (len(methods) - 1) / 2) for place, method in enumerate(methods)}
    for table, pale in ((reference, True), (rows, False)):
        for row in [] if table is None else table.to_dict("records"):
            if row[column] not in names or row["method"] not in shift:
                continue
            y, color = names.index(row[column]) + shift[row["method"]], color_of(row["method"])
            ends = ([row["low"], row["high"]], [y, y])
            if pale:  # an artist: the reference does not widen the axis
                ax.add_artist(Line2D(*ends, color=color, linewidth=6, **_PALE))
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
    methods: Sequence[str] | pd.Series,
    *,
    styles: Mapping[str, str] | None = None,
    reference: pd.DataFrame | None = None,
    handles: Sequence[Line2D] = (),
) -> Figure:
    """One legend above all panels: methods by colour and marker, ``styles`` by line style, the reference study."""
    entries = [Line2D([], [], color=color_of(m), marker=marker_of(m), label=label(m)) for m in in_order(methods)]
    entries += [Line2D([], [], color=GREY, linestyle=line, label=name) for name, line in (styles or {}).items()]
    entries += list(handles)
    if reference is not None:
        entries.append(Line2D([], [], color=GREY, linewidth=5, alpha=0.28, label="reference study"))
    width = sum(len(entry.get_label()) + 7 for entry in entries)  # in letters; about 105 fit a line
    columns = len(entries) if width <= 105 else (len(entries) + 1) // 2
    figure.legend(handles=entries, loc="outside upper center", ncols=columns, handlelength=2.2, columnspacing=1.5)
    return figure


def present(values: pd.Series, order: Sequence[str] | None = None) -> list[str]:
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
