"""RQ2's figure and trends: later problems harder or easier, pooled over seeds, and length against difficulty."""

import numpy as np
import pandas as pd
import pytest

from azr.figures.curriculum import (
    COLUMNS,
    OVER_STEPS,
    by_quarter,
    curriculum_frame,
    curriculum_trends,
    plot_curriculum,
)
from azr.figures.style import METHOD_COLORS
from azr.metrics.stats import t_interval


def problems(slope=0.15, seeds=2, steps=18, a_step=10, cut=0.1, offset=0.0, method="selfplay") -> pd.DataFrame:
    """Programs that get longer by ``slope`` statements a step; length depends on the statements alone, as does success;
    seed s starts ``offset * s`` steps later.
    """
    rng = np.random.default_rng(0)
    rows = []
    for seed in range(seeds):
        for step in range(1, steps + 1):
            statements = np.clip(rng.poisson(1 + slope * step, a_step), 1, 8)
            right = rng.binomial(8, 1 / (1 + np.exp(statements - 3.0)))
            length = 5 + 3 * statements + rng.normal(0, 0.5, a_step)
            truncated = np.where(rng.random(a_step) < cut, 0.25, 0.0)
            for values in zip(statements, statements + 1, rng.random(a_step), right, length, truncated, strict=True):
                count, operators, novelty, c, tokens, share = values
                rows.append((method, seed, step + offset * seed, count, operators, novelty, 8, c, tokens, share))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def trend(table: pd.DataFrame, statistic: str, method="selfplay") -> pd.Series:
    trends = curriculum_trends(table, num_draws=60).set_index(["method", "statistic"])
    return trends.loc[method, statistic]


def test_trends_have_the_sign_of_what_happens_and_an_interval_around_them():
    table = problems()
    harder, longer, follows = (
        trend(table, name) for name in ("rho_step_solve_rate", "rho_step_length", "rho_solve_rate_length")
    )
    assert harder.high < 0 < longer.low
    assert follows.high < 0
    assert (harder.tasks, harder.seeds) == (360, 2)
    assert harder.low <= harder.estimate <= harder.high
    assert harder.se > 0


def test_one_row_a_method_and_statistic():
    table = pd.concat([problems(), problems(slope=0.0, method="frozen")])
    trends = curriculum_trends(table, num_draws=20)
    assert list(trends)[:8] == ["method", "statistic", "estimate", "low", "high", "se", "tasks", "seeds"]
    assert not trends.duplicated(["method", "statistic"]).any()
    assert trends.groupby("method").size().nunique() == 1
    frozen = trends[(trends.method == "frozen") & (trends.statistic == "rho_step_statements")].iloc[0]
    assert frozen.low < 0 < frozen.high


def test_within_statement_count_a_length_that_only_counts_statements_does_not_follow_difficulty():
    table = problems(seeds=3)
    overall = trend(table, "rho_solve_rate_length")
    within = trend(table, "rho_solve_rate_length_within_statements")
    assert overall.estimate < -0.5
    assert abs(within.estimate) < 0.15


def test_a_difference_between_seeds_makes_no_trend():
    easy = problems(slope=0.0, seeds=1)
    late = easy.assign(seed=1, step=easy.step + 100, c=0)
    late.loc[late.index[::2], "c"] = 1
    pooled = trend(pd.concat([easy, late]), "rho_step_solve_rate")
    assert abs(pooled.estimate) < 0.15


def test_problems_with_a_cut_off_response_are_left_out_where_the_name_says_so():
    table = problems(cut=0.5)
    assert trend(table, "rho_solve_rate_length_uncut").tasks == (table.truncated == 0).sum()


def test_over_seeds_stands_beside_over_steps():
    assert np.isnan(trend(problems(seeds=1), "rho_step_length").low_over_seeds)
    several = trend(problems(seeds=3), "rho_step_length")
    own = [trend(table, "rho_step_length").estimate for _, table in problems(seeds=3).groupby("seed")]
    interval = t_interval(own)
    assert several.mean_over_seeds == pytest.approx(interval.estimate)
    assert several.se_over_seeds == pytest.approx(interval.se)
    assert (several.low_over_seeds, several.high_over_seeds) == pytest.approx((interval.low, interval.high))
    assert several.low_over_seeds < several.estimate < several.high_over_seeds


def test_what_does_not_vary_has_no_rho():
    trends = curriculum_trends(problems().assign(c=0), num_draws=20)
    assert trends[trends.statistic == "rho_step_solve_rate"].estimate.isna().all()


def test_the_frame_has_means_over_problems_and_the_trends():
    table = problems(steps=18)
    trends = curriculum_trends(table, num_draws=20)
    frame = curriculum_frame(table, trends, np.random.default_rng(0), num_draws=50)
    rates = frame[frame.quantity == "solve_rate"]
    assert rates.x.tolist() == [3.5, 9.5, 15.5]
    first = table[table.step <= 6]
    assert rates.estimate.iloc[0] == pytest.approx((first.c / first.n).mean())
    assert rates.clusters.tolist() == [12, 12, 12]
    assert (rates.low < rates.estimate).all()
    at_zero = frame[(frame.quantity == "length_at_solve_rate") & (frame.x == 0)].set_index("group")
    assert at_zero.estimate["all"] == pytest.approx(table[table.c == 0].length.mean())
    assert at_zero.estimate["3–4"] == pytest.approx(table[(table.c == 0) & table.statements.isin([3, 4])].length.mean())
    rho = frame[frame.quantity == "rho_step_solve_rate"].iloc[0]
    assert rho.estimate == trends[trends.statistic == "rho_step_solve_rate"].estimate.iloc[0]


def test_quarters_are_means_over_the_problems_of_the_first_and_last_steps():
    table = problems(steps=8).assign(repeats=lambda t: t.step > 6)
    means = by_quarter(table)
    assert means.index.tolist() == [("selfplay", 1), ("selfplay", 4)]
    assert means.problems.tolist() == [40, 40]
    assert means.repeats.tolist() == [0, 1]
    assert means.statements.iloc[1] == pytest.approx(table[table.step >= 7].statements.mean())


def drawn(table: pd.DataFrame):
    trends = curriculum_trends(table, num_draws=20)
    return plot_curriculum(curriculum_frame(table, trends, np.random.default_rng(0), num_draws=20), note="nano")


def test_panels_show_every_quantity_with_rho_and_methods_in_their_colours():
    fig = drawn(pd.concat([problems(), problems(slope=0.0, method="frozen")]))
    titles = [ax.get_title(loc="left") for ax in fig.axes]
    assert [title for title in titles if not title.startswith("length by")] == list(OVER_STEPS.values())
    colors = {line.get_color() for line in fig.axes[0].get_lines()}
    assert colors == {METHOD_COLORS["selfplay"], METHOD_COLORS["frozen"]}
    assert [text.get_text()[:3] for text in fig.axes[0].texts] == ["ρ −", "ρ " + fig.axes[0].texts[1].get_text()[2]]
    assert "same statement count" in fig.axes[2].texts[-1].get_text()
    assert "S = 2 training seeds" in fig.get_supxlabel()
    assert "nano" in fig.get_supxlabel()


def test_a_single_run_of_few_steps_says_so():
    fig = drawn(problems(seeds=1, steps=3, a_step=4))
    assert fig.axes[0].get_title(loc="left").endswith("(single run)")


def test_missing_columns_are_named():
    with pytest.raises(ValueError, match="lacks the columns truncated"):
        curriculum_trends(problems().drop(columns="truncated"))
