"""RQ5: what proposals looked like under two proposer rewards; where they do not differ, the rewards were not compared.

    frame = solve_rates(frames["proposals"])      # what fig08_rewards draws
    differences(shapes(frames["proposals"]), "selfplay", by=["quantity"])

Left out: accuracy and entropy of the arms (``azr.tables.accuracy``, ``azr.tables.entropy``).
"""

from __future__ import annotations

import pandas as pd

from azr.tables.compare import means

_RUN = ["model", "method", "seed"]
LEARNABLE = (0.25, 0.75)
"""Solve rates from which a solver learns most; both ends belong to it."""


def shapes(proposals: pd.DataFrame, since: int = 1) -> pd.DataFrame:
    """What each run proposed from step ``since`` on.

    Args:
        proposals: model, method, seed, step, fate, solve_rate, reward, tokens, statements.
        since: first step that counts.

    Returns:
        Scores without problems: model, method, seed, quantity, value. Of all proposals ``valid`` (share), ``reward``
        and ``tokens``; of the valid ones ``solve rate``, ``statements`` and the shares ``never solved``,
        ``always solved`` and ``learnable`` (solve rate in [1/4, 3/4]).
    """
    late = proposals[proposals["step"] >= since]
    valid = late[late["fate"] == "valid"]
    rate = valid["solve_rate"]
    valid = valid.assign(
        learnable=rate.between(*LEARNABLE), never=rate == 0, always=rate == 1, rate=rate, size=valid["statements"]
    )
    of_all = late.assign(valid=late["fate"] == "valid").groupby(_RUN, sort=False)[["valid", "reward", "tokens"]].mean()
    of_valid = valid.groupby(_RUN, sort=False)[["rate", "size", "never", "always", "learnable"]].mean()
    names = {"rate": "solve rate", "size": "statements", "never": "never solved", "always": "always solved"}
    table = of_all.join(of_valid).rename(columns=names).rename_axis(columns="quantity")
    return table.stack().rename("value").reset_index()


def solve_rates(
    proposals: pd.DataFrame, methods: tuple[str, ...] = ("selfplay", "half"), since: int = 1
) -> pd.DataFrame:
    """Distribution of the valid proposals over solve rates.

    Returns:
        model, method, solve_rate, estimate (share of valid proposals), low, high (over seeds), se, df, seeds, problems.
    """
    valid = proposals[(proposals["fate"] == "valid") & (proposals["step"] >= since) & proposals["method"].isin(methods)]
    shares = valid.groupby(_RUN, sort=False)["solve_rate"].value_counts(normalize=True)
    table = shares.unstack(fill_value=0.0)
    scores = table.stack().rename("value").reset_index()
    return means(scores, by=["solve_rate"])
