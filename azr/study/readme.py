"""The README's results, written from the reference study so that no number is typed by hand.

    python -m azr.study.readme

Replaces what stands between the two ``results`` comments of README.md: what was found, and the claims with their
verdicts. While no reference study ships, one sentence says so. Left out: every number (``figures/*.csv``).
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from azr.arms import ARMS
from azr.config import load_profile
from azr.runs import ROOT
from azr.study import DATA, REFERENCE, said
from azr.study.claims import LEAST_SEEDS, claims_table
from azr.study.collect import load_frames
from azr.study.readings import findings

START, END = "<!-- results: written by python -m azr.study.readme -->", "<!-- end of results -->"
NONE_YET = "The reference study has not run yet; `./run_all.sh` makes a small one of your own."


def markdown(frame: pd.DataFrame) -> str:
    """A frame of texts as a Markdown table."""
    lines = [list(frame.columns), ["---"] * frame.shape[1], *frame.astype(str).to_numpy().tolist()]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def claims_block(claims: pd.DataFrame) -> str:
    """One row a confirmatory claim, one column a model."""
    claims = claims[claims["confirmatory"]]
    cells = claims.assign(number=[said(row) for _, row in claims.iterrows()])
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
        frames, models = load_frames(data), load_profile(REFERENCE).models
        there, planned = len(frames["runs"]), sum(one.seeds * len(one.arms or ARMS) for one in models)
        ahead = f"The reference study is under way: {there} of {planned} runs are finished."
        every = "Every number: [figures/table09_claims.csv](figures/table09_claims.csv)."
        parts = [] if there == planned else [ahead]
        if frames["runs"]["seed"].nunique() >= LEAST_SEEDS:
            claims = claims_table(frames)
            parts += [findings(claims), claims_block(claims), every]
        text = "\n\n".join(parts)
    readme = root / "README.md"
    before, _, rest = readme.read_text(encoding="utf-8").partition(START)
    readme.write_text(f"{before}{START}\n{text}\n{END}{rest.partition(END)[2]}", encoding="utf-8")


if __name__ == "__main__":
    write_readme()
