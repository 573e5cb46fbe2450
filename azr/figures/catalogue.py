"""Every figure by name: the frames it needs, the table it is drawn from, and its plot.

figure, frame = draw("fig06_entropy", frames)     # frames: the study's tidy frames by name
style.save(figure, "fig06_entropy", frame, folder)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure

from azr.errors import UserError
from azr.figures import (
    fig00_base,
    fig01_sft,
    fig03_selfplay,
    fig04_leash,
    fig04_passk,
    fig05_curriculum,
    fig06_entropy,
    fig07_sparsity,
    fig08_arms,
    fig08_rewards,
    fig09_claims,
)
from azr.figures.panels import overlay
from azr.figures.style import PALETTE, arm_of
from azr.tables import accuracy, curriculum, entropy, passk, rewards, sparsity, training

Frames = Mapping[str, pd.DataFrame]
_MAIN = ("base", "sft", "rlvr", "selfplay")
_VARIANTS = ("base", "selfplay", "frozen", "base-proposer", "half")


@dataclass(frozen=True)
class Drawn:
    """How a figure is made."""

    plot: Callable[[pd.DataFrame], Figure]
    table: Callable[..., pd.DataFrame]
    """Takes the frames that it ``needs``, in that order."""
    needs: tuple[str, ...]
    methods: tuple[str, ...]
    """The arms that it shows; one's own arms come on top."""


FIGURES: Mapping[str, Drawn] = {
    "fig00_base": Drawn(fig00_base.plot, accuracy.base_by_size, ("test",), ("base",)),
    "fig01_sft": Drawn(fig01_sft.plot, accuracy.over_steps, ("test",), ("base", "sft")),
    "fig02_rlvr": Drawn(fig01_sft.plot, accuracy.over_steps, ("test",), ("base", "rlvr", "rlvr-trr")),
    "fig03_selfplay": Drawn(fig03_selfplay.plot, training.selfplay, ("log", "proposals"), ("selfplay",)),
    "fig04_passk": Drawn(fig04_passk.plot, passk.curves, ("test",), _MAIN),
    "fig04_leash": Drawn(fig04_leash.plot, passk.leash, ("test",), _MAIN),
    "fig05_curriculum": Drawn(fig05_curriculum.plot, curriculum.curriculum, ("curriculum",), _VARIANTS),
    "fig06_entropy": Drawn(fig06_entropy.plot, entropy.over_steps, ("entropy",), (*_MAIN, "frozen", "half")),
    "fig07_sparsity": Drawn(fig07_sparsity.plot, sparsity.runs, ("sparsity",), _MAIN),
    "fig08_arms": Drawn(fig08_arms.plot, accuracy.contrasts, ("validation",), _VARIANTS),
    "fig08_rewards": Drawn(fig08_rewards.plot, rewards.solve_rates, ("proposals",), ("selfplay", "half")),
    "fig09_claims": Drawn(fig09_claims.plot, lambda claims: claims, ("claims",), ()),
}


def available(frames: Frames) -> list[str]:
    """The figures for which all frames are there."""
    there = {name for name in frames if len(frames[name])}
    return [name for name, drawn in FIGURES.items() if there.issuperset(drawn.needs)]


def draw(name: str, frames: Frames, reference: Frames | None = None) -> tuple[Figure, pd.DataFrame]:
    """A figure and the frame it shows; over the reference study where its frames are given, too."""
    frame = table(name, frames)
    behind = table(name, reference) if reference is not None and name in available(reference) else None
    return FIGURES[name].plot(overlay(frame, behind)), frame


def table(name: str, frames: Frames) -> pd.DataFrame:
    """What a figure shows: its table, of its arms and the user's own. Raises UserError where there is nothing."""
    drawn = FIGURES[name]
    chosen = [_of_methods(frames[need], drawn.methods) for need in drawn.needs]
    frame = pd.DataFrame() if any(part.empty for part in chosen) else drawn.table(*chosen)
    if frame.empty:
        raise UserError(f"The study has too few arms or seeds for {name}: add {', '.join(drawn.methods)}, or seeds.")
    return frame


def _of_methods(frame: pd.DataFrame, methods: tuple[str, ...]) -> pd.DataFrame:
    if "method" not in frame:
        return frame
    arm = frame["method"].map(arm_of)
    return frame[arm.isin(methods) | ~arm.isin(list(PALETTE))]
