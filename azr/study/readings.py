"""What a figure says, in sentences computed from the numbers that it was drawn from.

    readings("fig01_sft", frames)                # one a model and difference, with its interval
    findings(claims_table(frames))               # what self-play gained, and what became of the claims

Left out: words for what is not a number with an interval.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from azr.study import said
from azr.study.claims import (
    CONTRADICTED,
    NOT_INFORMATIVE,
    NOT_TESTED,
    SUPPORTED,
    UNDECIDED,
    Contrast,
    NotMeasuredError,
    Tables,
    find,
)
from azr.tables.curriculum import NULL

LEVEL = 0.05

READINGS: Mapping[str, tuple[Contrast, ...]] = {
    "fig01_sft": (
        Contrast("test", "pass@1", method="sft"),
        Contrast("test", "pass@1", method="sft", group="arithmetic"),
    ),
    "fig02_rlvr": (
        Contrast("test", "pass@1", method="rlvr"),
        Contrast("test", "pass@1", method="rlvr-trr"),
        Contrast("test", "pass@1", method="rlvr-trr", control="rlvr"),
    ),
    "fig03_selfplay": (Contrast("validation", "pass@1"),),
    "fig04_passk": (Contrast("test", "pass@1"), Contrast("test", "pass@K")),
    "fig04_leash": (Contrast("leash", "slope", control="", margin=1),),
    "fig05_curriculum": (
        Contrast("ρ", "step, solve rate", control=NULL),
        Contrast("ρ", "step, length", control=NULL),
        Contrast("ρ", "solve rate, length | statements", control=""),
    ),
    "fig06_entropy": (
        Contrast("entropy", "solver"),
        Contrast("entropy", "proposer"),
        Contrast("entropy", "gap"),
        Contrast("entropy", "solver", method="frozen", control="selfplay"),
        Contrast("entropy", "proposer", method="frozen", control="selfplay"),
    ),
    "fig07_sparsity": (
        Contrast("sparsity", "sparsity", control="sft"),
        Contrast("sparsity", "sparsity", control="rlvr"),
        Contrast("residual", "sparsity beyond the null", method="selfplay-full", control=""),
    ),
    "fig08_rewards": (Contrast("proposals", "learnable", method="half", control="selfplay"),),
    "fig08_arms": tuple(
        Contrast("validation", "pass@1", method=arm, control="selfplay") for arm in ("half", "frozen", NULL)
    ),
}
"""What is read of each figure: numbers of the tables behind the claims, and whether they lie above their margin."""


def readings(name: str, frames: Mapping[str, pd.DataFrame]) -> list[str]:
    """A sentence for each model and each number of the figure that was measured."""
    sentences = []
    for model in frames["test"]["model"].unique():
        tables = Tables({key: frame[frame["model"] == model] for key, frame in frames.items()})
        for contrast in READINGS.get(name, ()):
            try:
                found, seeds, problems = find(contrast, tables)
            except NotMeasuredError:
                continue
            margin = contrast.margin
            place = "above" if found.low > margin else "below" if found.high < margin else "not told from"
            over = f", problems: {problems}" if problems else ""
            where = f"{place} {margin:g} (training seeds: {seeds}{over})"
            sentences.append(f"{model}, {contrast.statistic}: {said(found)}, {where}.")
    return sentences


def findings(claims: pd.DataFrame) -> str:
    """In a few lines of Markdown for each model: what self-play gained, and what became of the claims."""
    lines = []
    for model, rows in claims.groupby("model", sort=False):
        own = rows.drop_duplicates("id").set_index("id")
        small, large = own.loc["C1"], own.loc["C2"]
        lines.append(
            f"- **{model}** ({small['seeds']} training seeds, {small['problems']} test problems): self-play gained "
            f"{said(small)} in pass@1 over its base, and {said(large)} in pass@K, K half the samples."
        )
        confirmatory = own[own["confirmatory"]]
        counts = confirmatory["verdict"].value_counts()
        order = (SUPPORTED, CONTRADICTED, UNDECIDED, NOT_INFORMATIVE, NOT_TESTED)
        verdicts = ", ".join(f"{counts[verdict]} {verdict}" for verdict in order if verdict in counts)
        standing = int(((confirmatory["verdict"] == SUPPORTED) & (confirmatory["p_holm"] <= LEVEL)).sum())
        holm = f"; {standing} of the supported stand after Holm's adjustment" if own["p_holm"].notna().any() else ""
        lines.append(f"  Of {len(confirmatory)} claims: {verdicts or 'no verdicts'}{holm}.")
    return "\n".join(lines)
