"""The README's results, written from the reference study so that no number is typed by hand.

    azr run --profile reference

Replaces what stands between the two ``results`` comments of README.md: what was found, and the claims with their
verdicts; and docs/results.md, which has all of their numbers.
"""

from pathlib import Path

import pandas as pd
from jinja2 import Template

from azr.runs import ROOT, write_whole
from azr.study import Study, said

START, END = "<!-- results: written by azr run --profile reference -->", "<!-- end of results -->"


def markdown(frame: pd.DataFrame) -> str:
    lines = [list(frame.columns), ["---"] * frame.shape[1], *frame.astype(str).to_numpy().tolist()]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def claims_block(claims: pd.DataFrame) -> str:
    """One row a confirmatory claim, one column a model: the verdict, the number, and the base's in its place."""
    claims = claims[claims["confirmatory"]]
    base = claims["base"].map(lambda number: f" (base {number:+.3f})" if number == number else "")
    level = claims["rule"].map(lambda rule: " at 90 %" if "90%" in rule else "")
    cells = claims.assign(number=[said(row) for _, row in claims.iterrows()] + level + base)
    words = {"verdict": "first", "number": lambda numbers: "; ".join(filter(None, numbers))}
    joined = cells.groupby(["model", "id"], sort=False).agg(words)
    table = claims.drop_duplicates("id")[["id", "paper"]].rename(columns={"id": "claim", "paper": "the paper says"})
    for model in claims["model"].unique():
        own = joined.loc[model]
        table[model] = [f"**{own.loc[name, 'verdict']}** {own.loc[name, 'number']}".strip() for name in table["claim"]]
    return markdown(table)


def results_tables(claims: pd.DataFrame) -> list[tuple[str, str]]:
    """Each model with a table of every contrast of every claim and all that its verdict rests on."""
    of_base = claims[["base", "base_low", "base_high"]].set_axis(["estimate", "low", "high"], axis=1)
    numbers = {"number": claims, "base": of_base}
    shown = claims.assign(**{name: [said(row) for _, row in rows.iterrows()] for name, rows in numbers.items()})
    small = {name: claims[name].map(lambda p: "< 0.001" if p < 0.001 else f"{p:.2g}") for name in ("p", "p_holm")}
    shown = shown.assign(problems=claims["problems"].replace(0, ""), **small).replace("nan", "")
    columns = ["id", "statistic", "unit", "rule", *numbers, "seeds", "problems", "p", "p_holm", "verdict", "note"]
    return [(model, markdown(rows[columns])) for model, rows in shown.groupby("model", sort=False)]


def write_readme(study: Study, root: Path = ROOT) -> None:
    """Renew README.md and docs/results.md from the reference study."""
    write_whole(root / "docs" / "results.md", _filled("results.md.j2", tables=results_tables(study.claims)))
    readme = root / "README.md"
    before, _, rest = readme.read_text(encoding="utf-8").partition(START)
    results = _filled("readme.md.j2", found=study.found, claims=claims_block(study.claims))
    write_whole(readme, f"{before}{START}\n{results}{END}{rest.partition(END)[2]}")


def _filled(template: str, **values: object) -> str:
    return Template(Path(__file__).with_name(template).read_text(encoding="utf-8")).render(values).rstrip() + "\n"
