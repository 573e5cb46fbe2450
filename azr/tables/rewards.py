"""RQ5: what proposals looked like under two proposer rewards; where they do not differ, the rewards were not compared.

    frame = solve_rates(frames["proposals"])      # what fig08_rewards draws
    differences(shapes(frames["proposals"]), "selfplay", by=["quantity"])

Left out: accuracy and entropy of the arms (``azr.tables.accuracy``, ``azr.tables.entropy``).
"""

import pandas as pd

from azr.tables.compare import means

_RUN = ["model", "method", "seed"]


def shapes(proposals: pd.DataFrame, since: int = 1) -> pd.DataFrame:
    """What each run proposed from step ``since`` on.

    Args:
        proposals: model, method, seed, step, fate, solve_rate, reward, tokens, statements.
        since: first step that counts.

    Returns:
        Scores without problems: model, method, seed, quantity, value. Of all proposals ``valid`` (share), ``reward``
        and ``tokens``; of the valid ones ``solve rate``, ``statements`` and the shares ``never solved``,
        ``always solved`` and ``learnable`` (from 1/4 to 3/4, where a solver learns most).
    """
    late = proposals[proposals["step"] >= since].assign(valid=proposals["fate"] == "valid")
    rate = late["solve_rate"]
    shares = {"never solved": rate == 0, "always solved": rate == 1, "learnable": rate.between(0.25, 0.75)}
    shares |= {"solve rate": rate, "statements": late["statements"]}
    late = late.assign(**{name: value.where(late["valid"]) for name, value in shares.items()})
    found = late.groupby(_RUN, sort=False)[["valid", "reward", "tokens", *shares]].mean()
    return found.melt(var_name="quantity", ignore_index=False).reset_index().dropna(ignore_index=True)


def solve_rates(proposals: pd.DataFrame) -> pd.DataFrame:
    """The share of the valid proposals at each solve_rate, under each of the two rewards, with intervals over seeds."""
    valid = proposals[(proposals["fate"] == "valid") & proposals["method"].isin(["selfplay", "half"])]
    shares = valid.groupby(_RUN)["solve_rate"].value_counts(normalize=True).unstack(fill_value=0.0)
    return means(shares.stack().rename("value").reset_index(), by=["solve_rate"])
