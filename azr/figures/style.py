"""One look for every figure: sizes, the arms' colours, and ``save``, which keeps the numbers beside the picture.

An arm has the same colour in every figure, and no colour means anything else: task types, roles and quantities differ
by panel, line style or marker, in grey (Okabe and Ito's palette, made for colour blindness, and a brown).

>>> color_of("selfplay-full") == color_of("selfplay")
True

Figures are 7 inches wide, a page of two columns, or less; nothing in them is smaller than 7 points. Left out: what any
figure shows.
"""

import io
from collections.abc import Iterable, Mapping
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from PIL import Image

from azr.arms import label_of

WIDTH = 7.0
"""Inches, of a figure over both columns of a page."""
PALETTE: Mapping[str, str] = {
    "base": "#444444",
    "sft": "#E69F00",
    "rlvr": "#009E73",
    "rlvr-trr": "#8B5A2B",
    "selfplay": "#0072B2",
    "frozen": "#56B4E9",
    "base-proposer": "#CC79A7",
    "half": "#D55E00",
}
MARKERS: Mapping[str, str] = dict(zip(PALETTE, "osDd^vPX", strict=True))
GREY = "#666666"
"""Lines and words that belong to no arm."""
_SPARE = ("#7A5195", "#2F7F7F", "#A83232", "#5B5B9E")
_DPI = 150


def use_style() -> None:
    """Set the look of all figures drawn after it."""
    look = {
        "axes.grid": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "grid.color": "#E6E6E6",
        "grid.linewidth": 0.5,
        "lines.markersize": 3.5,
        "legend.frameon": False,
        "pdf.fonttype": 42,  # text stays text in the PDF
    }
    # DejaVu ships with matplotlib: the same text on every machine.
    sns.set_theme(context="paper", style="ticks", font="DejaVu Sans", font_scale=0.85, rc=look)


def arm_of(method: str) -> str:
    """The arm whose look a method has: an arm trained with all weights looks like its LoRA twin."""
    return method.removesuffix("-full")


def color_of(method: str) -> str:
    """Colour of an arm or the base; a name of one's own gets one of four spare colours."""
    arm = arm_of(method)
    return PALETTE.get(arm, _SPARE[sum(arm.encode()) % len(_SPARE)])


def marker_of(method: str) -> str:
    return MARKERS.get(arm_of(method), "o")


def in_order(methods: Iterable[str]) -> list[str]:
    """The distinct methods: known ones in the palette's order, then others.

    >>> in_order(["mine", "selfplay", "base", "mine"])
    ['base', 'selfplay', 'mine']
    """
    distinct = list(dict.fromkeys(methods))
    order = list(PALETTE)
    return sorted(distinct, key=lambda method: order.index(arm_of(method)) if arm_of(method) in order else len(order))


def label(method: str) -> str:
    """What figures call an arm or the base; arms trained with all weights as their LoRA twins."""
    return label_of(arm_of(method))


def again_or_label(method: str) -> str:
    """The same where the base stands for what an untrained model gets."""
    return "base, sampled again" if method == "base" else label(method)


def save(figure: Figure, name: str, frame: pd.DataFrame, folder: str | Path) -> None:
    """Write ``name``.png, ``name``.pdf and ``name``.csv, the frame that a figure was drawn from, and close the figure.

    Args:
        name: of the files, without extension or folder.
        frame: tidy data; floats are written with six significant digits.
        folder: made where it is missing.

    Where all three are there and the numbers in the CSV are the same, nothing is written. No file holds a date or a
    version: the same figure gives the same bytes.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    png, pdf, csv = paths = [folder / f"{name}.{extension}" for extension in ("png", "pdf", "csv")]
    numbers = frame.to_csv(index=False, float_format="%.6g", lineterminator="\n")
    if not (all(path.exists() for path in paths) and csv.read_text(encoding="utf-8") == numbers):
        picture = io.BytesIO()
        figure.savefig(picture, format="png", dpi=_DPI)
        Image.open(picture).convert("RGB").quantize(128, dither=Image.Dither.NONE).save(png, optimize=True)
        figure.savefig(pdf, metadata={"Creator": None, "Producer": None, "CreationDate": None})
        csv.write_text(numbers, encoding="utf-8")
    plt.close(figure)
