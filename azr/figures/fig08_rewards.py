"""What do the two proposer rewards pay, and what was proposed under them? From ``azr.tables.rewards.solve_rates``."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from azr.arms import ARMS
from azr.figures.panels import canvas, legend, lines, pick, present
from azr.figures.style import color_of, in_order
from azr.rewards import PROPOSER_REWARDS


def plot(frame: pd.DataFrame) -> Figure:
    """The rewards' shapes, then for each model the share of valid proposals at each solve rate."""
    models = present(frame["model"])
    figure, axes = canvas(1, 1 + len(models), 2.5)
    inside = np.linspace(0.01, 0.99, 99)
    for method in in_order(frame["method"]):
        shape = PROPOSER_REWARDS[ARMS[method].changes.get("train.proposer_reward", "learnability")]
        axes[0, 0].plot(inside, shape(inside), color=color_of(method))
        size = 6 if method == "selfplay" else 3  # both rewards pay the extremes the same
        axes[0, 0].plot([0, 1], shape(np.array([0.0, 1.0])), "o", color=color_of(method), markersize=size)
    axes[0, 0].set(title="paid to the proposer", xlabel="solve rate", ylabel="reward")
    for ax, model in zip(axes[0, 1:], models, strict=True):
        lines(pick(frame, model=model), "solve_rate", ax)
        ax.set(title=f"{model}: proposed", xlabel="solve rate", ylim=(0, None))
        ax.sharey(axes[0, 1])
    axes[0, 1].set_ylabel("share of valid proposals")
    return legend(figure, frame)
