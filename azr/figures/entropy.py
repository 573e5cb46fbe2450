"""RQ3: entropy of the proposer and the solver over training, its change, and a check of its two estimators.

    frame = study.steps(["selfplay", "frozen"])
    save(plot_entropy(frame, note="T = 1, nano"), "entropy", frame, "figures")
    entropy_changes(frame)

Left out: measuring entropy (``azr.metrics.entropy``), and the verdicts on the claims about it (``azr.claims``).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.pyplot import subplots

from azr.arms import ARMS
from azr.figures.style import (
    METHOD_COLORS,
    ROLE_COLORS,
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
from azr.metrics.stats import Interval, paired_seed_interval, t_interval

_ROLE_STYLES = {"solver": "-", "proposer": "--"}
_MOST_METHODS = 4
ROLES = tuple(ROLE_COLORS)
"""whole (both roles' tokens together), proposer, solver."""
PROPOSALS_OF_BASE = frozenset(name for name, arm in ARMS.items() if arm.changes.get("train.proposer") == "base")
"""Arms whose proposals are not drawn from the policy: what is logged of these tokens is not an entropy of the proposer,
so the proposer and the whole are left out.
"""


def entropy_by_role(steps: pd.DataFrame) -> pd.DataFrame:
    """Means over task types of each role, and over everything as the role ``whole``, weighted by response tokens.

    Args:
        steps: one row a step, seed, role (proposer, solver) and task type, with ``entropy_full`` and ``entropy_nll`` in
            nats a token; rows that lack one are skipped. Optional: ``method`` (else selfplay) and ``tokens``, the
            response tokens behind the row (else all rows weigh the same).

    Returns:
        Columns method, seed, step, role, entropy_full, gap (entropy_nll - entropy_full), tokens. Of the arms in
        ``PROPOSALS_OF_BASE`` the solver alone.

    Raises:
        ValueError: a column is missing, no row has both entropies, or a role is neither of the two.
    """
    data = _measured(steps)
    values = ["entropy_full", "gap"]
    weighted = data.assign(**{value: data[value] * data["tokens"] for value in values})
    both_roles = weighted[~weighted["method"].isin(PROPOSALS_OF_BASE)]
    parts = []
    for role, rows in [("whole", both_roles), *weighted.groupby("role", sort=False)]:
        sums = rows.groupby(["method", "seed", "step"], as_index=False, sort=False)[[*values, "tokens"]].sum()
        parts.append(sums.assign(role=role, **{value: sums[value] / sums["tokens"] for value in values}))
    return pd.concat(parts, ignore_index=True)


def entropy_ends(steps: pd.DataFrame) -> pd.DataFrame:
    """Mean entropy in the first and in the last tenth of training (at least one step), run by run.

    Returns:
        One row a method, seed and role: method, seed, role, first, last; nats a token.
    """
    rows = []
    for (method, role, seed), run in entropy_by_role(steps).groupby(["method", "role", "seed"], sort=False):
        values = run.sort_values("step")["entropy_full"].to_numpy()
        tenth = max(1, len(values) // 10)
        ends = {"first": values[:tenth].mean(), "last": values[-tenth:].mean()}
        rows.append({"method": method, "seed": seed, "role": role} | ends)
    return pd.DataFrame(rows)


def entropy_changes(steps: pd.DataFrame, reference: str = "selfplay") -> pd.DataFrame:
    """How far entropy fell, by method and role, and how its end compares with the reference's, over seeds.

    Returns:
        Columns method, role, quantity, value (mean over seeds of what the difference starts from), difference, low,
        high (95 % t-interval over seeds, NaN for one), seeds. ``quantity`` is ``change`` (last tenth of training minus
        the first) or ``end`` (last tenth minus the reference's, paired by seed; of other methods).
    """
    ends = entropy_ends(steps)
    rows = []
    for (method, role), runs in ends.groupby(["method", "role"], sort=False):
        about = {"method": method, "role": role}
        changes = (runs["last"] - runs["first"]).to_numpy()
        rows.append(about | {"quantity": "change", "value": runs["first"].mean()} | _over_seeds(changes))
        own = ends[(ends["method"] == reference) & (ends["role"] == role)]
        both = runs.merge(own, on="seed", suffixes=("", "_reference"))
        if method != reference and len(both):
            gaps = (both["last"] - both["last_reference"]).to_numpy()
            rows.append(about | {"quantity": "end", "value": both["last_reference"].mean()} | _over_seeds(gaps))
    return pd.DataFrame(rows)


def answer_changes(counts: pd.DataFrame, rng: np.random.Generator, reference: str = "base") -> pd.DataFrame:
    """Entropy over the distinct answers to a test problem: each method's mean against the reference's.

    Args:
        counts: method, seed, task_type, problem, answer_entropy (nats), as ``Study.table("test", ...)`` has them.
        rng: source of the bootstrap over problems, where there is one seed.
        reference: the method to subtract: its mean over seeds, problem by problem.

    Returns:
        Columns task_type, method, reference, value, difference, low, high, seeds, problems.
    """
    require_columns(counts, ("method", "seed", "task_type", "problem", "answer_entropy"))
    rows = []
    for task_type in known_first(counts["task_type"], TASK_COLORS):
        table = counts[counts["task_type"] == task_type]
        matrices = {
            method: table[table["method"] == method].pivot(index="seed", columns="problem", values="answer_entropy")
            for method in known_first(table["method"], METHOD_COLORS)
        }
        control = matrices.pop(reference).mean(axis=0)
        for method, values in matrices.items():
            interval = paired_seed_interval(values.to_numpy(), control[values.columns].to_numpy(), rng)
            about = {"task_type": task_type, "method": method, "reference": control.mean()}
            size = {"seeds": values.shape[0], "problems": values.shape[1]}
            rows.append(about | {"value": float(values.mean(axis=None))} | _ends(interval) | size)
    return pd.DataFrame(rows)


def plot_entropy(steps: pd.DataFrame, answers: pd.DataFrame | None = None, *, note: str = "") -> Figure:
    """Entropy over training by role, by task type, and the two estimators against each other.

    Args:
        steps: as ``entropy_by_role`` takes them, of at most four methods, which are the colours.
        answers: from ``answer_changes``, for a panel of answer-level entropy; None leaves it out.
        note: temperature, truncation, model: appended to the caption.

    Returns:
        Three rows of panels. All task types together: whole, proposer, solver. One panel a task type, with the proposer
        dashed. The estimators, a scatter with one point a row and their gap over training (points on the diagonal and a
        gap around 0 say that the logged logits are those of the distribution that was sampled from), and the answers.
    """
    data = _measured(steps)
    methods, tasks = known_first(data["method"], METHOD_COLORS), known_first(data["task_type"], TASK_COLORS)
    if len(methods) > _MOST_METHODS:
        raise ValueError(f"{len(methods)} methods in one entropy figure; draw at most {_MOST_METHODS}.")
    averaged = entropy_by_role(steps)
    columns = max(3, len(tasks))
    fig, axes = subplots(3, columns, figsize=(3.1 * columns, 8.4), layout="constrained", squeeze=False)
    for ax, role in zip(axes[0], ROLES, strict=False):
        _over_training(ax, averaged[averaged["role"] == role], "entropy_full", methods)
        keep_to_data(ax, averaged["entropy_full"], low=0.0)  # one range for all, so that panels compare
        ax.set_title(role)
    for ax, task in zip(axes[1], tasks, strict=False):
        _over_training(ax, data[data["task_type"] == task], "entropy_full", methods)
        keep_to_data(ax, data["entropy_full"], low=0.0)
        ax.set_title(task)
    for ax in axes[:2, 0]:
        ax.set_ylabel("entropy (nats per token)")
    _scatter(axes[2, 0], data)
    gap = axes[2, 1]
    _over_training(gap, averaged[averaged["role"] == "whole"], "gap", methods)
    gap.axhline(0, color="#444444", linewidth=1)
    gap.set_title("sample − full (nats)")
    if answers is not None:
        _answers(axes[2, 2], answers)
    for ax in axes.flat:
        if not ax.has_data():
            ax.set_axis_off()
        elif ax in axes[:2] or ax is gap:
            ax.set_xlabel("training step")
    seeds = int(data.groupby("method")["seed"].nunique().max())
    return finish(
        fig, _caption(data, seeds, answers is not None, note), _handles(data, methods), columns=3, seeds=seeds
    )


def _measured(steps: pd.DataFrame) -> pd.DataFrame:
    """Rows that have both entropies, with method, tokens and gap filled in."""
    require_columns(steps, ("step", "seed", "role", "task_type", "entropy_nll", "entropy_full"))
    data = steps.dropna(subset=["entropy_nll", "entropy_full"])
    if data.empty:
        raise ValueError("No row has both entropies; there is nothing to average.")
    strange = set(data["role"]) - {"proposer", "solver"}
    if strange:
        raise ValueError(f"role {sorted(strange)[0]!r} is neither proposer nor solver; their mean is made here.")
    tokens = data["tokens"] if "tokens" in data and data["tokens"].notna().all() else 1
    gap = data["entropy_nll"] - data["entropy_full"]
    data = data.assign(method=data.get("method", "selfplay"), tokens=tokens, gap=gap)
    return data[~(data["method"].isin(PROPOSALS_OF_BASE) & (data["role"] == "proposer"))]


def _ends(interval: Interval) -> dict[str, float]:
    return {"difference": interval.estimate, "low": interval.low, "high": interval.high}


def _over_seeds(values: np.ndarray) -> dict[str, float]:
    return _ends(t_interval(values)) | {"seeds": len(values)}


def _over_training(ax: Axes, data: pd.DataFrame, column: str, methods: list[str]) -> None:
    for method in methods:
        for role in data["role"].unique():
            rows = data[(data["method"] == method) & (data["role"] == role)]
            # A dashed line sets the proposer apart only where it shares a panel with the solver.
            linestyle = _ROLE_STYLES[role] if data["role"].nunique() > 1 else "-"
            plot_seeds(ax, rows, "step", column, color=method_style(method, methods)["color"], linestyle=linestyle)


def _scatter(ax: Axes, data: pd.DataFrame) -> None:
    for role in known_first(data["role"], ROLE_COLORS):
        rows = data[data["role"] == role]
        size = 6 if len(rows) > 100 else 18
        color = ROLE_COLORS[role]
        ax.scatter(rows["entropy_full"], rows["entropy_nll"], s=size, alpha=0.35, color=color, linewidths=0, label=role)
    both = data[["entropy_full", "entropy_nll"]].to_numpy()
    ends = [np.nanmin(both), np.nanmax(both)]
    ax.plot(ends, ends, color="#444444", linewidth=1)
    ax.set_title("two estimators")
    ax.text(0.04, 0.96, f"mean gap {data['gap'].mean():+.4f}", transform=ax.transAxes, va="top")
    ax.legend(loc="lower right", fontsize=8, handletextpad=0.2, markerscale=1.5)
    ax.set(xlabel="full distribution (nats)", ylabel="−log π of the sample (nats)")


def _answers(ax: Axes, answers: pd.DataFrame) -> None:
    tasks, methods = known_first(answers["task_type"], TASK_COLORS), known_first(answers["method"], METHOD_COLORS)
    for i, method in enumerate(methods):
        rows = answers[answers["method"] == method].set_index("task_type").loc[tasks]
        x = np.arange(len(tasks)) + 0.2 * (i - (len(methods) - 1) / 2)
        bars = error_bars(rows["difference"], rows["low"], rows["high"])
        style = method_style(method, methods)
        ax.errorbar(x, rows["difference"], yerr=bars, fmt=style["marker"], color=style["color"], ms=4, capsize=2)
    ax.axhline(0, color="#444444", linewidth=1)
    ax.set_xticks(range(len(tasks)), tasks, rotation=20, ha="right")
    ax.set_xlim(-0.5, len(tasks) - 0.5)
    ax.set_title("answer entropy − base's")


def _handles(data: pd.DataFrame, methods: list[str]) -> list[Line2D]:
    looks = [method_style(method, methods) for method in methods]
    handles = [Line2D([], [], color=look["color"], label=look["label"]) for look in looks]
    roles = [role for role in _ROLE_STYLES if role in set(data["role"])]
    if len(roles) > 1:
        handles += [Line2D([], [], color="#777777", linestyle=_ROLE_STYLES[r], label=f"{r} (2nd row)") for r in roles]
    return handles


def _caption(data: pd.DataFrame, seeds: int, answers: bool, note: str) -> str:
    text = f"S = {count_of(seeds, 'training seed')}, steps {data['step'].min():,} to {data['step'].max():,}. "
    if seeds > 1:
        text += "Thick: mean over seeds; thin: each seed; band: 95 % t-interval over seeds. "
    else:
        text += "Single run: no band. "
    text += "Curves: entropy of the full next-token distribution; first row weighted by tokens over task types. "
    if answers:
        over = "seeds and problems" if seeds > 1 else "problems"
        text += f"Answers: entropy over the distinct answers to a test problem, bars 95 % over {over}. "
    return (text + note).strip()
