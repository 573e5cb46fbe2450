"""Each question's table: columns, known values, and that the synthetic study's effects are found and no others."""

import numpy as np
import pandas as pd
import pytest

from azr.metrics import pass_at_k, spearman
from azr.tables import accuracy, curriculum, entropy, passk, rewards, sparsity, training
from azr.tables.compare import differences, means


def row(frame: pd.DataFrame, **values: object) -> pd.Series:
    found = frame[(frame[list(values)] == pd.Series(values)).all(axis=1)]
    assert len(found) == 1
    return found.iloc[0]


def test_pass_at_k_goes_to_half_of_a_methods_own_samples(study):
    curves = passk.curves(study["test"].query("method in ['base', 'selfplay', 'frozen']"))
    assert curves.groupby("method")["k"].max()[["selfplay", "frozen"]].tolist() == [32, 16]
    own = study["test"].query("method == 'selfplay' and step == 60 and group == 'deduction'")
    found = row(curves, method="selfplay", quantity="pass@k", group="deduction", k=8)
    assert found["estimate"] == pytest.approx(pass_at_k(own["n"].to_numpy(), own["c"].to_numpy(), 8).mean())


def test_sharpening_crosses_the_base_and_nothing_crosses_where_nothing_was_learned(study, untouched):
    test, idle = (frames["test"].query("method in ['base', 'selfplay']") for frames in (study, untouched))
    curves = passk.curves(test)
    assert row(curves, method="selfplay", group="all", quantity="difference", k=1)["estimate"] > 0.05
    assert row(passk.crossings(curves), method="selfplay", group="all")["largest_k"] == 32
    assert (passk.crossings(passk.curves(idle)).query("method == 'selfplay'")["p"] > 0.05).all()
    slopes = passk.leash(test).query("quantity == 'slope'").set_index("method")
    assert slopes.loc["selfplay", "low"] > 1.1
    assert slopes.loc["base", "estimate"] == pytest.approx(1, abs=0.1)
    fewer = passk.leash(test, within=(0.25, 0.75)).query("quantity == 'slope'").set_index("method")
    assert fewer.loc["selfplay", "problems"] < slopes.loc["selfplay", "problems"]
    assert fewer.loc["selfplay", "low"] > 1


def test_every_problem_is_kept_lost_gained_or_in_neither(study):
    found = passk.support(study["test"])
    assert (found[["kept", "lost", "gained", "neither"]].sum(axis=1) == found["problems"]).all()
    assert set(found["method"]) == {"base", "sft", "rlvr", "selfplay"}, "those with as many samples as the base"


def test_gains_grow_from_0_and_the_bases_own_contains_0(study):
    gains = accuracy.over_steps(study["test"]).query("group == 'all' and quantity == 'pass@1'")
    selfplay = gains[gains["method"] == "selfplay"].sort_values("step")
    assert selfplay["step"].tolist() == [0, 30, 60]
    assert selfplay["estimate"].iloc[0] == 0
    assert selfplay["estimate"].is_monotonic_increasing
    base = row(gains, method="base")
    assert base["low"] < 0 < base["high"]


def test_contrasts_with_both_references_and_what_could_be_detected(study):
    found = accuracy.contrasts(study["validation"])
    selfplay = row(found, method="selfplay", reference="base", group="all")
    frozen = {name: row(found, method="frozen", reference=name, group="all") for name in ("base", "selfplay")}
    assert frozen["base"]["estimate"] - selfplay["estimate"] == pytest.approx(frozen["selfplay"]["estimate"])
    assert (found["detectable"] > 2 * found["se"]).all()


def test_the_share_of_the_gap_that_closes_is_a_ratio_of_means(study):
    last = study["test"].query("group != 'arithmetic' and (method != 'selfplay' or step == 60)")
    base = last.query("method == 'base' and seed == 0")
    start = (base["c"] / base["n"]).mean()
    own = last.query("method == 'selfplay'")
    expected = ((own["c"] / own["n"]).mean() - start) / (base["greedy"].mean() - start)
    assert row(accuracy.gap_closed(study["test"]), method="selfplay")["estimate"] == pytest.approx(expected)


def test_trends_are_rank_correlations_of_each_run_and_the_null_arm_has_none(study):
    solved = study["curriculum"]
    per_run = curriculum.trends(solved)
    one = solved.query("method == 'selfplay' and seed == 1")
    rho = row(per_run, method="selfplay", seed=1, statistic="step, solve rate")["value"]
    assert rho == pytest.approx(spearman(one["step"], one["c"] / one["n"]))
    against = curriculum.trend_intervals(per_run).query("statistic == 'step, solve rate'")
    assert row(against, method="selfplay", reference="base-proposer")["estimate"] < -0.1
    assert abs(row(against, method="base-proposer", reference="")["estimate"]) < 0.15


