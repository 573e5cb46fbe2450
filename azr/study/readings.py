"""What a figure says, in sentences computed from the numbers that it was drawn from.

    readings("fig01_sft", frames)                # one a model and difference, with its interval
    findings(frames, claims_table(frames))       # what moved, and what became of the claims

Left out: words for what is not a number with an interval.
"""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import yaml
from pydantic import TypeAdapter

from azr.arms import BASE, label_of
from azr.study import said
from azr.study.claims import SUPPORTED, VERDICTS, Contrast, NotMeasuredError, Tables, find, tables_of

_TOLD = yaml.safe_load(Path(__file__).with_name("readings.yaml").read_text(encoding="utf-8"))
_BY_NAME = TypeAdapter(dict[str, tuple[Contrast, ...]])
READINGS, FOUND = (_BY_NAME.validate_python(_TOLD[part]) for part in ("figures", "found"))
"""What is read of each figure, and what was found, by the beginning of its sentence: numbers behind the claims."""


def readings(name: str, frames: Mapping[str, pd.DataFrame]) -> list[str]:
    """A sentence for each model and each number of the figure that was measured."""
    sentences = []
    for model in frames["test"]["model"].unique():
        tables, _ = tables_of(frames, model)
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


def findings(frames: Mapping[str, pd.DataFrame], claims: pd.DataFrame) -> str:
    """Markdown for each model: what moved and by how much, beside what the base gets, and what became of the claims.

    ``claims`` is the claims table of ``frames``.
    """
    lines = []
    for model, rows in claims.groupby("model", sort=False):
        tables, placebo = tables_of(frames, model)
        seeds = rows.loc[rows["seeds"] > 0, "seeds"].astype(int)
        over = " to ".join(map(str, sorted({seeds.min(), seeds.max()}))) if len(seeds) else "no"
        lines += [f"**{model}** ({over} training seeds; 95 % intervals over seeds and problems):", ""]
        for begins, contrasts in FOUND.items():
            if numbers := [text for contrast in contrasts for text in _told(contrast, tables)]:
                if contrasts[0].control == BASE:
                    numbers.append(f"{said(find(contrasts[0], placebo)[0])} (the base, sampled again)")
                lines.append(f"- {begins} {', '.join(numbers)}.")
        confirmatory = rows[rows["confirmatory"]].drop_duplicates("id")
        counts = confirmatory["verdict"].value_counts()
        verdicts = ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if verdict in counts)
        standing = int(((confirmatory["verdict"] == SUPPORTED) & (confirmatory["p_holm"] <= 0.05)).sum())
        holm = f"; {standing} of the supported stand after Holm's adjustment" if rows["p_holm"].notna().any() else ""
        lines += [f"- Of {len(confirmatory)} claims: {verdicts or 'no verdicts'}{holm}.", ""]
    return "\n".join(lines).strip()


def _told(contrast: Contrast, tables: Tables) -> list[str]:
    """The number and whose it is; nothing where it was not measured."""
    try:
        found = find(contrast, tables)[0]
    except NotMeasuredError:
        return []
    doubt = "; not told from 0" if found.low <= 0 <= found.high else ""
    return [f"{said(found)} ({label_of(contrast.method)}{doubt})"]
