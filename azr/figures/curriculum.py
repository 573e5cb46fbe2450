"""RQ2: do later proposals get harder? Trends of a run's proposals, as one fixed solver finds them.

    table = pd.read_csv("runs/laptop/nano/selfplay-seed0/curriculum.csv").assign(method="selfplay", seed=0)
    frame = curriculum_frame(table, curriculum_trends(table), np.random.default_rng(0))
    save(plot_curriculum(frame, note="nano"), "curriculum", frame, "figures")

Left out: measuring (``azr.curriculum``), and the verdicts on the claims.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.pyplot import get_cmap, subplots
from scipy import stats as distributions

from azr.figures.style import (
    METHOD_COLORS,
    count_of,
    finish,
    keep_to_data,
    known_first,
    method_style,
    require_columns,
    whole_steps,
)
from azr.metrics.stats import t_interval
from azr.metrics.trends import cluster_interval, spearman, spearman_interval

COLUMNS = ("method", "seed", "step", "statements", "operators", "novelty", "n", "c", "length", "truncated")
"""What is read of the table of problems: one row a problem of origin ``step``, of whose ``n`` responses ``c`` are
right; ``length`` is their mean in tokens and ``truncated`` the share that was cut off."""
OVER_STEPS = {
    "solve_rate": "solve rate of the base",
    "length": "response length (tokens)",
    "statements": "statements of the program",
    "operators": "distinct operations",
    "novelty": "distance to nearest earlier program",
}
"""Quantities that are drawn over the step of origin, with what they are."""
AT_RATE = "length_at_solve_rate"
FEWEST = 5
"""Problems behind a point that is drawn."""
_STEPS_A_POINT = 6
_SHARES = ("solve_rate", "novelty")


def curriculum_trends(
    table: pd.DataFrame, rng: np.random.Generator | None = None, *, num_draws: int = 1000
) -> pd.DataFrame:
    """Spearman's rho of each trend that RQ2 is about, one row a method and statistic.

    Args:
        table: problems with ``COLUMNS``, of any methods and seeds; ``Study.table("curriculum", arms, base=False)``.
        rng: source of the bootstrap; None for a fixed one.
        num_draws: bootstrap draws.

    Returns:
        Columns method, statistic, estimate, low, high, se, tasks, seeds, then mean, low, high and se ``_over_seeds``.
        Statistics: ``rho_step_solve_rate`` (C4, C11), ``rho_step_length`` (C5), ``rho_solve_rate_length`` and
        ``rho_solve_rate_length_within_statements`` (C6), ``rho_solve_rate_length_uncut`` (C6 over problems none of
        whose responses was cut off, within statement count), ``rho_step_solve_rate_within_statements``,
        ``rho_step_statements``, ``rho_step_operators`` and ``rho_step_novelty``.

        Seeds are pooled: ranks are taken within each seed, so that a difference between runs makes no trend, and
        within seed and statement count where the name says so (``azr.metrics.trends.spearman`` with ``within``).
        low, high, se: 95 % percentile bootstrap that resamples pairs of seed and step; they say what other problems
        of these runs would give. The last four columns: mean of the seeds' own rhos and its 95 % t-interval, which says
        what other runs would give; NaN ends for one seed. A rho is NaN where one of the two does not vary.
    """
    require_columns(table, COLUMNS)
    rng = rng or np.random.default_rng(0)
    rows = []
    for method in known_first(table["method"], METHOD_COLORS):
        own = table[table["method"] == method].assign(solve_rate=lambda t: t["c"] / t["n"])
        for statistic, (x, y, strata, uncut) in _STATISTICS.items():
            problems = own[own["truncated"] == 0] if uncut else own
            problems = problems.dropna(subset=[x, y])
            rows.append({"method": method, "statistic": statistic} | _trend(problems, x, y, strata, rng, num_draws))
    return pd.DataFrame(rows)


_STATISTICS: dict[str, tuple[str, str, bool, bool]] = {
    "rho_step_solve_rate": ("step", "solve_rate", False, False),
    "rho_step_length": ("step", "length", False, False),
    "rho_solve_rate_length": ("solve_rate", "length", False, False),
    "rho_solve_rate_length_within_statements": ("solve_rate", "length", True, False),
    "rho_solve_rate_length_uncut": ("solve_rate", "length", True, True),
    "rho_step_solve_rate_within_statements": ("step", "solve_rate", True, False),
    "rho_step_statements": ("step", "statements", False, False),
    "rho_step_operators": ("step", "operators", False, False),
    "rho_step_novelty": ("step", "novelty", False, False),
}
"""By name: the two quantities, whether ranks are taken within statement count, whether cut-off problems are out."""


def _trend(
    problems: pd.DataFrame, x: str, y: str, strata: bool, rng: np.random.Generator, num_draws: int
) -> dict[str, float]:
    """Pooled rho with its interval over steps and over seeds."""
    size = {"tasks": len(problems), "seeds": problems["seed"].nunique()}
    within = _codes(problems, ["seed", "statements"] if strata else ["seed"])
    clusters = _codes(problems, ["seed", "step"])
    if len(set(clusters)) < 2:
        empty = dict.fromkeys(("estimate", "low", "high", "se"), np.nan)
        return empty | size | {f"{name}_over_seeds": np.nan for name in ("mean", "low", "high", "se")}
    pooled = spearman_interval(problems[x], problems[y], rng, clusters=clusters, within=within, num_draws=num_draws)
    of_seeds = t_interval(
        [spearman(own[x], own[y], own["statements"] if strata else None) for _, own in problems.groupby("seed")]
    )
    ends = {"estimate": pooled.estimate, "low": pooled.low, "high": pooled.high, "se": pooled.se}
    low, high = np.clip([of_seeds.low, of_seeds.high], -1, 1)
    over_seeds = {"mean": of_seeds.estimate, "low": float(low), "high": float(high), "se": of_seeds.se}
    return ends | size | {f"{name}_over_seeds": value for name, value in over_seeds.items()}


def _codes(problems: pd.DataFrame, columns: list[str]) -> np.ndarray:
    """One integer for each combination of the columns' values."""
    return problems.groupby(columns, sort=True).ngroup().to_numpy()


