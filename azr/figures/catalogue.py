"""Every figure by name: the frames it needs, the table it is drawn from, and the module that draws it.

figure, frame = draw("fig06_entropy", frames)     # frames: the study's tidy frames by name
style.save(figure, "fig06_entropy", frame, folder)
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module

import pandas as pd
from matplotlib.figure import Figure

from azr.arms import BASE
from azr.errors import UserError
from azr.figures.panels import overlay
from azr.figures.style import PALETTE, arm_of
from azr.tables import accuracy, curriculum, entropy, passk, rewards, sparsity, training

Frames = Mapping[str, pd.DataFrame]
_MAIN = ("base", "sft", "rlvr", "selfplay")
_VARIANTS = ("base", "selfplay", "frozen", "base-proposer", "half")


@dataclass(frozen=True)
class Drawn:
    """How a figure is made: by ``plot`` of the module that has its name, or of ``module``."""

    table: Callable[..., pd.DataFrame]
    """Takes the frames that it ``needs``, in that order."""
    needs: tuple[str, ...]
    methods: tuple[str, ...]
    """The arms that it shows; one's own arms come on top."""
    module: str = ""


FIGURES: Mapping[str, Drawn] = {
    "fig00_base": Drawn(accuracy.base_by_size, ("test",), ("base",)),
    "fig01_sft": Drawn(accuracy.over_steps, ("test",), ("base", "sft")),
    "fig02_rlvr": Drawn(accuracy.over_steps, ("test",), ("base", "rlvr", "rlvr-trr"), "fig01_sft"),
    "fig03_selfplay": Drawn(training.selfplay, ("log", "proposals"), ("selfplay",)),
    "fig04_passk": Drawn(passk.curves, ("test",), _MAIN),
    "fig04_leash": Drawn(passk.leash, ("test",), _MAIN),
    "fig05_curriculum": Drawn(curriculum.curriculum, ("curriculum",), _VARIANTS),
    "fig06_entropy": Drawn(entropy.over_steps, ("entropy",), (*_MAIN, "frozen", "half")),
    "fig07_sparsity": Drawn(sparsity.runs, ("sparsity",), _MAIN),
    "fig08_arms": Drawn(accuracy.contrasts, ("validation",), _VARIANTS),
    "fig08_rewards": Drawn(rewards.solve_rates, ("proposals",), ("selfplay", "half")),
    "fig09_claims": Drawn(lambda claims: claims, ("claims",), ()),
}


def draw(name: str, frames: Frames, reference: Frames | None = None) -> tuple[Figure, pd.DataFrame]:
    """A figure and the frame it shows; over the reference study where that has the figure's frames.

    Raises UserError where the study has too little for it.
    """
    frame, drawn = table(name, frames), FIGURES[name]
    behind = reference is not None and all(need in reference and len(reference[need]) for need in drawn.needs)
    plot = import_module(f"azr.figures.{drawn.module or name}").plot
    return plot(overlay(frame, table(name, reference) if behind else None)), frame


def table(name: str, frames: Frames) -> pd.DataFrame:
    """What a figure shows: its table, of its arms and the user's own. Raises UserError where there is nothing."""
    drawn = FIGURES[name]
    chosen = [_of_methods(frames[need], drawn.methods) for need in drawn.needs]
    if not any(part.empty for part in chosen) and len(frame := drawn.table(*chosen)):
        return frame
    raise UserError(f"The study has too few arms or seeds for {name}: add {', '.join(drawn.methods)}, or seeds.")


def _of_methods(frame: pd.DataFrame, methods: tuple[str, ...]) -> pd.DataFrame:
    """Of the models of which some arm is there, unless the base alone is shown."""
    if "method" not in frame:
        return frame
    arm = frame["method"].map({method: arm_of(method) for method in frame["method"].unique()})
    own = frame[arm.isin(methods) | ~arm.isin(list(PALETTE))]
    return own if methods == (BASE,) else own[own["model"].isin(own.loc[own["method"] != BASE, "model"])]
