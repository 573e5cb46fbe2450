"""RQ2's figure of variants: what is drawn of each."""

import numpy as np
import pandas as pd
import pytest

from azr.figures.shrinking import PANELS, plot_shrinking


def table() -> pd.DataFrame:
    """The default, a variant that differs from it, one that does not, and another model."""
    columns = {"variant": ["default", "other", "like it", "micro"], "seeds": 4, "steps": 24}
    for name in PANELS:
        columns |= {name: [0.0, -0.5, 0.1, np.nan]}
        columns |= {f"{name}_low": [0.0, -0.7, -0.1, np.nan], f"{name}_high": [0.0, -0.3, 0.3, np.nan]}
    columns |= {"drift": [0.5, 0.0, 0.6, np.nan]}  # against the second
    columns |= {"drift_low": [0.3, 0.0, 0.4, np.nan], "drift_high": [0.7, 0.0, 0.8, np.nan]}
    columns |= {"change": [-0.4, -0.9, -0.3, -0.2], "change_low": [-0.6, -1.1, -0.5, -0.5]}
    return pd.DataFrame(columns | {"change_high": [-0.2, -0.7, -0.1, 0.1]})


def test_a_panel_has_a_point_of_every_variant_that_can_be_compared():
    change, drift, difference, accuracy = plot_shrinking(table()).axes
    points = [
        [line.get_xdata()[0] for line in ax.lines if line.get_marker() == "o"] for ax in (change, drift, difference)
    ]
    assert points == [[-0.4, -0.9, -0.3, -0.2], [0.5, 0.6], [-0.5, 0.1]]
    assert [label.get_text() for label in change.get_yticklabels()] == ["default", "other", "like it", "micro"]
    assert [ax.get_title(loc="left") for ax in (change, drift, difference, accuracy)] == list(PANELS.values())


def test_intervals_without_zero_stand_out():
    colors = [line.get_color() for line in plot_shrinking(table()).axes[2].lines if line.get_marker() == "o"]
    assert colors[0] != colors[1]


def test_a_table_without_intervals_is_refused():
    with pytest.raises(ValueError, match="difference_low"):
        plot_shrinking(table().drop(columns="difference_low"))


def test_what_was_not_compared_has_no_panel():
    titles = [ax.get_title(loc="left") for ax in plot_shrinking(table().assign(drift=np.nan)).axes]
    assert titles == [title for column, title in PANELS.items() if column != "drift"]
