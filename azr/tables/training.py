"""What training logged, pooled over tenths of training: rewards, lengths, validity and solve rates of proposals.

    frame = selfplay(frames["log"], frames["proposals"])    # what fig03_selfplay draws

Left out: measurements on fixed problems (``azr.tables.accuracy``, ``azr.tables.entropy``).
"""

import pandas as pd

from azr.tables.compare import means

SOLVED = {"0": 0, "to ¼": 0.25, "to ¾": 0.75, "less than 1": 0.999, "1": 1}
"""Classes of solve rates, by the highest in each."""


def selfplay(log: pd.DataFrame, proposals: pd.DataFrame) -> pd.DataFrame:
    """Rewards and lengths of both roles, and what became of proposals, in each tenth of self-play's steps.

    Args:
        log: model, method, seed, step, group (``deduction/solver``, ...), quantity, value.
        proposals: model, method, seed, step, fate, solve_rate.

    Returns:
        model, method, step (middle of a window), role, quantity, name, estimate, low, high (over seeds), se, df, seeds,
        problems. Quantities ``reward`` and ``length`` are means over task types, by role; ``fate`` is the share of
        valid proposals, ``solved`` that of each class of solve rates (``name``, in ``SOLVED``) among them. Elsewhere
        role and name are "".
    """
    log = log[(log["method"] == "selfplay") & log["quantity"].isin(["reward", "length"])]
    own = proposals[proposals["method"] == "selfplay"]
    valid = own[own["fate"] == "valid"]
    classes = pd.cut(valid["solve_rate"], [-1, *SOLVED.values()], labels=list(SOLVED))
    roles = log["group"].str.partition("/")[2]
    parts = [log.assign(role=roles), own.assign(quantity="fate", value=own["fate"] == "valid")]
    parts += [valid.assign(quantity="solved", name=name, value=classes == name) for name in SOLVED]
    frame = pd.concat(parts).fillna({"role": "", "name": ""}).astype({"value": float})
    width = max(1, int(log["step"].max()) // 10)
    windows = frame.assign(step=(frame["step"] - 1) // width * width + (width + 1) / 2)
    keys = ["model", "method", "seed", "step", "role", "quantity", "name"]
    return means(windows.groupby(keys, sort=False)["value"].mean().reset_index(), keys[4:])
