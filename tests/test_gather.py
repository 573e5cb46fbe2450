"""What the claims need is read where it is there."""

import json
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
from figures.claims_tables import tables
from figures.synthetic import TASKS

from azr import gather
from azr.arms import arm_profile
from azr.claims import NOT_MEASURED, claims_table
from azr.config import load_profile, override
from azr.gather import read_tables
from azr.study import Study

PROFILE = override(load_profile("smoke"), {"larger": ""})
GROUP = {"reward": 0.5, "length": 9.0, "tokens": 9, "entropy_nll": 0.3, "entropy_full": 0.3}


def log_lines(steps: int = 4) -> str:
    """A log whose proposer lies above its solver and whose entropies fall."""
    lines = []
    for step in range(1, steps + 1):
        levels = {"proposer": 0.9 - 0.1 * step, "solver": 0.5 - 0.1 * step}
        groups = {
            f"{task}/{role}": GROUP | {"entropy_full": level, "entropy_nll": level}
            for task in TASKS
            for role, level in levels.items()
        }
        lines.append(json.dumps({"step": step, "tasks": {}, "groups": groups}))
    return "\n".join(lines) + "\n"


def make(study: Study, arm: str, measures: tuple[str, ...] = ()) -> None:
    """Finished runs of an arm, with the measures that the made-up tables have of it, and the base with the same."""
    full = tables(seeds=study.profile.seeds)
    base = study.folders(arm)[0].parent / "base"
    base.mkdir(parents=True, exist_ok=True)
    for measure in measures:
        table = getattr(full, measure).query("method == 'base'")
        table.drop(columns=["method", "seed"]).to_csv(base / f"{measure}.csv", index=False)
    for seed, folder in enumerate(study.folders(arm)):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(json.dumps({"profile": asdict(arm_profile(arm, study.profile)[1])}))
        (folder / "done.json").write_text("{}")
        (folder / "log.jsonl").write_text(log_lines())
        for measure in measures:
            table = getattr(full, measure)
            table = table[(table["method"] == arm) & (table["seed"] == seed)]
            table.drop(columns=["method", "seed"]).to_csv(folder / f"{measure}.csv", index=False)


@pytest.fixture
def study(tmp_path) -> Study:
    return Study(PROFILE, tmp_path / "runs", tmp_path / "figures")


def test_the_tables_that_are_there_are_read_and_the_others_left_out(study):
    make(study, "selfplay", ("test", "validation"))
    make(study, "half", ("validation",))
    found = read_tables(study)
    assert set(found.test["method"]) == {"base", "selfplay"}
    assert set(found.validation["method"]) == {"selfplay", "half"}
    assert set(found.steps["method"]) == {"selfplay", "half"}
    assert found.exact is found.trends is found.order is None
    frame = claims_table(found, study.model).set_index(["id", "part"])
    measured = frame["verdict"] != NOT_MEASURED
    assert measured.groupby("id").all()[["C1", "C3", "C7", "C8", "C9", "C13", "C14", "E1", "E3"]].all()
    assert not measured.groupby("id").any()[["C4", "C5", "C6", "C10", "C11", "C12", "E2"]].any()
    assert frame.loc[("C7", ""), "estimate"] == pytest.approx(-0.3)


def test_sparsity_is_compared_once_all_three_are_trained(study, monkeypatch):
    calls = []

    def matrix(study, arms):
        calls.append(tuple(arms))
        rows = [
            {"training": "full", "method": method, "seed": 0, "sparsity": sparsity}
            for method, sparsity in (("sft", 0.2), ("selfplay", 0.5), ("rlvr", 0.9))
        ]
        return pd.DataFrame(rows).assign(dtype="bfloat16", tolerance="1e-05", granularity="element")

    monkeypatch.setattr(gather, "update_matrix", matrix)
    make(study, "sft-full")
    make(study, "rlvr-full")
    assert read_tables(study).order is None
    make(study, "selfplay-full")
    assert np.all(read_tables(study).order["between"])
    assert calls == [("sft-full", "rlvr-full", "selfplay-full")]
