"""Arms against each other and against what they cost: validation accuracy over steps and over trained tokens.

    logs = {arm: study.records(arm) for arm in ("sft", "rlvr")}
    frame = learning_frame(logs, study.table("validation", []), problems=32)
    save(plot_learning(frame, ("loss", "token accuracy")), "fig01_sft", frame, "figures")
    save(plot_budgets(frame), "fig02_budgets", frame, "figures")
    table = budget_table(frame)

Arms take the same number of steps with the same number of responses in each, but not of the same length, so the tokens
that were trained on differ. Left out: what sampling costs in time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.pyplot import subplots
from matplotlib.ticker import MaxNLocator

from azr.figures.style import (
    METHOD_COLORS,
    TASK_COLORS,
    count_of,
    finish,
    keep_to_data,
    known_first,
    method_style,
    plot_seeds,
    require_columns,
)
from azr.metrics.stats import t_interval

ALL = "all"
"""The task type of a quantity that is not split by it; of validation accuracy the mean over task types."""
ACCURACY = "validation accuracy"
GENERATED = ("proposed", "estimated", "solved")
"""Kinds of tokens in a log that a policy had to sample; ``trained`` are those in the loss."""
_GROUPED = {"reward": "solver reward", "entropy_full": "solver entropy (nats)", "length": "response length (tokens)"}
_WHOLE = {"loss": "loss", "token_accuracy": "token accuracy"}


def learning_frame(
    logs: Mapping[str, Iterable[Sequence[Mapping[str, Any]]]], validation: pd.DataFrame, problems: int
) -> pd.DataFrame:
    """The logs of training as one row a quantity, step and task type, with what had been spent until then.

    Args:
        logs: of each arm the log of each seed, one record a step (``azr.study.Study.records``).
        validation: the measured validation problems of the untrained model among its rows: method (``base``),
            task_type, n, c; of each task type in the order of the set.
        problems: of each task type, how many of them training validates on (the first ones); the base's level is of
            these. It has samples of its own, more of them than a validation during training.

    Returns:
        method, seed, step, task_type, responses, trained_tokens, generated_tokens (the last three summed up to and
        including the step), quantity, value. Quantities: ``validation accuracy`` (at steps that have it; also of
        ``base``, at step 0, for the same task types), and of the solver reward, entropy and response length, and loss
        and token accuracy, as logged.
    """
    rows: list[dict[str, Any]] = []
    for method, runs in logs.items():
        for seed, records in enumerate(runs):
            spent = {"responses": 0, "trained_tokens": 0, "generated_tokens": 0}
            for record in records:
                groups, tokens = record["groups"], record["tokens"]
                spent["responses"] += sum(round(g["tokens"] / g["length"]) for g in groups.values() if g["length"])
                spent["trained_tokens"] += tokens["trained"]
                spent["generated_tokens"] += sum(tokens.get(kind, 0) for kind in GENERATED)
                about = {"method": method, "seed": seed, "step": record["step"]} | spent
                rows += [about | quantity for quantity in _quantities(record)]
    seen = {row["task_type"] for row in rows if row["quantity"] == ACCURACY}
    base = validation[(validation["method"] == "base") & validation["task_type"].isin(seen)]
    base = base.groupby("task_type", sort=False).head(problems)
    level = base["c"].div(base["n"]).groupby(base["task_type"], sort=False).mean()
    about = {"method": "base", "seed": 0, "step": 0, "responses": 0, "trained_tokens": 0, "generated_tokens": 0}
    if len(level):
        rows += [about | quantity for quantity in _accuracies(level.to_dict())]
    columns = [*about, "task_type", "quantity", "value"]
    return pd.DataFrame(rows)[columns]


def budget_table(frame: pd.DataFrame) -> pd.DataFrame:
    """What each arm spent, and its validation accuracy where all have trained on about as many tokens.

    Args:
        frame: from ``learning_frame``.

    Returns:
        One row an arm and seed: method, seed, steps, responses, trained_tokens, generated_tokens, accuracy (mean over
        task types at the last validated step), matched_tokens (all that were trained on by the arm that trained on
        fewest, with this seed), matched_step (the arm's last validated step whose summed trained tokens do not exceed
        it) and matched_accuracy (there). The last two are NaN where no step was validated so early.
    """
    runs = frame[frame["method"] != "base"]
    ends = runs.groupby(["method", "seed"], sort=False)[
        ["step", "responses", "trained_tokens", "generated_tokens"]
    ].max()
    fewest = ends.groupby("seed")["trained_tokens"].min()
    validated = runs[(runs["quantity"] == ACCURACY) & (runs["task_type"] == ALL)].sort_values("step")
    rows = []
    for (method, seed), end in ends.iterrows():
        own = validated[(validated["method"] == method) & (validated["seed"] == seed)]
        within = own[own["trained_tokens"] <= fewest[seed]]
        row = {"method": method, "seed": seed, "steps": end["step"], **end.drop("step").to_dict()}
        row |= {"accuracy": own["value"].iloc[-1] if len(own) else None, "matched_tokens": fewest[seed]}
        last = within.iloc[-1] if len(within) else {"step": None, "value": None}
        rows.append(row | {"matched_step": last["step"], "matched_accuracy": last["value"]})
    return pd.DataFrame(rows).astype({"accuracy": float, "matched_step": float, "matched_accuracy": float})


def budget_means(table: pd.DataFrame) -> pd.DataFrame:
    """Means over seeds of ``budget_table``, with a 95 % t-interval of the accuracies.

    Returns:
        method, seeds, steps, responses, trained_tokens, generated_tokens, and for ``accuracy`` and ``matched_accuracy``
        the mean, ``_low`` and ``_high`` (NaN for a single seed); matched_tokens and matched_step.
    """
    rows = []
    for method, own in table.groupby("method", sort=False):
        row: dict[str, Any] = {"method": method, "seeds": len(own)}
        row |= own.drop(columns=["method", "seed", "accuracy", "matched_accuracy"]).mean().to_dict()
        for column in ("accuracy", "matched_accuracy"):
            interval = t_interval(own[column])
            row |= {column: interval.estimate, f"{column}_low": interval.low, f"{column}_high": interval.high}
        rows.append(row)
    return pd.DataFrame(rows)


def plot_learning(frame: pd.DataFrame, quantities: Sequence[str], *, note: str = "") -> Figure:
    """One arm: its quantities over training, then validation accuracy over steps and over trained tokens.

    Args:
        frame: from ``learning_frame`` of one arm; the base's rows are the dashed lines.
        quantities: names in the column ``quantity``; one that the log does not have is left out.
        note: model, profile, configuration: appended to the caption.

    Returns:
        A figure of two or three columns. Colours are task types; grey is what is not split by them.
    """
    runs = frame[frame["method"] != "base"]
    shown = [name for name in quantities if (runs["quantity"] == name).any()]
    panels = len(shown) + 2
    columns = 2 if panels == 4 else 3
    rows = -(-panels // columns)
    fig, axes = subplots(rows, columns, figsize=(9.3, 3.1 * rows), layout="constrained", squeeze=False)
    colors = {str(task): TASK_COLORS.get(str(task), "#7A5195") for task in known_first(runs["task_type"], TASK_COLORS)}
    colors |= {ALL: "#444444"}
    cells = list(axes.flat)
    for ax, name in zip(cells, shown, strict=False):
        own = runs[runs["quantity"] == name]
        for task, color in colors.items():
            plot_seeds(ax, own[own["task_type"] == task], "step", "value", color=color)
        keep_to_data(ax, own["value"])
        ax.set(title=name, xlabel="training step")
    tasks = [task for task in colors if task != ALL]
    for ax, x in zip(cells[len(shown) :], ("step", "trained_tokens"), strict=False):
        curves = {task: (frame[frame["task_type"] == task], colors[task]) for task in tasks}
        _accuracy(ax, curves, x)
    for ax in cells[panels:]:
        ax.set_axis_off()
    handles = [Line2D([], [], color=color, label=task) for task, color in colors.items() if task != ALL]
    handles.append(Line2D([], [], color="#777777", linestyle="--", label="base"))
    seeds = runs["seed"].nunique()
    return finish(fig, _caption(runs, note), handles, columns=5, seeds=seeds)


def plot_budgets(frame: pd.DataFrame, *, note: str = "") -> Figure:
    """Several arms: validation accuracy, mean over task types, against steps and against trained tokens.

    Args:
        frame: from ``learning_frame``; the base's rows are the dashed line.
        note: model, profile, configuration: appended to the caption.
    """
    require_columns(frame, ("method", "seed", "step", "trained_tokens", "task_type", "quantity", "value"))
    runs = frame[frame["method"] != "base"]
    methods = known_first(runs["method"], METHOD_COLORS)
    whole = frame[frame["task_type"] == ALL]
    fig, axes = subplots(1, 2, figsize=(9.3, 3.8), layout="constrained", sharey=True)
    for ax, x in zip(axes, ("step", "trained_tokens"), strict=True):
        curves = {m: (whole[whole["method"] == m], method_style(m, methods)["color"]) for m in [*methods, "base"]}
        _accuracy(ax, curves, x)
    axes[1].set_ylabel("")
    handles = [Line2D([], [], color=method_style(m, methods)["color"], label=method_style(m)["label"]) for m in methods]
    handles.append(Line2D([], [], color=METHOD_COLORS["base"], linestyle="--", label="base"))
    seeds = int(runs.groupby("method")["seed"].nunique().max())
    return finish(fig, _caption(runs, f"Accuracy: mean over task types. {note}"), handles, seeds=seeds)


def _accuracy(ax: Axes, curves: Mapping[str, tuple[pd.DataFrame, str]], x: str) -> None:
    """Validation accuracy over steps or trained tokens, with the base's level; of each curve its rows and colour."""
    drawn = []
    for rows, color in curves.values():
        own = rows[rows["quantity"] == ACCURACY]
        base, runs = own[own["method"] == "base"], own[own["method"] != "base"]
        if x == "trained_tokens":  # seeds validate at the same steps, not at the same numbers of tokens
            runs = runs.assign(trained_tokens=runs.groupby("step")["trained_tokens"].transform("mean"))
        plot_seeds(ax, runs, x, "value", color=color)
        for level in base["value"]:
            ax.axhline(level, color=color, linestyle="--", linewidth=1)
        drawn.append(own["value"])
    keep_to_data(ax, pd.concat(drawn), 0.0, 1.0)
    if x == "trained_tokens":
        ax.xaxis.set_major_locator(MaxNLocator(5))
        ax.xaxis.set_major_formatter(lambda value, _: f"{value / 1000:g}k" if value else "0")
    ax.set(title=f"accuracy over {'tokens' if x == 'trained_tokens' else 'steps'}", ylabel=ACCURACY)
    ax.set_xlabel("tokens trained on" if x == "trained_tokens" else "training step")