def by_quarter(table: pd.DataFrame) -> pd.DataFrame:
    """Means over the problems of the first and the last quarter of steps, one row a method and quarter.

    Args:
        table: as for ``curriculum_trends``, with the column ``repeats``.

    Returns:
        Index method and quarter (1 or 4); columns statements, operators, novelty, repeats (share of problems),
        solve_rate (in [0, 1]), length (tokens) and problems (their number).
    """
    require_columns(table, (*COLUMNS, "repeats"))
    quarter = np.ceil(4 * table["step"] / table["step"].max()).astype(int)
    values = table.assign(quarter=quarter, solve_rate=table["c"] / table["n"], problems=1)
    groups = values[quarter.isin([1, 4])].groupby(["method", "quarter"], sort=False)
    means = groups[["statements", "operators", "novelty", "repeats", "solve_rate", "length"]].mean()
    return means.assign(problems=groups["problems"].sum())


def curriculum_frame(
    table: pd.DataFrame, trends: pd.DataFrame, rng: np.random.Generator, *, num_draws: int = 500
) -> pd.DataFrame:
    """What ``plot_curriculum`` draws, tidy.

    Args:
        table: as for ``curriculum_trends``.
        trends: what that returned of it.
        rng: source of the bootstrap.
        num_draws: bootstrap draws of a band.

    Returns:
        Columns quantity, method, group, x, estimate, low, high, problems, clusters, seeds. For a quantity of
        ``OVER_STEPS`` x is the middle of a few consecutive steps and the estimate a mean over their problems, of all
        seeds. For ``length_at_solve_rate`` x is the solve rate, rounded to eighths, and ``group`` is ``all``, ``uncut``
        (no response was cut off) or a range of statement counts. For a trend the estimate is rho and x is NaN. low and
        high: 95 %, resampling clusters (pairs of seed and step) and stretched for their number as in ``problem_band``;
        NaN for fewer than two.
    """
    require_columns(table, COLUMNS)
    table = table.assign(solve_rate=table["c"] / table["n"], bin=_bins(table["step"]), cluster=0)
    table["cluster"] = _codes(table, ["seed", "step"])
    table["rate"] = (table["solve_rate"] * 8).round() / 8
    table["statement_range"] = [_statement_range(count) for count in table["statements"]]
    rows = []
    for method in known_first(table["method"], METHOD_COLORS):
        own = table[table["method"] == method]
        for quantity in OVER_STEPS:
            for _, part in own.dropna(subset=[quantity]).groupby("bin"):
                middle = (part["step"].min() + part["step"].max()) / 2
                about = {"quantity": quantity, "method": method, "group": "all", "x": middle}
                rows.append(about | _mean(part, quantity, rng, num_draws))
        groups = {"all": own, "uncut": own[own["truncated"] == 0]} | dict(iter(own.groupby("statement_range")))
        for group, problems in groups.items():
            for rate, part in problems.groupby("rate"):
                about = {"quantity": AT_RATE, "method": method, "group": group, "x": rate}
                rows.append(about | _mean(part, "length", rng, num_draws))
    rhos = trends.rename(columns={"statistic": "quantity", "tasks": "problems"}).assign(group="all")
    kept = ["quantity", "method", "group", "estimate", "low", "high", "problems", "seeds"]
    return pd.concat([pd.DataFrame(rows), rhos[kept]], ignore_index=True)


