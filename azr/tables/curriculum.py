"""RQ2: do problems proposed later get harder, and responses to them longer? Judged by the untrained model.

    frame = curriculum(frames["curriculum"])      # what fig05_curriculum draws
    per_run = trends(frames["curriculum"])        # rho of every run: C4 to C6, C11b

The arm with the base as proposer is the null: its proposals cannot follow what training did to the solver. Left out:
models of the trend; a rank correlation says whether later means harder, not by how much.
"""

from collections.abc import Mapping

import pandas as pd

from azr.metrics import spearman
from azr.tables.compare import differences, means

NULL = "base-proposer"
_RUN = ["model", "method", "seed"]
TRENDS: Mapping[str, tuple[str, str, str | None]] = {
    "step, solve rate": ("step", "solve_rate", None),
    "step, length": ("step", "length", None),
    "step, statements": ("step", "statements", None),
    "solve rate, length": ("solve_rate", "length", None),
    "solve rate, length | statements": ("solve_rate", "length", "statements"),
}
"""Rank correlations by name: of what, with what, and within which groups the ranks are taken."""
QUANTITIES = {"solve_rate": "solve rate", "length": "response length", "statements": "statements"}


def trends(solved: pd.DataFrame) -> pd.DataFrame:
    """Spearman's rho of every run.

    Args:
        solved: re-solved proposals: model, method, seed, step, statements, n, c, length.

    Returns:
        model, method, seed, statistic (a name in ``TRENDS``), value, n.
    """
    rows = []
    for run, own in _with_rate(solved).groupby(_RUN, sort=False):
        for name, (x, y, within) in TRENDS.items():
            known = own.dropna(subset=[x, y])
            if len(known) >= 10:  # else a run's rho is next to nothing but noise
                rho = spearman(known[x], known[y], known[within] if within else None)
                rows.append((*run, name, rho, len(known)))
    return pd.DataFrame(rows, columns=[*_RUN, "statistic", "value", "n"]).dropna(subset="value", ignore_index=True)


def trend_intervals(per_run: pd.DataFrame) -> pd.DataFrame:
    """Mean rho of each method over its seeds (reference ""), and its difference from ``NULL``, the base as proposer."""
    own = means(per_run, by=["statistic"]).assign(reference="")
    return pd.concat([own, differences(per_run, NULL, by=["statistic"])], ignore_index=True)


def curriculum(solved: pd.DataFrame) -> pd.DataFrame:
    """What the base makes of the problems proposed in each of six windows of steps, and each method's own rho.

    Args:
        solved: as for ``trends``; a run's mean in each window counts once.

    Returns:
        model, method, step (middle of the window), quantity (``solve rate``, ``response length``, ``statements``, or
        ``rho`` with its statistic), statistic, and an interval over seeds.
    """
    width = solved["step"].max() / 6
    windows = _with_rate(solved).assign(step=((solved["step"] - 1) // width + 0.5) * width)
    runs = windows.groupby([*_RUN, "step"], sort=False)[list(QUANTITIES)].mean().rename(columns=QUANTITIES)
    by_step = means(runs.melt(var_name="quantity", ignore_index=False).reset_index(), by=["quantity"])
    rho = means(trends(solved), by=["statistic"]).assign(quantity="rho")
    return pd.concat([by_step, rho], ignore_index=True)


def _with_rate(solved: pd.DataFrame) -> pd.DataFrame:
    return solved.assign(solve_rate=solved["c"] / solved["n"])
