"""Accuracy by size of the program, against training steps and between arms.

    over_steps(frames["test"])                    # what fig01_sft and fig02_rlvr draw
    contrasts(frames["validation"])               # what fig08_arms draws; C11, C13

Left out: pass@k at larger k (``azr.tables.passk``).
"""

from collections.abc import Sequence

import pandas as pd

from azr.metrics import minimum_detectable_difference, ratio_interval
from azr.tables.compare import ALL, BASE, at_end, changes, differences, means, pairs, score, with_all

PASS_1, GREEDY = "pass@1", "greedy"


def base_by_size(test: pd.DataFrame) -> pd.DataFrame:
    """pass@1, pass@32 and greedy accuracy of the base, seed 0, by group and number of statements.

    Returns:
        model, method, step, group, quantity, size, and an interval over problems; no row of a single problem.
    """
    base = test[(test["method"] == BASE) & (test["seed"] == 0)]
    by = ["group", "quantity", "size"]
    scores = pd.concat([score(base, name, ("size",)).assign(quantity=name) for name in (PASS_1, GREEDY, "pass@32")])
    return means(scores[scores.groupby(["model", *by])["value"].transform("size") > 1], by=by)


def over_steps(test: pd.DataFrame) -> pd.DataFrame:
    """pass@1 and greedy accuracy minus the base's at every measured step: ``azr.tables.compare.changes`` by group."""
    return changes(scores_of(test), by=["group", "quantity"])


def contrasts(
    frame: pd.DataFrame, references: Sequence[str] = (BASE, "selfplay"), quantities: Sequence[str] = (PASS_1,)
) -> pd.DataFrame:
    """Every method minus each reference after training.

    Returns:
        model, method, reference, step, group, quantity, interval, and detectable: the difference that a comparison of
        this size finds with power 0.8. Rows "base" minus "base" are what an untrained model gets.
    """
    scores = scores_of(at_end(frame), quantities)
    found = pd.concat([differences(scores, reference, ["group", "quantity"]) for reference in references])
    detectable = [minimum_detectable_difference(se, df) for se, df in zip(found["se"], found["df"], strict=True)]
    return found.assign(detectable=detectable).reset_index(drop=True)


def gap_closed(test: pd.DataFrame) -> pd.DataFrame:
    """E5: gain in pass@1 as a share of the base's gap between greedy and sampled answers, task types together."""
    scores = scores_of(at_end(test))
    scores = scores[scores["group"] == ALL]
    greedy = scores[(scores["method"] == BASE) & (scores["seed"] == 0) & (scores["quantity"] == GREEDY)]
    best = greedy.set_index(["model", "problem"])["value"]
    rows = []
    for at, own, control in pairs(scores[scores["quantity"] == PASS_1]):
        found = ratio_interval(own - control, best[at["model"]][own.columns] - control)
        rows.append(at | vars(found) | {"seeds": len(own), "problems": own.shape[1]})
    return pd.DataFrame(rows)


def scores_of(frame: pd.DataFrame, quantities: Sequence[str] = (PASS_1, GREEDY)) -> pd.DataFrame:
    """Scores by quantity, with the task types together as one more group."""
    tables = [with_all(score(frame, quantity)).assign(quantity=quantity) for quantity in quantities]
    return pd.concat(tables, ignore_index=True)
