"""What figures share: a grid of panels, lines with bands, forests of intervals, one legend, the reference study behind.

    frame = overlay(frame, reference)
    grid = facets(frame, line_panel("step"), row="model", col="group")
    legend(grid.figure, frame)

A frame has model, method, estimate, low, high, and what the panels go by. The reference study is drawn pale: thick
lines without bands, thick bars behind points. Left out: statistics.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from azr.figures.style import GREY, WIDTH, color_of, in_order, label, marker_of, use_style

PALE = {"linewidth": 5, "alpha": 0.28, "zorder": 1, "solid_capstyle": "butt"}
"""The look of the reference study's lines."""
Panel = Callable[[Axes, pd.DataFrame], None]
"""What draws the rows of one panel."""


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


def present(values: Iterable[str], order: Iterable[str] | None = None) -> list[str]:
    """The distinct values that occur, in the order given, else in that of appearance."""
    found = dict.fromkeys(values)
    return [name for name in dict.fromkeys(order or found) if name in found]


def facets(
    frame: pd.DataFrame,
    draw: Panel,
    row: str,
    col: str,
    *,
    row_order: Iterable[str] | None = None,
    col_order: Iterable[str] | None = None,
    height: float = 1.7,
    sharex: bool | str = True,
    sharey: bool | str = "row",
    ratios: Sequence[float] | None = None,
    ylabels: Mapping[str, str] | None = None,
) -> sns.FacetGrid:
    """A grid of panels as wide as a page, titled by ``row`` and ``col``, each drawn from its rows of the frame.

    ``row_order`` and ``col_order`` say what is shown, where it occurs; ``height`` of a row is in inches, ``ratios`` are
    relative heights of the rows. With ``ylabels``, by ``row``, rows have these in place of titles.
    """
    use_style()
    own = pick(frame, pale=False)
    orders = {"row_order": present(own[row], row_order), "col_order": present(own[col], col_order)}
    shared = {"sharex": sharex, "sharey": sharey, "gridspec_kws": {"height_ratios": ratios}}
    grid = sns.FacetGrid(frame, row=row, col=col, margin_titles=True, **orders, **shared)
    grid.figure.set_size_inches(WIDTH, height * len(orders["row_order"]) + 0.6)
    for (row_name, col_name), ax in grid.axes_dict.items():
        rows = pick(frame, **{row: row_name, col: col_name})
        if len(rows):
            draw(ax, rows)
        else:
            ax.set_axis_off()
            ax.text(0.5, 0.5, "not measured", transform=ax.transAxes, ha="center", color=GREY, fontsize=7)
    grid.figure.set_layout_engine("constrained")
    grid.set_titles(row_template="" if ylabels else "{row_name}", col_template="{col_name}").set_axis_labels("", "")
    for ax, name in zip(grid.axes[:, 0], grid.row_names, strict=True):
        ax.set_ylabel(ylabels[name] if ylabels else "")
    return grid


def line_panel(x: str, style: str | None = None, dashes: Mapping[str, str] | None = None, zero: bool = False) -> Panel:
    """A panel of ``lines``, with the line at 0 if wanted; few ticks, at whole numbers where ``x`` is a step."""

    def draw(ax: Axes, rows: pd.DataFrame) -> None:
        lines(ax, rows, x, style, dashes)
        if zero:
            ax.axhline(0, color=GREY, linewidth=0.8, zorder=0)
        if x == "step":
            ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=4))

    return draw


def lines(
    ax: Axes, data: pd.DataFrame, x: str, style: str | None = None, dashes: Mapping[str, str] | None = None
) -> None:
    """A line a method and value of ``style``, with a band (a single point: a bar), unless dashed among several methods.

    Args:
        data: method, ``x``, estimate, low, high, pale, ``style``.
        x: column of the horizontal axis.
        style: column by which lines differ in their dashes; all are solid without it.
        dashes: line style by its values.
    """
    data = data.assign(line=data[style].map(dashes) if style else "-").sort_values(x)
    alone = data["method"].nunique() == 1
    for (method, line, pale), rows in data.groupby(["method", "line", "pale"]):
        banded, color, few = alone or line == "-", color_of(method), marker_of(method) if len(rows) <= 12 else None
        if not banded and (pale or len(rows) == 1):
            continue
        if pale:
            ax.plot(rows[x], rows["estimate"], color=color, **PALE)
            continue
        ax.plot(rows[x], rows["estimate"], color=color, linestyle=line, marker=few, zorder=3)
        if banded and len(rows) == 1:
            ax.vlines(rows[x], rows["low"], rows["high"], color=color, linewidth=1.2, zorder=3)
        elif banded:
            ax.fill_between(rows[x], rows["low"], rows["high"], color=color, alpha=0.13, linewidth=0, zorder=2)


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
    styles: Mapping[str, str] | None = None,
    handles: Sequence[Line2D] = (),
) -> Figure:
    """One legend above all panels: the frame's methods, or those given, ``styles`` by line, the reference study."""
    entry = partial(Line2D, [], [])
    methods = in_order(pick(frame, pale=False)["method"] if methods is None else methods)
    entries = [entry(color=color_of(method), marker=marker_of(method), label=label(method)) for method in methods]
    entries += [entry(color=GREY, linestyle=line, label=name) for name, line in (styles or {}).items()]
    entries += [*handles, *([entry(color=GREY, label="reference study", **PALE)] if frame["pale"].any() else [])]
    width = sum(len(one.get_label()) + 7 for one in entries)  # in letters; about 105 fit a line
    columns = len(entries) if width <= 105 else (len(entries) + 1) // 2
    if entries:
        figure.legend(handles=entries, loc="outside upper center", ncols=columns, handlelength=2.2, columnspacing=1.5)
    return figure
