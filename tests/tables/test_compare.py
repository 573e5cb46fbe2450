"""Means and paired differences: against one pivot at a time; what is paired with what."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import azr
from azr.errors import UserError
from azr.metrics import crossed_interval, pass_at_k, t_interval
from azr.tables.compare import ALL, at_end, combined, compare_counts, counts_of, differences, means, score, with_all


@pytest.fixture(scope="module")
def scores(study) -> pd.DataFrame:
    return with_all(score(study["test"], "pass@1"))


def pick(frame: pd.DataFrame, **values: object) -> pd.DataFrame:
    return frame[(frame[list(values)] == pd.Series(values)).all(axis=1)]


def test_scores_are_pass_at_k_and_problems_with_too_few_samples_are_left_out():
    frame = pd.DataFrame({"n": [8, 8, 2], "c": [1, 8, 1], "greedy": [0, 1, np.nan]})
    frame = frame.assign(model="nano", method="base", seed=0, step=0, group="deduction", problem=list("abc"))
    assert score(frame, "pass@4")["value"].tolist() == pass_at_k(8, [1, 8], 4).tolist()
    assert score(frame, "greedy")["problem"].tolist() == ["a", "b"]


def test_all_is_of_the_task_types_or_of_every_group_where_there_is_none(study):
    frame = study["test"].query("model == 'nano' and method == 'base' and seed == 0")
    arithmetic = frame[frame["group"] == "arithmetic"]
    alone = with_all(score(arithmetic, "pass@1")).query("group == 'all'")["value"].mean()
    assert alone == pytest.approx((arithmetic["c"] / arithmetic["n"]).mean())
    code = with_all(score(frame, "pass@1")).query("group == 'all'")
    assert len(code) == len(frame) - len(arithmetic)


def table(scores: pd.DataFrame) -> pd.DataFrame:
    return scores.pivot(index="seed", columns="problem", values="value")


@pytest.mark.parametrize("reference", ["base", "selfplay"])
@pytest.mark.parametrize("method", ["frozen", "sft"])
def test_differences_are_intervals_of_paired_scores(scores, method, reference):
    found = pick(differences(scores, reference, by=["group"]), model="nano", method=method, step=60)
    assert found["group"].tolist() == ["deduction", "abduction", "induction", "arithmetic", ALL]
    for _, row in found.iterrows():
        at = {"model": "nano", "group": row["group"]}
        own = table(pick(scores, **at, method=method, step=60))
        control = table(pick(scores, **at, method=reference, step=0 if reference == "base" else 60))
        expected = crossed_interval((own - (control.loc[0] if reference == "base" else control)).to_numpy())
        np.testing.assert_allclose(row[list(vars(expected))].to_numpy(float), list(vars(expected).values()))
        assert (row["seeds"], row["problems"]) == own.shape


def test_means_are_intervals_of_scores(scores):
    at = {"model": "nano", "method": "half", "step": 30, "group": "induction"}
    found = pick(means(scores, by=["group"]), **at).iloc[0]
    expected = crossed_interval(table(pick(scores, **at)).to_numpy())
    np.testing.assert_allclose(found[list(vars(expected))].to_numpy(float), list(vars(expected).values()))


def test_the_base_stands_against_its_own_seed_0(scores):
    found = pick(differences(scores, by=["group"]), method="base", model="nano", group=ALL).iloc[0]
    by_seed = pick(scores, method="base", model="nano", group=ALL).groupby("seed")["value"].mean()
    assert found["estimate"] == pytest.approx((by_seed.drop(0) - by_seed[0]).mean())
    assert found["seeds"] == len(by_seed) - 1


def test_arms_are_paired_by_the_seeds_that_both_have(scores):
    unfinished = scores[(scores["method"] != "frozen") | (scores["seed"] == 1)]
    found = pick(differences(unfinished, "selfplay", by=["group"]), method="frozen", model="nano", step=60, group=ALL)
    means_of = unfinished[unfinished["seed"] == 1].groupby(["model", "group", "step", "method"])["value"].mean()
    expected = means_of["nano", ALL, 60, "frozen"] - means_of["nano", ALL, 60, "selfplay"]
    assert found["estimate"].item() == pytest.approx(expected)
    assert found["seeds"].item() == 1


def test_without_problems_intervals_are_over_seeds():
    rows = [("nano", method, seed, value) for method, values in (("a", (1.0, 2.0, 3.0)), ("b", (0.0, 2.0, 1.0)))
            for seed, value in enumerate(values)]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["model", "method", "seed", "value"])
    found = differences(frame, "b").iloc[0]
    assert (found["estimate"], found["df"], found["problems"]) == (1.0, 2, 0)
    assert differences(frame[frame["method"] == "a"], "b").empty


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 4), min_size=2, max_size=3), st.integers(0, 2**32 - 1))
def test_a_combination_has_the_weighted_mean_and_the_variance_of_a_stratified_sample(sizes, seed):
    rng = np.random.default_rng(seed)
    weights = {f"g{i}": float(w) for i, w in enumerate(rng.uniform(-1, 1, len(sizes)))}
    rows = [("m", f"g{i}", j, rng.normal(10 * i)) for i, size in enumerate(sizes) for j in range(size)]
    frame = pd.DataFrame(rows, columns=["method", "group", "problem", "value"])
    value = combined(frame, weights)["value"].to_numpy()
    by_group = frame.groupby("group")["value"]
    assert value.mean() == pytest.approx(sum(w * by_group.mean()[g] for g, w in weights.items()))
    spread = sum(weights[g] ** 2 * by_group.var(ddof=0)[g] / by_group.size()[g] for g in weights)
    assert value.var() / len(value) == pytest.approx(spread)


def test_the_end_is_each_methods_own_last_step():
    frame = pd.DataFrame({"model": "nano", "method": ["base", "sft", "sft", "rlvr"], "step": [0, 30, 60, 30]})
    assert at_end(frame)["step"].tolist() == [0, 60, 30]


def test_task_types_weigh_the_same_together(scores):
    own = pick(scores, model="nano", method="sft", step=60, seed=0)
    by_group = own.groupby("group")["value"].mean()
    assert by_group[ALL] == pytest.approx(by_group[["deduction", "abduction", "induction"]].mean())
    assert crossed_interval(pick(own, group=ALL)[["value"]].T.to_numpy()).estimate == pytest.approx(by_group[ALL])


def counts(right: list[int], first: int = 0) -> pd.DataFrame:
    problems = [f"p{first + i}" for i in range(len(right))]
    return pd.DataFrame({"set": "gsm8k", "group": "gsm8k", "problem": problems, "n": 4, "c": right})


def test_the_difference_is_paired_over_shared_problems(tmp_path):
    counts([9, 1, 2, 4], first=-1).assign(n=[9, 4, 4, 4]).to_csv(tmp_path / "base.csv", index=False)
    found = compare_counts(counts_of(tmp_path / "base.csv"), counts([2, 3, 4])).set_index("k")
    expected = t_interval([0.25, 0.25, 0.0])
    assert found.index.tolist() == [1, 2]
    assert found.loc[1, ["difference", "low", "high"]].tolist() == pytest.approx(list(vars(expected).values())[:3])
    assert found.loc[1, "problems"] == 3


def test_a_table_is_the_same_as_csv_and_parquet_whatever_its_problems_are_called(tmp_path):
    table = counts([1, 2, 3]).assign(problem=["1", "2", "3"])
    table.to_csv(tmp_path / "a.csv", index=False)
    table.to_parquet(tmp_path / "b.parquet", index=False)
    assert azr.compare(str(tmp_path / "a.csv"), str(tmp_path / "b.parquet"))["difference"].eq(0).all()


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.csv", "rows.parquet"])
@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "set,group,problem,n,c\na,b,1,many,2\n", '{"question": "?"}'])
def test_what_is_no_table_is_said(name, text, tmp_path):
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match="no table"):
        counts_of(tmp_path / name)


def test_what_cannot_be_compared_is_said():
    with pytest.raises(UserError, match="different problems"):
        compare_counts(counts([1, 2]), counts([1, 2], first=5))
    with pytest.raises(UserError, match="smaller k"):
        compare_counts(counts([1, 2]), counts([1, 2]), [8])
