"""What training logged, pooled over windows of steps: rewards, lengths, entropies; fates and solve rates of proposals.

    frame = selfplay(frames["log"], frames["proposals"])    # what fig03_selfplay draws

Left out: measurements on fixed problems (``azr.tables.accuracy``, ``azr.tables.entropy``).
"""

from __future__ import annotations

import pandas as pd

from azr.tables.compare import means

SOLVED = {"never": (-1, 0), "to ¼": (0, 0.25), "to ¾": (0.25, 0.75), "below 1": (0.75, 0.999), "always": (0.999, 1)}
"""Classes of solve rates by name: above the first number, up to the second."""


def windows(step: pd.Series, width: int) -> pd.Series:
    """The middle of the window of ``width`` steps in which a step, from 1 on, lies.

    >>> windows(pd.Series([1, 10, 11]), 10).tolist()
    [5.5, 5.5, 15.5]
    """
    return (step - 1) // width * width + (width + 1) / 2


def logged(log: pd.DataFrame, quantities: tuple[str, ...], width: int = 10) -> pd.DataFrame:
    """Means of logged quantities over task types and windows of steps.

    Args:
        log: model, method, seed, step, group (``deduction/solver``, ...), quantity, value.
        quantities: which of them.
        width: steps of a window.

    Returns:
        model, method, step (middle of a window), role, quantity, estimate, low, high (over seeds), se, df, seeds,
        problems.
    """
    rows = log[log["quantity"].isin(quantities) & log["group"].str.contains("/")]
    rows = rows.assign(role=rows["group"].str.split("/").str[1], step=windows(rows["step"], width))
    runs = rows.groupby(["model", "method", "seed", "step", "role", "quantity"], sort=False)["value"].mean()
    return means(runs.reset_index(), by=["role", "quantity"])


def proposal_shares(proposals: pd.DataFrame, width: int = 10) -> pd.DataFrame:
    """Shares of the fates of all proposals, and of classes of solve rates among the valid ones, over steps.

    Returns:
        model, method, step, quantity (``fate`` or ``solved``), name (of the fate, or in ``SOLVED``), estimate, low,
        high (over seeds), se, df, seeds, problems.
    """
    rows = proposals.assign(step=windows(proposals["step"], width))
    edges = [SOLVED["never"][0], *(high for _, high in SOLVED.values())]
    classes = pd.cut(rows["solve_rate"], edges, labels=list(SOLVED)).astype(object)
    parts = []
    for quantity, name in (("fate", rows["fate"]), ("solved", classes.where(rows["fate"] == "valid"))):
        runs = rows.assign(name=name).groupby(["model", "method", "seed", "step"], sort=False)["name"]
        shares = runs.value_counts(normalize=True).unstack(fill_value=0.0).stack().rename("value").reset_index()
        parts.append(means(shares, by=["name"]).assign(quantity=quantity))
    return pd.concat(parts, ignore_index=True)


def selfplay(log: pd.DataFrame, proposals: pd.DataFrame, method: str = "selfplay", width: int = 10) -> pd.DataFrame:
    """One frame to draw of one arm: rewards and lengths of both roles, valid share and solve rates of proposals."""
    own = logged(log[log["method"] == method], ("reward", "length"), width)
    shares = proposal_shares(proposals[proposals["method"] == method], width)
    shares = shares[(shares["quantity"] == "solved") | (shares["name"] == "valid")]
    return pd.concat([own, shares], ignore_index=True)
