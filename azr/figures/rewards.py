"""RQ5: does another proposer reward help? Its shape, and what two arms that differ in it alone end up with.

    frame = rewards_frame(steps, proposals, validation, np.random.default_rng(0))
    save(plot_rewards(frame), "rewards", frame, "figures")

Left out: the verdicts on the claims (``azr.claims``), and the other shapes' training: only two of them are arms.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.pyplot import subplots

from azr.figures.entropy import entropy_by_role
from azr.figures.style import (
    METHOD_COLORS,
    TASK_COLORS,
    count_of,
    error_bars,
    finish,
    keep_to_data,
    known_first,
    method_style,
    plot_seeds,
    require_columns,
)
from azr.metrics.curriculum import statement_count
from azr.metrics.stats import paired_seed_interval, t_interval
from azr.rewards import PROPOSER_REWARDS

ALL = "all"
"""The row of ``accuracy_differences`` over the problems of every task type."""
MARGIN = 0.01
"""C13: the other reward helps if it gains more than this."""
_INSIDE = np.linspace(0.02, 0.98, 49)
_SHAPE_STYLES = ("-", "--", "-", "-.", ":", "--", ":")
_ROLE_STYLES = {"proposer": "--", "solver": "-"}


def accuracy_differences(
    validation: pd.DataFrame, rng: np.random.Generator, method: str = "half", reference: str = "selfplay"
) -> pd.DataFrame:
    """Accuracy on validation problems after training, paired by seed and problem, by task type and over all.

    Args:
        validation: method, seed, task_type, problem, n, c, of at least the two methods.
        rng: source of the bootstrap over problems, where there is one seed.
        method: minuend.
        reference: subtrahend.

    Returns:
        One row a task type, then ``all``: task_type, reference, value (mean accuracies), difference, low, high (95 %
        over seeds and problems, over problems alone for one seed), se, df, seeds, problems.
    """
    require_columns(validation, ("method", "seed", "task_type", "problem", "n", "c"))
    scores = validation.assign(score=validation["c"] / validation["n"])
    rows = []
    for task_type in [*known_first(scores["task_type"], TASK_COLORS), ALL]:
        table = scores if task_type == ALL else scores[scores["task_type"] == task_type]
        values, control = (
            table[table["method"] == name].pivot(index="seed", columns=["task_type", "problem"], values="score")
            for name in (method, reference)
        )
        control = control.loc[values.index, values.columns]
        found = paired_seed_interval(values.to_numpy(), control.to_numpy(), rng)
        means = {"reference": float(control.mean(axis=None)), "value": float(values.mean(axis=None))}
        ends = {"difference": found.estimate, "low": found.low, "high": found.high, "se": found.se, "df": found.df}
        size = {"seeds": values.shape[0], "problems": values.shape[1]}
        rows.append({"task_type": task_type} | means | ends | size)
    return pd.DataFrame(rows)


def proposal_table(proposals: pd.DataFrame) -> pd.DataFrame:
    """Of the valid proposals, run by run: mean statements and solve rate, and the shares at each solve rate.

    Args:
        proposals: ``Study.proposals``: method, seed, fate, solve_rate, program.

    Returns:
        One row a method and seed: method, seed, statements, solve_rate, learnable (share strictly between 0 and 1), and
        one column for each solve rate that occurs, named by it, with its share.
    """
    valid = proposals[proposals["fate"] == "valid"]
    valid = valid.assign(
        statements=valid["program"].map(statement_count), learnable=valid["solve_rate"].between(0, 1, "neither")
    )
    runs = valid.groupby(["method", "seed"], sort=False)
    shares = runs["solve_rate"].value_counts(normalize=True).unstack(fill_value=0.0).sort_index(axis=1)
    return runs[["statements", "solve_rate", "learnable"]].mean().join(shares).reset_index()


def proposal_changes(table: pd.DataFrame, method: str = "half", reference: str = "selfplay") -> pd.DataFrame:
    """How the proposals of two arms differ, paired by seed: every column of ``proposal_table``.

    Returns:
        quantity, reference, value, difference, low, high (95 % t-interval over seeds; NaN for one), seeds.
    """
    own, control = (table[table["method"] == m].set_index("seed").drop(columns="method") for m in (method, reference))
    control = control.loc[own.index]
    rows = []
    for quantity in own:
        found = t_interval((own[quantity] - control[quantity]).to_numpy())
        about = {"quantity": quantity if isinstance(quantity, str) else f"share at solve rate {quantity:g}"}
        means = {"reference": control[quantity].mean(), "value": own[quantity].mean()}
        ends = {"difference": found.estimate, "low": found.low, "high": found.high}
        rows.append(about | means | ends | {"seeds": len(own)})
    return pd.DataFrame(rows)


def rewards_frame(
    steps: pd.DataFrame, proposals: pd.DataFrame, validation: pd.DataFrame, rng: np.random.Generator
) -> pd.DataFrame:
    """Everything that ``plot_rewards`` draws, by ``panel``.

    Args:
        steps: ``Study.steps`` of both arms.
        proposals: ``Study.proposals`` of both arms.
        validation: accuracy after training of both arms, as ``accuracy_differences`` takes it.
        rng: source of the bootstrap.

    Returns:
        Columns panel, method, seed, task_type, x, value, low, high. Panels: ``shape`` (method: a reward's name, x:
        solve rate, value: reward), ``accuracy`` (x: step), ``final`` (value: difference), ``entropy`` (task_type:
        role), ``solve_rate`` (x: solve rate, value: share of valid proposals), ``statements`` (x: step, value: mean).
    """
    rates = np.array([0.0, *_INSIDE, 1.0])
    shapes = [
        pd.DataFrame({"method": name, "x": rates, "value": shape(rates)}) for name, shape in PROPOSER_REWARDS.items()
    ]
    keys = ["method", "seed", "step"]
    accuracy = steps.dropna(subset=["validation_accuracy"]).groupby(keys, as_index=False, sort=False)
    valid = proposals[proposals["fate"] == "valid"]
    statements = valid.assign(value=valid["program"].map(statement_count)).groupby(keys, as_index=False, sort=False)
    shares = proposal_table(proposals).drop(columns=["statements", "solve_rate", "learnable"])
    entropy = entropy_by_role(steps)
    panels = {
        "shape": pd.concat(shapes),
        "accuracy": accuracy["validation_accuracy"]
        .mean()
        .rename(columns={"validation_accuracy": "value", "step": "x"}),
        "final": accuracy_differences(validation, rng).drop(columns="value").rename(columns={"difference": "value"}),
        "entropy": entropy.rename(columns={"role": "task_type", "step": "x", "entropy_full": "value"}),
        "solve_rate": shares.melt(["method", "seed"], var_name="x"),
        "statements": statements["value"].mean().rename(columns={"step": "x"}),
    }
    columns = ["panel", "method", "seed", "task_type", "x", "value", "low", "high"]
    return pd.concat([rows.assign(panel=panel) for panel, rows in panels.items()], ignore_index=True)[columns]


def plot_rewards(frame: pd.DataFrame, *, note: str = "") -> Figure:
    """Six panels: rewards by solve rate, accuracy over and after training, entropy, solve rates, statements.

    Args:
        frame: from ``rewards_frame``.
        note: model, profile: appended to the caption.
    """
    require_columns(frame, ("panel", "method", "seed", "task_type", "x", "value", "low", "high"))
    by_panel = dict(iter(frame.groupby("panel")))
    methods = known_first(by_panel["accuracy"]["method"], METHOD_COLORS)
    fig, axes = subplots(2, 3, figsize=(9.6, 6.4), layout="constrained")
    _shapes(axes[0, 0], by_panel["shape"])
    for ax, panel, title in (
        (axes[0, 1], "accuracy", "validation accuracy"),
        (axes[1, 0], "entropy", "entropy (nats per token)"),
        (axes[1, 2], "statements", "statements of proposals"),
    ):
        rows = by_panel[panel]
        rows = rows[rows["task_type"].isna() | rows["task_type"].isin(_ROLE_STYLES)]
        for method in methods:
            for role, own in rows[rows["method"] == method].groupby(rows["task_type"].fillna("")):
                color, style = method_style(method, methods)["color"], _ROLE_STYLES.get(str(role), "-")
                plot_seeds(ax, own, "x", "value", color=color, linestyle=style)
        keep_to_data(ax, rows["value"], low=0.0)
        ax.set(title=title, xlabel="training step")
    _final(axes[0, 2], by_panel["final"])
    _solve_rates(axes[1, 1], by_panel["solve_rate"], methods)
    looks = [method_style(method, methods) for method in methods]
    handles = [Line2D([], [], color=look["color"], label=look["label"]) for look in looks]
    handles += [Line2D([], [], color="#777777", ls=s, label=f"{r} (entropy)") for r, s in _ROLE_STYLES.items()]
    seeds = by_panel["accuracy"]["seed"].nunique()
    return finish(fig, _caption(seeds, note), handles, seeds=seeds)


def _shapes(ax: Axes, rows: pd.DataFrame) -> None:
    names = known_first(rows["method"], PROPOSER_REWARDS)
    colors = {"learnability": METHOD_COLORS["selfplay"], "half": METHOD_COLORS["half"]}
    for i, name in enumerate(names):
        own = rows[rows["method"] == name]
        inside = own[(own["x"] > 0) & (own["x"] < 1)]
        color = colors.get(name) or method_style(name, [n for n in names if n not in colors])["color"]
        width = 2.2 if name in colors else 1.2
        ax.plot(
            inside["x"], inside["value"], color=color, ls=_SHAPE_STYLES[i % 7], lw=width, label=name.replace("_", " ")
        )
        ends = own[~own["x"].between(0, 1, "neither")]
        ax.plot(ends["x"], ends["value"], color=color, marker="o", ms=3.5, ls="")
    ax.set(title="proposer rewards", xlabel="solve rate", ylim=(-0.6, 2.0), yticks=[-0.5, 0, 0.5, 1])
    ax.legend(loc="upper center", ncols=2, fontsize=7, handlelength=1.6, columnspacing=0.8)


def _final(ax: Axes, rows: pd.DataFrame) -> None:
    y = np.arange(len(rows))[::-1]
    for row, height in zip(rows.itertuples(), y, strict=True):
        color = TASK_COLORS.get(row.task_type, "#444444")
        bars = error_bars(row.value, row.low, row.high)
        ax.errorbar([row.value], [height], xerr=bars, fmt="o", color=color, ms=4.5, capsize=3)
    ax.axvline(0, color="#444444", linewidth=1)
    ax.axvline(MARGIN, color="#444444", linewidth=1, linestyle=":")
    ax.set_yticks(y, rows["task_type"])
    ax.set_ylim(-0.6, len(rows) - 0.4)
    ax.set(title="accuracy, half − default", xlabel="difference after training")


def _solve_rates(ax: Axes, rows: pd.DataFrame, methods: list[str]) -> None:
    rates = sorted(rows["x"].unique())
    for i, method in enumerate(methods):
        table = rows[rows["method"] == method].pivot(index="seed", columns="x", values="value")[rates]
        bands = [t_interval(table[rate]) for rate in rates]
        means = np.array([band.estimate for band in bands])
        x = np.arange(len(rates)) + 0.38 * (i - (len(methods) - 1) / 2)
        low, high = [max(band.low, 0.0) for band in bands], [min(band.high, 1.0) for band in bands]
        bars = error_bars(means, low, high) if len(table) > 1 else None
        ax.bar(x, means, width=0.36, color=method_style(method, methods)["color"], yerr=bars, error_kw={"lw": 1})
    ax.set_xticks(range(len(rates)), [f"{rate:g}" for rate in rates])
    ax.set(title="solve rates of proposals", xlabel="solve rate", ylabel="share of valid proposals")


def _caption(seeds: int, note: str) -> str:
    text = f"S = {count_of(seeds, 'training seed')}. "
    if seeds > 1:
        text += "Thick: mean over seeds; thin: each seed; bands and bars of solve rates: 95 % t-interval over seeds. "
        text += "Difference: 95 % over seeds and problems; "
    else:
        text += "Single run: no bands. Difference: 95 % over problems; "
    text += f"dotted: the margin of {MARGIN} above which the other reward helps. "
    text += "Statements and solve rates: of valid proposals. "
    text += "Dots in the first panel: what a task is paid that no or every rollout solves. "
    return (text + note).strip()