def test_windows_of_steps_hold_a_runs_mean(study):
    found = curriculum.curriculum(study["curriculum"])
    own = study["curriculum"].query("method == 'selfplay' and step <= 10")
    expected = own.groupby("seed")["statements"].mean().mean()
    assert row(found, method="selfplay", step=5.0, quantity="statements")["estimate"] == pytest.approx(expected)


def test_entropy_per_token_is_a_ratio_of_sums_and_the_gap_a_difference(study):
    levels = means(entropy.prompt_scores(study["entropy"]), by=["quantity"])
    levels = levels.query("method == 'selfplay' and step == 60").set_index("quantity")
    own = study["entropy"].query("method == 'selfplay' and step == 60")
    sums = own.groupby(["role", "seed"])[["entropy", "tokens"]].sum()
    expected = (sums["entropy"] / sums["tokens"]).groupby("role").mean()
    assert levels.loc["solver", "estimate"] == pytest.approx(expected["solver"])
    assert levels.loc["gap", "estimate"] == pytest.approx(expected["proposer"] - expected["solver"])


def test_the_fall_of_entropy_is_found_and_a_share_of_the_start(study, untouched):
    found = row(entropy.over_steps(study["entropy"]), method="selfplay", step=60, quantity="solver")
    assert found["high"] < -0.1
    assert found["relative"] == pytest.approx(found["estimate"] / found["start"], rel=0.05)
    still = row(entropy.over_steps(untouched["entropy"]), method="selfplay", step=60, quantity="solver")
    assert still["low"] < 0 < still["high"]
    against = differences(entropy.prompt_scores(study["entropy"]), "selfplay", ["quantity"])
    assert row(against, method="frozen", step=60, quantity="solver")["low"] > 0


def test_sparsity_is_a_share_of_all_parameters_and_self_play_stands_between(study):
    tensors = study["sparsity"]
    found = row(sparsity.of_definition(sparsity.runs(tensors)), method="selfplay-full", seed=0, step=60)
    own = sparsity.of_definition(tensors).query("method == 'selfplay-full' and seed == 0 and step == 60")
    assert found["sparsity"] == pytest.approx(own["unchanged"].sum() / own["parameters"].sum())
    assert found["norm"] == pytest.approx(np.sqrt((own["norm"] ** 2).sum()))
    contrasts = sparsity.contrasts(sparsity.runs(tensors)).query("method == 'selfplay' and quantity == 'sparsity'")
    assert row(contrasts, reference="sft")["low"] > 0 > row(contrasts, reference="rlvr")["high"]


def test_what_two_rewards_had_proposed_is_compared_by_seed(study):
    shapes = rewards.shapes(study["proposals"])
    one = study["proposals"].query("method == 'half' and seed == 2 and fate == 'valid'")
    assert row(shapes, method="half", seed=2, quantity="learnable")["value"] == pytest.approx(
        one["solve_rate"].between(0.25, 0.75).mean()
    )
    found = row(differences(shapes, "selfplay", ["quantity"]), method="half", quantity="learnable")
    assert (found["seeds"], found["problems"]) == (3, 0)
    rates = rewards.solve_rates(study["proposals"])
    assert rates.groupby("method")["estimate"].sum().tolist() == pytest.approx([1, 1])


def test_the_log_is_pooled_over_types_and_steps_and_shares_add_up(study):
    frame = training.selfplay(study["log"], study["proposals"])
    log = study["log"].query("method == 'selfplay' and quantity == 'reward' and step <= 6")
    expected = log[log["group"].str.endswith("/solver")]["value"].mean()
    assert row(frame, step=3.5, role="solver", quantity="reward")["estimate"] == pytest.approx(expected)
    solved = frame[frame["quantity"] == "solved"].groupby("step")["estimate"].sum()
    assert solved.tolist() == pytest.approx([1] * 10)


def test_what_proposals_lose_in_length_is_shared_out_between_the_roles():
    lengths = {
        ("base", 0): 100,
        ("base", 1): 100,
        ("selfplay", 0): 60,
        ("selfplay", 1): 60,
        ("frozen", 0): 80,
        ("frozen", 1): 84,
    }
    rows = [
        {"model": "m", "method": method, "seed": seed, "step": 0 if method == "base" else 9, "role": role}
        | {"group": "deduction", "prompt": prompt, "tokens": tokens + prompt}
        for (method, seed), tokens in lengths.items()
        for role in ("proposer", "solver")
        for prompt in (-1, 1)
    ]
    found = entropy.shrinking(pd.DataFrame(rows)).set_index(["method", "reference", "quantity"])["estimate"]
    assert found["selfplay", "base", "tokens"] == pytest.approx(-0.4)
    assert found["frozen", "base", "tokens"] == pytest.approx(-0.18)
    assert found["frozen", "selfplay", "tokens"] == pytest.approx(0.22)
    assert found["frozen", "selfplay", "share"] == pytest.approx(0.45)
