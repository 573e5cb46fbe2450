"""RQ3: entropy on fixed prompts, by role, against training steps.

    frame = changes(frames["entropy"])            # what fig06_entropy draws; C7 to C10, C14, E3

On fixed prompts a change of entropy is the policy's; on the moving batch of training it mixes the policy with the
tasks. Per token: the sum of entropies over the sum of tokens of the responses to all prompts of a role. Left out: the
entropies that training logs (``azr.tables.training``).
"""

from __future__ import annotations

import pandas as pd

from azr.metrics import ratio_interval
from azr.tables.compare import BASE, combined, differences, from_start, means

SOLVER, PROPOSER, GAP, ANSWERS = "solver", "proposer", "gap", "answers"
"""Nats a token of either role, proposer minus solver, and nats an answer of the solver."""
_RUN = ["model", "method", "seed", "step"]


def prompt_scores(entropy: pd.DataFrame, column: str = "entropy") -> pd.DataFrame:
    """One value a prompt, whose mean over prompts is the entropy per token.

    Args:
        entropy: fixed prompts: model, method, seed, step, role, group, prompt, tokens, entropy, nll, answer_entropy.
        column: ``entropy`` (full vocabulary) or ``nll`` (of the sampled tokens).

    Returns:
        model, method, seed, step, quantity (``solver``, ``proposer``, ``gap``, ``answers``), problem, value. Entropy
        per token is a ratio r of sums; a prompt's value is r + (entropy - r tokens) / (mean tokens), so that the spread
        over prompts is that of the ratio (delta method).
    """
    of_role = entropy.groupby([*_RUN, "role"])
    tokens = of_role["tokens"].transform("mean")
    rate = of_role[column].transform("sum") / of_role["tokens"].transform("sum")
    value = rate + (entropy[column] - rate * entropy["tokens"]) / tokens
    problem = entropy["role"] + "/" + entropy["group"] + "/" + entropy["prompt"].astype(str)
    scores = entropy[[*_RUN, "role"]].assign(problem=problem, value=value)
    gap = combined(scores.rename(columns={"role": "group"}), _RUN, {PROPOSER: 1, SOLVER: -1})
    solver = scores["role"] == SOLVER
    answers = scores[solver].assign(value=entropy.loc[solver, "answer_entropy"], role=ANSWERS)
    parts = [scores.rename(columns={"role": "quantity"}), answers.rename(columns={"role": "quantity"})]
    if entropy["role"].nunique() > 1:
        parts.append(gap.rename(columns={"group": "quantity"}).assign(quantity=GAP))
    return pd.concat(parts, ignore_index=True).dropna(subset="value", ignore_index=True)


def levels(entropy: pd.DataFrame, column: str = "entropy") -> pd.DataFrame:
    """Entropy of every method at each step: the columns of ``azr.tables.compare.means``, by quantity."""
    return means(prompt_scores(entropy, column), by=["quantity"])


def changes(entropy: pd.DataFrame, column: str = "entropy") -> pd.DataFrame:
    """Every method minus the base on the same prompts, at each measured step.

    Returns:
        model, method, reference, step, quantity, estimate, low, high, se, df, seeds, problems (prompts), start (the
        base's value) and the change as a share of it: relative, relative_low, relative_high. At step 0 there is no
        change. Rows of method "base" are what an untrained model gets.
    """
    scores = prompt_scores(entropy, column)
    frame = differences(scores, by=["quantity"])
    rows = []
    for model, own in scores.groupby("model", sort=False):
        control = own[(own["method"] == BASE) & (own["seed"] == 0)]
        trained = own[(own["method"] != BASE) | (own["seed"] != 0)]
        for (method, step, quantity), after in trained.groupby(["method", "step", "quantity"], sort=False):
            start = control[control["quantity"] == quantity].set_index("problem")["value"]
            after = after.pivot(index="seed", columns="problem", values="value")[start.index]
            found = ratio_interval((after - start).to_numpy(), start.to_numpy())
            about = {"model": model, "method": method, "step": step, "quantity": quantity, "start": start.mean()}
            ends = {"relative": found.estimate, "relative_low": found.low, "relative_high": found.high}
            rows.append(about | ends)
    frame = frame.merge(pd.DataFrame(rows), on=["model", "method", "step", "quantity"])
    shares = [name for name in frame if name.startswith("relative")]
    frame = from_start(frame, ["quantity"])
    return frame.assign(**frame[shares].where(frame["step"].ne(0) | frame["method"].eq(BASE), 0))


def contrasts(entropy: pd.DataFrame, reference: str = "selfplay", column: str = "entropy") -> pd.DataFrame:
    """Every arm minus ``reference`` at the same step: columns as ``azr.tables.compare.differences``, by quantity."""
    return differences(prompt_scores(entropy, column), reference, by=["quantity"])
