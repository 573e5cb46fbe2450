"""What do the two proposer rewards pay, and what was proposed under them? From ``azr.tables.rewards.solve_rates``."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.pyplot import subplots

from azr.arms import ARMS
from azr.figures.panels import legend, lines, pick, present
from azr.figures.style import WIDTH, color_of, in_order, use_style
from azr.rewards import PROPOSER_REWARDS


def plot(frame: pd.DataFrame) -> Figure:
    """The rewards' shapes, then for each model the share of valid proposals at each solve rate."""
    use_style()
    models = present(frame["model"])
    figure, (paid, *axes) = subplots(1, 1 + len(models), figsize=(WIDTH, 2.5), layout="constrained")
    inside = np.linspace(0.01, 0.99, 99)
    for method in in_order(frame["method"]):
        shape = PROPOSER_REWARDS[ARMS[method].changes.get("train.proposer_reward", "learnability")]
        paid.plot(inside, shape(inside), color=color_of(method))
        size = 6 if method == "selfplay" else 3  # both rewards pay the extremes the same
        paid.plot([0, 1], shape(np.array([0.0, 1.0])), "o", color=color_of(method), markersize=size)
    paid.set(title="paid to the proposer", xlabel="solve rate", ylabel="reward")
    for ax, model in zip(axes, models, strict=True):
        lines(ax, pick(frame, model=model), "solve_rate")
        ax.set(title=f"{model}: proposed", xlabel="solve rate", ylim=(0, None))
        ax.sharey(axes[0])
    axes[0].set_ylabel("share of valid proposals")
    return legend(figure, frame)
