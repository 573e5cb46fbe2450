"""RQ3: entropy on fixed prompts, by role, against training steps.

    changes(frames["entropy"])                    # what fig06_entropy draws; C7 to C9, E3
    contrasts(frames["entropy"])                  # C10, C14

On fixed prompts a change of entropy is the policy's; on the moving batch of training it mixes the policy with the
tasks. Per token: the sum of entropies over the sum of tokens of the responses to all prompts of a role. Left out: the
entropies that training logs (``azr.tables.training``).
"""

from __future__ import annotations

import pandas as pd

from azr.metrics import ratio_interval
from azr.tables.compare import BASE, combined, differences, from_start, interval_of, means, pairs

SOLVER, PROPOSER, GAP, ANSWERS = "solver", "proposer", "gap", "answers"
"""Nats a token of either role, proposer minus solver, and nats an answer of the solver."""
_RUN = ["model", "method", "seed", "step"]


def prompt_scores(entropy: pd.DataFrame) -> pd.DataFrame:
    """One value a prompt, whose mean over prompts is the entropy per token.

    Args:
        entropy: fixed prompts: model, method, seed, step, role, group, prompt, tokens, entropy, answer_entropy.

    Returns:
        model, method, seed, step, quantity (``solver``, ``proposer``, ``gap``, ``answers``), problem, value. Entropy
        per token is a ratio r of sums; a prompt's value is r + (entropy - r tokens) / (mean tokens), so that the spread
        over prompts is that of the ratio (delta method).
    """
    of_role = entropy.groupby([*_RUN, "role"])
    rate = of_role["entropy"].transform("sum") / of_role["tokens"].transform("sum")
    value = rate + (entropy["entropy"] - rate * entropy["tokens"]) / of_role["tokens"].transform("mean")
    problem = entropy["group"] + "/" + entropy["prompt"].astype(str)
    scores = entropy[_RUN].assign(group=entropy["role"], problem=problem, value=value)
    answers = scores.assign(value=entropy["answer_entropy"], group=ANSWERS)[entropy["role"] == SOLVER]
    parts = [scores, answers]
    if entropy["role"].nunique() > 1:
        parts.append(combined(scores, {PROPOSER: 1.0, SOLVER: -1.0}).assign(group=GAP))
    return pd.concat(parts, ignore_index=True).dropna(subset="value").rename(columns={"group": "quantity"})


def levels(entropy: pd.DataFrame) -> pd.DataFrame:
    """Entropy of every method at each step: the columns of ``azr.tables.compare.means``, by quantity."""
    return means(prompt_scores(entropy), by=["quantity"])


def changes(entropy: pd.DataFrame) -> pd.DataFrame:
    """Every method minus the base on the same prompts, at each measured step; no change at step 0.

    Returns:
        model, method, step, quantity, reference, estimate, low, high, se, df, seeds, problems (prompts), start (the
        base's value) and the change as a share of it: relative, relative_low, relative_high, relative_se, relative_df.
        Rows of method "base" are what an untrained model gets.
    """
    rows = []
    for at, own, control in pairs(prompt_scores(entropy), by=["quantity"]):
        share = ratio_interval(own - control, control)
        relative = {f"relative_{name}": getattr(share, name) for name in ("low", "high", "se", "df")}
        about = {"reference": BASE, "start": control.to_numpy().mean(), "relative": share.estimate}
        rows.append(at | about | interval_of(own - control) | relative)
    return from_start(pd.DataFrame(rows), ["quantity"]) if rows else pd.DataFrame()


def contrasts(entropy: pd.DataFrame, reference: str = "selfplay") -> pd.DataFrame:
    """Every arm minus ``reference`` at the same step, by quantity: ``azr.tables.compare.differences``."""
    return differences(prompt_scores(entropy), reference, by=["quantity"])
