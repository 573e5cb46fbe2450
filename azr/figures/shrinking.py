"""RQ2: do proposals get shorter, and is it an artefact? Short runs of self-play that differ from the default in one
setting each (``benchmarks/shrinking.py``), against their own beginning, a proposer that never moves, and the default.

    save(plot_shrinking(table), "fig05_shrinking", table, "figures")

Left out: the pressure of a single update, which is a table.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.pyplot import subplots

from azr.figures.style import METHOD_COLORS, count_of, error_bars, finish, require_columns

PANELS = {
    "change": "statements:\nsecond half − first",
    "drift": "statements:\nvariant − base as proposer",
    "difference": "statements:\nvariant − default",
    "accuracy_difference": "accuracy:\nvariant − default",
}
"""What a panel shows: the column of its estimates and its title; intervals are in ``<column>_low`` and ``_high``."""


def plot_shrinking(table: pd.DataFrame, note: str = "") -> Figure:
    """How each variant's valid programs changed within a run, and where it ended against the default.

    Args:
        table: one row a variant, the default first: variant, seeds, steps and for each column in ``PANELS`` an
            estimate with its 95 % interval over seeds, NaN where a comparison has no meaning or was not made.
        note: model and profile for the caption.

    Returns:
        A figure with a panel a column that has numbers; coloured where an interval leaves out 0.
    """
    require_columns(table, ["variant", "seeds", "steps", *(c + end for c in PANELS for end in ("", "_low", "_high"))])
    heights = np.arange(len(table))[::-1]
    drawn = {column: title for column, title in PANELS.items() if table[column].notna().any()}
    figure, panels = subplots(1, len(drawn), figsize=(12.0, 1.7 + 0.27 * len(table)), sharey=True)
    for ax, (column, title) in zip(panels, drawn.items(), strict=True):
        ax.axvline(0, color="#444444", linewidth=1)
        for height, (estimate, low, high) in zip(
            heights, table[[column, f"{column}_low", f"{column}_high"]].to_numpy(), strict=True
        ):
            if np.isnan(estimate) or low == high:  # not compared, or with itself
                continue
            color = METHOD_COLORS["selfplay"] if low > 0 or high < 0 else "#888888"
            ax.errorbar(
                [estimate], [height], xerr=error_bars(estimate, low, high), fmt="o", color=color, ms=4.5, capsize=3
            )
        ax.set_title(title)
        ax.locator_params(axis="x", nbins=4)
    panels[0].set_yticks(heights, table["variant"])
    caption = (
        f"Valid deduction and abduction proposals; {count_of(int(table.seeds.min()), 'training seed')} of "
        f"{int(table.steps.iloc[0])} steps a variant, paired by seed; bars: 95 % t-interval over seeds, blue where it "
        f"leaves out 0, not adjusted for the number of rows. Differences of statements: second half of training; of "
        f"accuracy: validation problems, after it. {note}"
    )
    return finish(figure, caption)
