"""Saving: picture, print and numbers; nothing is rewritten where the numbers are the same."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from azr.figures import style
from azr.figures.panels import forest, lines, overlay

FRAME = pd.DataFrame({"k": [1, 2], "method": ["base", "ü"], "estimate": [1 / 3, np.nan]})


def small_figure(height: float = 1.0) -> plt.Figure:
    figure, ax = plt.subplots(figsize=(1, 1))
    ax.plot([0, 1], [0, height])
    return figure


def saved(folder, height: float = 1.0, frame: pd.DataFrame = FRAME) -> list[bytes]:
    """The bytes of the picture, the print and the numbers of a figure that was saved."""
    style.save(small_figure(height), "a", frame, folder)
    return [(folder / f"a.{extension}").read_bytes() for extension in ("png", "pdf", "csv")]


def test_save_writes_picture_print_and_numbers(tmp_path):
    plt.close("all")
    png, pdf, csv = saved(tmp_path / "new" / "folder")
    assert png.startswith(b"\x89PNG")
    assert plt.imread(tmp_path / "new" / "folder" / "a.png").shape[:2] == (150, 150)
    assert pdf.startswith(b"%PDF")
    assert csv.decode() == "k,method,estimate\n1,base,0.333333\n2,ü,\n"
    assert not plt.fignum_exists(1), "notebooks do not collect open figures"


def test_the_same_figure_gives_the_same_bytes(tmp_path):
    first = saved(tmp_path / "1")
    assert first == saved(tmp_path / "2")
    assert b"CreationDate" not in first[1]


def test_files_change_only_with_the_numbers(tmp_path):
    before = saved(tmp_path)[0]
    assert saved(tmp_path, 2.0)[0] == before
    assert saved(tmp_path, 2.0, FRAME.assign(k=[1, 4]))[0] != before


@pytest.mark.parametrize("method", ["selfplay", "selfplay-full", "mine"])
def test_every_method_has_a_look(method):
    assert style.color_of(method).startswith("#")
    assert style.label(method)


def test_lines_have_bands_and_a_single_point_an_error_bar():
    points = {"method": "sft", "step": [0, 30, 60], "estimate": [0, 1, 2], "low": [0, 0, 1], "high": [0, 2, 3]}
    _, axes = plt.subplots(1, 2, squeeze=False)
    lines(axes[0, 0], overlay(pd.DataFrame(points), None), "step")
    band = axes[0, 0].collections[0].get_paths()[0].vertices
    assert (60, 3) in {tuple(corner) for corner in band}
    lines(axes[0, 1], overlay(pd.DataFrame(points).tail(1), None), "step")
    assert axes[0, 1].collections[0].get_segments()[0].tolist() == [[60, 1], [60, 3]]


def test_in_a_forest_the_reference_does_not_widen_the_axis():
    row = {"model": "nano", "method": "sft", "name": "SFT", "estimate": 0.1, "low": 0.0, "high": 0.2}
    _, ax = plt.subplots()
    reference = pd.DataFrame([row | {"low": -50.0, "high": 50.0}])
    forest(ax, overlay(pd.DataFrame([row]), reference), ["SFT"])
    assert -1 < ax.get_xlim()[0] < ax.get_xlim()[1] < 1
    plt.close("all")
