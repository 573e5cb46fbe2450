"""What training logged, pooled over tenths of training: rewards, lengths, validity and solve rates of proposals.

    frame = selfplay(frames["log"], frames["proposals"])    # what fig03_selfplay draws

Left out: measurements on fixed problems (``azr.tables.accuracy``, ``azr.tables.entropy``).
"""

from __future__ import annotations

import pandas as pd

from azr.tables.compare import means

METHOD = "selfplay"
SOLVED = {"never": 0, "to ¼": 0.25, "to ¾": 0.75, "below 1": 0.999, "always": 1}
"""Classes of solve rates, by the highest in each."""
_RUN = ["model", "method", "seed", "step"]


def selfplay(log: pd.DataFrame, proposals: pd.DataFrame) -> pd.DataFrame:
    """Rewards and lengths of both roles, and what became of proposals, in each tenth of self-play's steps.

    Args:
        log: model, method, seed, step, group (``deduction/solver``, ...), quantity, value.
        proposals: model, method, seed, step, fate, solve_rate.

    Returns:
        model, method, step (middle of a window), role, quantity, name, estimate, low, high (over seeds), se, df, seeds,
        problems. Quantities ``reward`` and ``length`` are means over task types, by role; ``fate`` is the share of
        valid proposals, ``solved`` that of each class of solve rates (``name``, in ``SOLVED``) among them.
    """
    log = log[(log["method"] == METHOD) & log["quantity"].isin(["reward", "length"])]
    width = max(1, int(log["step"].max()) // 10)
    log = log.assign(role=log["group"].str.split("/").str[1], step=_window(log["step"], width))
    logged = log.groupby([*_RUN, "role", "quantity"], sort=False)["value"].mean().reset_index()
    own = proposals[proposals["method"] == METHOD]
    own = own.assign(step=_window(own["step"], width), value=(own["fate"] == "valid").astype(float), quantity="fate")
    edges = [-1, *SOLVED.values()]
    classes = pd.cut(own["solve_rate"].where(own["fate"] == "valid"), edges, labels=list(SOLVED)).astype(object)
    runs = own.assign(name=classes).groupby(_RUN, sort=False)["name"]
    solved = runs.value_counts(normalize=True).unstack(fill_value=0.0).stack().rename("value").reset_index()
    fates = own.groupby([*_RUN, "quantity"], sort=False)["value"].mean().reset_index()
    parts = [means(logged, by=["role", "quantity"]), means(fates, by=["quantity"])]
    return pd.concat([*parts, means(solved, by=["name"]).assign(quantity="solved")], ignore_index=True)


def _window(step: pd.Series, width: int) -> pd.Series:
    """The middle of the window of ``width`` steps in which a step, from 1 on, lies."""
    return (step - 1) // width * width + (width + 1) / 2
