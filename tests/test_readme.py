"""The README's numbers are those of the committed tables."""

import json
import shutil

import pandas as pd
from figures.claims_tables import EMPTY, tables

from azr.claims import claims_table
from azr.paths import ROOT
from azr.readme import END, START, results, updated


def test_the_results_in_the_readme_are_those_of_the_reference_figures():
    readme = (ROOT / "README.md").read_text()
    assert START in readme
    assert END in readme
    assert updated(readme) == readme, "run python -m azr.readme"


def test_every_file_that_the_readme_links_to_exists():
    import re

    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", (ROOT / "README.md").read_text()):
        assert (ROOT / target).exists(), target


def test_both_models_and_the_claims_are_shown_where_there_are_tables(tmp_path):
    figures = ROOT / "figures"
    setting = json.loads((figures / "setting.json").read_text())
    for suffix, changes in (("", {}), ("_larger", {"model": "micro", "seeds": 1})):
        shutil.copy(figures / "table04_gains.csv", tmp_path / f"table04_gains{suffix}.csv")
        (tmp_path / f"setting{suffix}.json").write_text(json.dumps(setting | changes))
    text = results(tmp_path)
    assert text.count("| problems | k |") == 2
    assert "`micro` model" in text
    assert "a single run" in text
    assert "The claims:" not in text
    frame = pd.concat([claims_table(tables(), "nano"), claims_table(EMPTY, "micro")])
    frame.loc[frame["id"] == "C5", "p_holm"] = 0.2
    frame.to_csv(tmp_path / "table09_claims.csv", index=False)
    lines = results(tmp_path).splitlines()
    assert "| claim | the paper says | rule | nano | micro |" in lines
    (longer,) = [line for line in lines if line.startswith("| C5 |")]
    assert "| **supported**\\* +0.200 [+0.150, +0.250] | not measured |" in longer
    assert sum(line.startswith(("| C", "| E")) for line in lines) == len(frame) / 2


def test_a_table_that_is_not_there_is_left_out(tmp_path):
    assert results(tmp_path) == ""


def test_every_arm_is_told_with_what_became_of_it_on_validation(tmp_path):
    shutil.copy(ROOT / "figures" / "table04_gains.csv", tmp_path)
    shutil.copy(ROOT / "figures" / "setting.json", tmp_path)
    ends = {"sft": (0.01, 0.03), "rlvr": (-0.01, 0.03), "selfplay": (-0.03, -0.01)}
    rows = [
        {"task_type": "all", "method": m, "reference": 0.25, "difference": (a + b) / 2, "low": a, "high": b}
        for m, (a, b) in ends.items()
    ]
    pd.DataFrame([{**rows[0], "task_type": "deduction", "reference": 0.9}, *rows]).to_csv(
        tmp_path / "table03_validation.csv", index=False
    )
    lines = results(tmp_path).splitlines()
    assert "(0.250 of nano): *improved* if the whole interval is above 0." in lines
    assert "| SFT | **improved** +0.020 [+0.010, +0.030] |" in lines
    assert "| RLVR | not told apart +0.010 [-0.010, +0.030] |" in lines
    assert "| self-play | worse -0.020 [-0.030, -0.010] |" in lines


def test_an_arm_that_the_larger_model_lacks_is_said_not_to_be_trained(tmp_path):
    for suffix, arms in (("", ["selfplay", "frozen-strict"]), ("_larger", ["selfplay"])):
        for name in ("table04_gains.csv", "setting.json"):
            stem, _, kind = name.partition(".")
            shutil.copy(ROOT / "figures" / f"{stem}{suffix}.{kind}", tmp_path)
        one = {"task_type": "all", "reference": 0.25, "difference": 0.02, "low": 0.01, "high": 0.03}
        pd.DataFrame([one | {"method": arm} for arm in arms]).to_csv(
            tmp_path / f"table03_validation{suffix}.csv", index=False
        )
    lines = results(tmp_path).splitlines()
    improved = "**improved** +0.020 [+0.010, +0.030]"
    assert f"| self-play | {improved} | {improved} |" in lines
    assert f"| self-play, base as proposer | {improved} | not trained |" in lines
