"""The README's results, written from the reference study so that no number is typed by hand.

    python -m azr.study.readme

Replaces what stands between the two ``results`` comments of README.md: what was found, and the claims with their
verdicts. While no reference study ships, one sentence says so. Left out: every number (``figures/*.csv``).
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from azr.runs import ROOT
from azr.study import DATA
from azr.study.claims import CONTRADICTED, NOT_INFORMATIVE, NOT_TESTED, SUPPORTED, UNDECIDED, claims_table
from azr.study.collect import load_frames

START, END = "<!-- results: written by python -m azr.study.readme -->", "<!-- end of results -->"
NONE_YET = "The reference study has not run yet; `./run_all.sh` makes a small one of your own."
LEVEL = 0.05


def markdown(frame: pd.DataFrame) -> str:
    """A frame of texts as a Markdown table."""
    lines = [list(frame.columns), ["---"] * frame.shape[1], *frame.astype(str).to_numpy().tolist()]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def interval(row: pd.Series) -> str:
    """An estimate with its interval."""
    return f"{row['estimate']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]"


def findings(claims: pd.DataFrame) -> str:
    """In a few lines for each model: what self-play gained, and what became of the claims."""
    lines = []
    for model, rows in claims.groupby("model", sort=False):
        own = rows.drop_duplicates("id").set_index("id")
        small, large = own.loc["C1"], own.loc["C2"]
        lines.append(
            f"- **{model}** ({small['seeds']} training seeds, {small['problems']} test problems): self-play gained "
            f"{interval(small)} in pass@1 over its base, and {interval(large)} in pass@K, K half the samples."
        )
        confirmatory = own[own["confirmatory"]]
        counts = confirmatory["verdict"].value_counts()
        order = (SUPPORTED, CONTRADICTED, UNDECIDED, NOT_INFORMATIVE, NOT_TESTED)
        said = ", ".join(f"{counts[verdict]} {verdict}" for verdict in order if verdict in counts)
        standing = int(((confirmatory["verdict"] == SUPPORTED) & (confirmatory["p_holm"] <= LEVEL)).sum())
        holm = f"; {standing} of the supported stand after Holm's adjustment" if own["p_holm"].notna().any() else ""
        lines.append(f"  Of {len(confirmatory)} claims: {said}{holm}.")
    return "\n".join(lines)


def claims_block(claims: pd.DataFrame) -> str:
    """One row a confirmatory claim, one column a model."""
    claims = claims[claims["confirmatory"]]
    cells = claims.assign(number=[interval(row) if row["seeds"] else "" for _, row in claims.iterrows()])
    joined = cells.groupby(["model", "id"], sort=False).agg(verdict=("verdict", "first"), number=("number", "; ".join))
    table = claims.drop_duplicates("id")[["id", "paper"]].rename(columns={"id": "claim", "paper": "the paper says"})
    for model in claims["model"].unique():
        own = joined.loc[model]
        table[model] = [f"**{own.loc[name, 'verdict']}** {own.loc[name, 'number']}".strip() for name in table["claim"]]
    return markdown(table)


def write_readme(root: Path = ROOT, data: Path = DATA) -> None:
    """Renew README.md from the reference study in ``data``."""
    text = NONE_YET
    if (data / "record.json").exists():
        claims = claims_table(load_frames(data))
        every = "Every number: [figures/table09_claims.csv](figures/table09_claims.csv)."
        text = f"{findings(claims)}\n\n{claims_block(claims)}\n\n{every}"
    readme = root / "README.md"
    before, _, rest = readme.read_text(encoding="utf-8").partition(START)
    readme.write_text(f"{before}{START}\n{text}\n{END}{rest.partition(END)[2]}", encoding="utf-8")


if __name__ == "__main__":
    write_readme()