def plot_curriculum(frame: pd.DataFrame, *, note: str = "") -> Figure:
    """Six panels: five quantities over the step of origin, and length against difficulty.

    Args:
        frame: from ``curriculum_frame``.
        note: model, profile, decoding: appended to the caption.

    Returns:
        A figure of 2 rows and 3 columns, methods in their colours; the panel of length against difficulty shows the
        first method, by statement count. Rho stands in the panel where the frame has it.
    """
    require_columns(frame, ("quantity", "method", "group", "x", "estimate", "low", "high", "problems", "seeds"))
    methods = known_first(frame["method"], METHOD_COLORS)
    fig, axes = subplots(2, 3, figsize=(11.0, 6.6), layout="constrained")
    first, second, difficulty, *rest = axes.flat
    for ax, (quantity, label) in zip([first, second, *rest], OVER_STEPS.items(), strict=True):
        _over_steps(ax, frame, quantity, methods)
        ax.set(title=label, xlabel="training step of origin")
        whole_steps(ax)
    _at_rates(difficulty, frame[frame["method"] == methods[0]], methods)
    seeds = int(frame["seeds"].max())
    handles = [Line2D([], [], markersize=5, **method_style(method, methods)) for method in methods]
    return finish(fig, _caption(frame, methods, note), handles, seeds=seeds)


def _over_steps(ax: Axes, frame: pd.DataFrame, quantity: str, methods: list[str]) -> None:
    rows = frame[frame["quantity"] == quantity]
    notes = []
    for method in methods:
        own, style = rows[rows["method"] == method].sort_values("x"), method_style(method, methods)
        ax.fill_between(own["x"], own["low"], own["high"], color=style["color"], alpha=0.15, linewidth=0)
        ax.plot(own["x"], own["estimate"], color=style["color"], marker=style["marker"], markersize=4)
        rho = frame[(frame["quantity"] == f"rho_step_{quantity}") & (frame["method"] == method)]
        notes += [(_rho(row), style["color"]) for row in rho.itertuples()]
    high = 1.0 if quantity in _SHARES else None
    keep_to_data(ax, pd.concat([rows["estimate"], rows["low"], rows["high"]]), low=0.0, high=high)
    _write(ax, notes)


def _at_rates(ax: Axes, frame: pd.DataFrame, methods: list[str]) -> None:
    method = frame["method"].iloc[0]
    rows = frame[(frame["quantity"] == AT_RATE) & (frame["problems"] >= FEWEST)]
    ranges = sorted(set(rows["group"]) - {"all", "uncut"}, key=lambda group: int(group.split("–")[0]))
    shades = get_cmap("viridis")(np.linspace(0.85, 0.1, max(len(ranges), 1)))
    for group, shade in zip(ranges, shades, strict=False):
        own = rows[rows["group"] == group].sort_values("x")
        ax.plot(own["x"], own["estimate"], color=shade, linewidth=1.1, marker=".")
        x, y = own[["x", "estimate"]].iloc[-1]
        ax.annotate(group, (x, y), (4, 2), textcoords="offset points", color=shade, fontsize=7)
    for group, line in (("all", "-"), ("uncut", ":"))[: 1 + _some_cut(frame)]:
        own, color = rows[rows["group"] == group].sort_values("x"), method_style(method, methods)["color"]
        ax.plot(own["x"], own["estimate"], color=color, linestyle=line, linewidth=2.4)
        if group == "all":
            ax.fill_between(own["x"], own["low"], own["high"], color=color, alpha=0.15, linewidth=0)
    keep_to_data(ax, rows["estimate"])
    names = {"": "all", "_within_statements": "same statement count"}
    rhos = [frame[frame["quantity"] == f"rho_solve_rate_length{name}"] for name in names]
    notes = [
        (f"{_rho(row)} {label}", "#444444") for rho, label in zip(rhos, names.values(), strict=True)
        for row in rho.itertuples()
    ]  # fmt: skip
    _write(ax, notes)
    ax.set(title=f"length by difficulty: {method_style(method, methods)['label']}", xlabel="solve rate of the base")