def _quantities(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Task type, quantity and value of everything that a record has."""
    rows = [
        {"task_type": name.partition("/")[0], "quantity": label, "value": group[key]}
        for name, group in record["groups"].items()
        if name.endswith("/solver")
        for key, label in _GROUPED.items()
        if key in group
    ]
    rows += [
        {"task_type": ALL, "quantity": label, "value": record[key]} for key, label in _WHOLE.items() if key in record
    ]
    return rows + (_accuracies(record["validation"]) if "validation" in record else [])


def _accuracies(by_task: Mapping[str, float]) -> list[dict[str, Any]]:
    """Validation accuracy of each task type, and their mean."""
    values = {**by_task, ALL: sum(by_task.values()) / len(by_task)}
    return [{"task_type": task, "quantity": ACCURACY, "value": value} for task, value in values.items()]


def _caption(runs: pd.DataFrame, note: str) -> str:
    seeds = int(runs.groupby("method")["seed"].nunique().max())
    text = f"S = {count_of(seeds, 'training seed')}, {count_of(runs['step'].nunique(), 'step')}. "
    if seeds > 1:
        text += "Thick: mean over seeds; thin: each seed; band: 95 % t-interval over seeds. "
        text += "Tokens: those in the loss, summed over steps, mean over seeds. "
    else:
        text += "Single run: no band. Tokens: those in the loss, summed over steps. "
    text += "Validation: the same problems and random numbers at every step; the base has samples of its own. "
    return (text + note).strip()
