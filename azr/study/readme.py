"""The README's results, written from the reference figures' tables so that no number is typed by hand.

    python -m azr.readme

Replaces what stands between the two ``results`` comments of README.md; a test checks that it is up to date. A table
that is not there is left out: those of the larger model, and that of the claims.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from azr.claims import NOT_MEASURED, UNDECIDED
from azr.figures.style import METHOD_LABELS
from azr.paths import ROOT

START, END = "<!-- results: written by python -m azr.readme -->", "<!-- end of results -->"
_LEVEL = 0.05


def results(folder: Path = ROOT / "figures") -> str:
    """The block as Markdown, from the tables in ``folder``: pass@k, arms on validation problems, claims."""
    sizes = [suffix for suffix in ("", "_larger") if (folder / f"table04_gains{suffix}.csv").exists()]
    blocks = [gains_block(folder, suffix) for suffix in sizes]
    if sizes and all((folder / f"table03_validation{suffix}.csv").exists() for suffix in sizes):
        blocks.append(validation_block(folder, sizes))
    claims = folder / "table09_claims.csv"
    if claims.exists():
        blocks.append(claims_block(pd.read_csv(claims)))
    return "\n\n".join(blocks)


def gains_block(folder: Path, suffix: str) -> str:
    """Self-play's pass@k against the base's, from ``table04_gains`` and ``setting`` with this suffix."""
    setting = _setting(folder, suffix)
    table = pd.read_csv(folder / f"table04_gains{suffix}.csv")
    problems = f"{setting['problems']} fresh test problems a task type, {setting['samples']} samples each"
    several = setting["seeds"] > 1
    seeds = f"{setting['seeds']} training seeds" if several else "a single run"
    lines = [
        f"Self-play against its base: `{setting['model']}` model, {setting['profile']} profile,",
        f"{setting['steps']} steps, {seeds}, {problems} at temperature 1.",
        f"Differences are paired by problem; intervals are 95 %, over {'seeds and ' if several else ''}problems.",
        "",
        "| problems | k | pass@k, base | pass@k, self-play | difference | |",
        "|---|---|---|---|---|---|",
    ]
    for row in table[table["method"] == "selfplay"].itertuples():
        sign = "above the base" if row.low > 0 else "below the base" if row.high < 0 else "undecided"
        interval = _interval(row.difference, row.low, row.high)
        lines.append(f"| {row.task_type} | {row.k} | {row.reference:.3f} | {row.value:.3f} | {interval} | {sign} |")
    return "\n".join(lines)


def validation_block(folder: Path, sizes: list[str]) -> str:
    """Whether each arm solves more validation problems than its base, from ``table03_validation``, all task types."""
    rows = {}
    for suffix in sizes:
        table = pd.read_csv(folder / f"table03_validation{suffix}.csv")
        rows[_setting(folder, suffix)["model"]] = table[table["task_type"] == "all"].set_index("method")
    bases = ", ".join(f"{table['reference'].iloc[0]:.3f} of {model}" for model, table in rows.items())
    lines = [
        "After training, on validation problems of the three task types together, against the base's accuracy",
        f"({bases}): *improved* if the whole interval is above 0.",
        "",
        f"| arm | {' | '.join(rows)} |",
        "|---|" + "---|" * len(rows),
    ]
    for method in next(iter(rows.values())).index:  # a profile may train fewer arms with the larger model
        cells = [_improvement(table.loc[method]) if method in table.index else "not trained" for table in rows.values()]
        lines.append(f"| {METHOD_LABELS[method]} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _setting(folder: Path, suffix: str) -> dict[str, Any]:
    """What the tables with this suffix were made with: ``Study.save_setting``."""
    return json.loads((folder / f"setting{suffix}.json").read_text())


def _improvement(row: Any) -> str:
    """What became of one arm on one model, with the difference."""
    verdict = "**improved**" if row.low > 0 else "worse" if row.high < 0 else "not told apart"
    return f"{verdict} {_interval(row.difference, row.low, row.high)}"


def claims_block(frame: pd.DataFrame) -> str:
    """Every claim with its verdict on each model, from the frame of ``azr.claims.claims_table``."""
    models = list(frame["model"].unique())
    names = (frame["id"] + " " + frame["part"].fillna("")).str.strip()
    cells = frame.assign(name=names, cell=[_cell(row) for row in frame.itertuples()])
    table = cells.pivot(index="name", columns="model", values="cell")
    lines = [
        "The claims: *supported* if the whole 95 % interval lies on the claim's side of the margin, *contradicted* if",
        "it lies on the other, else *undecided*; some rows have a rule of their own. C: confirmatory, E: exploratory;",
        "an asterisk marks a verdict that would not stand after Holm's adjustment over one model's confirmatory rows,",
        "those without a p-value aside. C4 and C11's curriculum are judged, as their rule says, over the steps of",
        "these runs, not over other runs.",
        "",
        f"| claim | the paper says | rule | {' | '.join(models)} |",
        "|---|---|---|" + "---|" * len(models),
    ]
    for row in cells.drop_duplicates("name").itertuples():
        verdicts = " | ".join(table.loc[row.name, models])
        lines.append(f"| {row.name} | {row.paper} | {row.rule} | {verdicts} |")
    return "\n".join(lines)


def _cell(row: Any) -> str:
    """Verdict and number of a row of the claims."""
    decided = row.verdict not in (UNDECIDED, NOT_MEASURED)
    verdict = f"**{row.verdict}**" if decided else row.verdict
    mark = "\\*" if decided and row.p_holm > _LEVEL else ""
    if pd.isna(row.estimate):
        return verdict
    number = f"{row.estimate:+.3f}" if pd.isna(row.low) else _interval(row.estimate, row.low, row.high)
    return f"{verdict}{mark} {number}"


def _interval(estimate: float, low: float, high: float) -> str:
    return f"{estimate:+.3f} [{low:+.3f}, {high:+.3f}]"


def updated(readme: str) -> str:
    """README text with the block renewed."""
    before, _, rest = readme.partition(START)
    _, _, after = rest.partition(END)
    return f"{before}{START}\n{results()}\n{END}{after}"


if __name__ == "__main__":
    file = ROOT / "README.md"
    file.write_text(updated(file.read_text()))