def _write(ax: Axes, notes: list[tuple[str, str]]) -> None:
    """Put lines of text at the top of a panel, above the data."""
    bottom, top = ax.get_ylim()
    ax.set_ylim(bottom, top + (0.04 + 0.08 * len(notes)) * (top - bottom))
    for line, (text, color) in enumerate(notes):
        ax.text(0.02, 0.98 - 0.075 * line, text, color=color, transform=ax.transAxes, va="top", fontsize=8)


def _rho(row: object) -> str:
    return f"ρ {row.estimate:+.2f} [{row.low:+.2f}, {row.high:+.2f}]".replace("-", "−")  # type: ignore[attr-defined]


def _some_cut(frame: pd.DataFrame) -> bool:
    """Whether a response to some problem of the first method was cut off."""
    own = frame[(frame["quantity"] == AT_RATE) & (frame["method"] == frame["method"].iloc[0])]
    return bool(own[own["group"] == "uncut"]["problems"].sum() < own[own["group"] == "all"]["problems"].sum())


def _caption(frame: pd.DataFrame, methods: list[str], note: str) -> str:
    trends = frame[frame["quantity"] == "rho_step_solve_rate"].groupby("method")
    seeds, problems = trends["seeds"].max(), trends["problems"].max()
    own = frame[(frame["quantity"] == "solve_rate") & (frame["method"] == methods[0])]
    sizes = sorted({f"{int(problems.min()):,}", f"{int(problems.max()):,}"}, key=len)
    text = f"M = {' to '.join(sizes)} valid deduction proposals a method, of "
    text += f"S = {count_of(int(seeds.max()), 'training seed')}, each solved again by the untrained base. "
    text += (
        f"A point: problems of a few consecutive steps ({int(own['clusters'].min())} or more pairs of seed and step); "
    )
    text += "bands and the interval of Spearman's ρ: 95 %, resampling such pairs; ρ ranks within each seed. "
    text += "Length by difficulty: thick line and band all problems, "
    text += (
        "dotted those without a cut-off response, " if _some_cut(frame) else "none of them with a cut-off response, "
    )
    text += "thin those with the statement count beside the line; "
    text += f"points of fewer than {FEWEST} problems are left out."
    return f"{text} {note}".strip()


def _bins(steps: pd.Series) -> np.ndarray:
    """A number for each observation: runs of about six consecutive steps, at least three of them and at most ten."""
    last, first = steps.max(), steps.min()
    count = int(np.clip((last - first + 1) // _STEPS_A_POINT, 3, 10))
    return np.minimum((steps - first) * count // max(last - first + 1, 1), count - 1).to_numpy()


def _statement_range(count: float) -> str:
    """1, 2, 3–4, 5–8, 9–16, ...: doubling, so that it fits short programs and long ones."""
    if np.isnan(count) or count < 1:
        return "0"
    high = 1
    while high < count:
        high *= 2
    return str(high) if high <= 2 else f"{high // 2 + 1}–{high}"


def _mean(problems: pd.DataFrame, column: str, rng: np.random.Generator, num_draws: int) -> dict[str, float]:
    """Mean of a column with its cluster-bootstrap ends."""
    clusters = problems["cluster"].nunique()
    size = {"problems": len(problems), "clusters": clusters, "seeds": problems["seed"].nunique()}
    mean = float(problems[column].mean())
    if clusters < 2:
        return {"estimate": mean, "low": np.nan, "high": np.nan} | size
    interval = cluster_interval(problems[column], problems["cluster"], rng, num_draws=num_draws)
    stretch = (
        np.sqrt(clusters / (clusters - 1)) * distributions.t.ppf(0.975, clusters - 1) / distributions.norm.ppf(0.975)
    )
    low, high = mean + stretch * (np.array([interval.low, interval.high]) - mean)
    return {"estimate": mean, "low": float(low), "high": float(high)} | size
