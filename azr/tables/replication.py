"""Did a study of one's own come out where the reference study's seeds did?

    inside(study.frames, study.reference)

Both are taken on the problems and prompts that both measured, minus the base on them, so that what is compared is what
training did. Left out: what only the end of a longer training shows.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.stats import t as student

from azr.tables import LEAST_SEEDS
from azr.tables.accuracy import scores_of
from azr.tables.compare import BASE, pairs
from azr.tables.entropy import PROPOSER, SOLVER, prompt_scores

_KEYS = ["model", "method", "step", "quantity", "group"]


def inside(own: Mapping[str, pd.DataFrame], reference: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Each change by training of one's own study beside the interval in which the reference expects it.

    Args:
        own: a study's frames ``test`` and ``entropy``.
        reference: those of the reference study.

    Returns:
        model, method, step, quantity (pass@1 or greedy accuracy, nats a token), group (of problems, or the role),
        change (mean over the own seeds), low, high, inside, seeds (the reference's other ones: with the same seed and
        settings a run is the same, and tells nothing), for what both measured. The interval is a prediction: of s
        reference seeds with mean m and standard deviation d, a mean of r further seeds, measured with as many samples,
        lies within m ± t d sqrt(1/s + 1/r) in 95 of 100 studies, t of s - 1 degrees of freedom.
    """
    mine, theirs = {}, {}
    problem, prompt = ["model", "set", "group", "problem"], ["model", "role", "group", "prompt"]
    for name, of, keys in (("test", scores_of, problem), ("entropy", _entropies, prompt)):
        mine |= _changes(of(own[name]))
        theirs |= _changes(of(reference[name].merge(own[name][keys].drop_duplicates())))
    rows = []
    for key in mine.keys() & theirs.keys():
        one = mine[key]
        many = theirs[key].drop(one.index, errors="ignore")
        if len(many) >= LEAST_SEEDS:
            spread = many.std(ddof=1) * np.sqrt(1 / len(many) + 1 / len(one))
            half = student.ppf(0.975, len(many) - 1) * spread
            low, high, change = many.mean() - half, many.mean() + half, one.mean()
            numbers = {"change": change, "low": low, "high": high, "inside": low <= change <= high}
            rows.append(dict(zip(_KEYS, key, strict=True)) | numbers | {"seeds": len(many)})
    columns = [*_KEYS, "change", "low", "high", "inside", "seeds"]
    return pd.DataFrame(rows, columns=columns).sort_values(_KEYS, ignore_index=True)


def _entropies(entropy: pd.DataFrame) -> pd.DataFrame:
    scores = prompt_scores(entropy).rename(columns={"quantity": "group"})
    return scores[scores["group"].isin((SOLVER, PROPOSER))].assign(quantity="entropy")


def _changes(scores: pd.DataFrame) -> dict[tuple, pd.Series]:
    """By model, method, step, quantity and group: what training changed, one value a seed."""
    found = pairs(scores, BASE, ["quantity", "group"])
    return {
        tuple(at[name] for name in _KEYS): (own - control).mean(axis=1)
        for at, own, control in found
        if at["method"] != BASE
    }
