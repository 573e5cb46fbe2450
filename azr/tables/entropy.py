"""RQ3: entropy on fixed prompts, by role, against training steps.

    over_steps(frames["entropy"])                                            # what fig06_entropy draws; C7 to C9, E3
    differences(prompt_scores(frames["entropy"]), "selfplay", ["quantity"])  # C10, C14
    shrinking(frames["entropy"])                                             # by whose gradient proposals get shorter

On fixed prompts a change of entropy is the policy's; on the moving batch of training it mixes the policy with the
tasks. Per token: the sum of entropies over the sum of tokens of the responses to all prompts of a role. Left out: the
entropies that training logs (``azr.tables.training``).
"""

import pandas as pd

from azr.arms import ARMS
from azr.metrics import ratio_interval
from azr.tables.compare import BASE, at_end, changes, combined, pairs

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


def over_steps(entropy: pd.DataFrame) -> pd.DataFrame:
    """Every method minus the base on the same prompts: the columns of ``azr.tables.compare.changes``, by quantity."""
    return changes(prompt_scores(entropy), by=["quantity"])


def shrinking(entropy: pd.DataFrame) -> pd.DataFrame:
    """How much shorter each method's proposals are after training, on the prompts on which entropy is measured.

    Returns:
        model, method, step, reference, quantity (``tokens``: minus the base's or self-play's, as a share of the base's;
        ``share``: of self-play's change), estimate, low, high, se, df. With a frozen proposer the share is what the
        solver's gradient does through the weights that both roles have; the rest is the proposer's own.
    """
    proposes = ~entropy["method"].isin([name for name, arm in ARMS.items() if arm.method != "selfplay"])
    last = at_end(entropy[proposes & (entropy["role"] == PROPOSER)])
    scores = last[_RUN].assign(problem=last["group"] + "/" + last["prompt"].astype(str), value=last["tokens"])
    found = [(at, own - control, control) for at, own, control in pairs(scores)]
    whole = {at["model"]: change for at, change, _ in found if at["method"] == "selfplay"}
    rows = []
    for at, change, control in found:
        rows.append(at | {"reference": BASE, "quantity": "tokens"} | vars(ratio_interval(change, control)))
        if at["model"] in whole and at["method"] not in (BASE, "selfplay"):
            own, of = change.align(whole[at["model"]], join="inner")
            numbers = {"share": ratio_interval(own, of), "tokens": ratio_interval(own - of, control.loc[own.index])}
            rows += [at | {"reference": "selfplay", "quantity": name} | vars(one) for name, one in numbers.items()]
    return pd.DataFrame(rows)
