"""RQ1: pass@k of each method and its paired difference from the base model, from counts of right samples.

    frame = pass_at_k_frame(counts, None, np.random.default_rng(0))
    save(plot_pass_at_k(frame, note="T = 1, nano"), "passk", frame, "figures")

Left out: sampling, and exact pass@k from known probabilities (``azr.metrics.exact_pass_at_k``).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.pyplot import subplots

from azr.figures.style import (
    METHOD_COLORS,
    TASK_COLORS,
    error_bars,
    finish,
    known_first,
    method_style,
    require_columns,
)
from azr.metrics.passk import pass_at_k
from azr.metrics.stats import Band, paired_seed_band, problem_band
from azr.metrics.support import crossing_bootstrap

_CROWDED = 3
COLUMNS = ("method", "seed", "task_type", "problem", "n", "c")


def default_ks(num_samples: int) -> list[int]:
    """Powers of two up to half the samples: beyond that the estimate of one problem is close to a coin toss.

    >>> default_ks(64)
    [1, 2, 4, 8, 16, 32]
    """
    return [2**i for i in range(max(num_samples // 2, 1).bit_length())]


def pass_at_k_frame(
    counts: pd.DataFrame,
    ks: Sequence[int] | None,
    rng: np.random.Generator,
    *,
    reference: str = "base",
    num_draws: int = 2000,
) -> pd.DataFrame:
    """pass@k with bands, and paired differences from the reference, tidy.

    Args:
        counts: one row a method, seed, task type and problem, with n samples of which c were right (``COLUMNS``). Every
            method must have the same problems; a task type may be any benchmark.
        ks: values of k, each at most the smallest n; None for ``default_ks`` of the smallest n.
        rng: source of the bootstrap.
        reference: the method to subtract; without rows of it there are no differences. It may have another number of
            seeds than the others: its mean over seeds is subtracted, problem by problem.
        num_draws: bootstrap draws.

    Returns:
        Columns quantity (``pass@k`` or ``difference``), method, task_type, seed (``mean`` or one seed's number), k,
        estimate, low, high, low_simultaneous, high_simultaneous, seeds, problems, samples (smallest n), band. Rows of
        one seed have an estimate only. ``band`` names what it covers: ``problems`` (other problems, these training
        runs) or ``seeds and problems``.
    """
    _check(counts)
    samples = int(counts["n"].min())
    ks = default_ks(samples) if ks is None else list(ks)
    rows: list[pd.DataFrame] = []
    for task_type in known_first(counts["task_type"], TASK_COLORS):
        of_type = counts[counts["task_type"] == task_type]
        tables = {m: _table(of_type[of_type["method"] == m], ks) for m in known_first(of_type["method"], METHOD_COLORS)}
        problems = next(iter(tables.values()))[2]
        for method, (seeds, values, own_problems) in tables.items():
            if own_problems != problems:
                raise ValueError(
                    f"{method} was not measured on the same {task_type} problems as {next(iter(tables))}; "
                    "evaluate both on one benchmark."
                )
            shared = {"task_type": task_type, "method": method, "seeds": len(seeds), "problems": len(problems)}
            band = problem_band(values.mean(axis=0), rng, num_draws=num_draws)
            rows += _rows("pass@k", seeds, values, band, ks, (0.0, 1.0), shared | {"band": "problems"})
            if method != reference and reference in tables:
                difference = values - tables[reference][1].mean(axis=0)
                band = paired_seed_band(difference, rng, num_draws=num_draws)
                covers = "problems" if len(seeds) == 1 else "seeds and problems"
                rows += _rows("difference", seeds, difference, band, ks, (-1.0, 1.0), shared | {"band": covers})
    return pd.concat(rows, ignore_index=True).assign(samples=samples)


def crossings(counts: pd.DataFrame, rng: np.random.Generator, *, reference: str = "base") -> pd.DataFrame:
    """Where each method's pass@k falls below the reference's, by task type.

    Args:
        counts: as for ``pass_at_k_frame``; k are ``default_ks`` of the smallest n.
        rng: source of the bootstrap over problems and seeds.
        reference: the method to compare with.

    Returns:
        One row a task type and method: task_type, method, k_star (NaN for no crossing), low, high (among the draws that
        cross), share_crossing, largest_k.
    """
    _check(counts)
    ks = default_ks(int(counts["n"].min()))
    rows = []
    for task_type in known_first(counts["task_type"], TASK_COLORS):
        of_type = counts[counts["task_type"] == task_type]
        base = _table(of_type[of_type["method"] == reference], ks)[1].mean(axis=0)
        for method in known_first(of_type["method"], METHOD_COLORS):
            if method != reference:
                values = _table(of_type[of_type["method"] == method], ks)[1]
                found = crossing_bootstrap(values - base, ks, rng)
                ends = {"k_star": found.estimate, "low": found.low, "high": found.high}
                share = {"share_crossing": found.share_crossing, "largest_k": ks[-1]}
                rows.append({"task_type": task_type, "method": method} | ends | share)
    return pd.DataFrame(rows)


def plot_pass_at_k(frame: pd.DataFrame, *, note: str = "", reference: str = "base") -> Figure:
    """Curves per task type above, paired differences from the reference below.

    Args:
        frame: from ``pass_at_k_frame``.
        note: decoding, model, configuration: appended to the caption.
        reference: the method that was subtracted.

    Returns:
        A figure of 2 rows (1 when the frame has no differences) and one column a task type. Dark bands are pointwise,
        light ones hold for all k at once; k beyond half the samples is shaded grey. With more than three methods only
        the pointwise bands of the differences are drawn, since more could not be told apart; the frame has them all.
    """
    tasks = known_first(frame["task_type"], TASK_COLORS)
    methods = known_first(frame["method"], METHOD_COLORS)
    differences = frame["quantity"].eq("difference").any()
    fig, axes = subplots(
        2 if differences else 1,
        len(tasks),
        figsize=(max(3.1 * len(tasks), 5.0), 6.2 if differences else 3.9),
        sharex=True,
        sharey="row",
        squeeze=False,
        layout="constrained",
    )
    samples = int(frame["samples"].iloc[0])
    for column, task in enumerate(tasks):
        of_task = frame[frame["task_type"] == task]
        _panel(axes[0, column], of_task[of_task["quantity"] == "pass@k"], methods, samples)
        axes[0, column].set_title(task)
        if differences:
            axes[1, column].axhline(0, color="#444444", linewidth=1)
            _panel(axes[1, column], of_task[of_task["quantity"] == "difference"], methods, samples)
        axes[-1, column].set_xlabel("k (samples allowed)")
    axes[0, 0].set_ylabel("pass@k")
    low = frame.loc[frame["quantity"] == "pass@k", "estimate"].min()
    axes[0, 0].set_ylim(0 if low < 0.4 else None, 1.0)
    if differences:
        axes[1, 0].set_ylabel(f"pass@k − {method_style(reference, methods)['label']}, paired")
    seeds = int(frame.loc[frame["quantity"] == "difference", "seeds"].max()) if differences else 0
    return finish(fig, _caption(frame, note), [_handle(m, methods) for m in methods], seeds=seeds)


def _panel(ax: Axes, rows: pd.DataFrame, methods: list[str], samples: int) -> None:
    crowded = len(methods) > _CROWDED
    for method in methods:
        of_method = rows[rows["method"] == method]
        if of_method.empty:
            continue
        style = method_style(method, methods)
        fill = {"color": style["color"], "lw": 0}
        mean = of_method[of_method["seed"] == "mean"].sort_values("k")
        if rows["k"].nunique() == 1:  # bands over a single k would have no width: bars, side by side
            x = mean["k"] * 1.06 ** (methods.index(method) - (len(methods) - 1) / 2)
            bars = error_bars(mean["estimate"], mean["low"], mean["high"])
            ax.errorbar(x, mean["estimate"], yerr=bars, color=style["color"], marker=style["marker"], capsize=3)
            continue
        if not crowded:
            ax.fill_between(mean["k"], mean["low_simultaneous"], mean["high_simultaneous"], alpha=0.08, **fill)
            ax.fill_between(mean["k"], mean["low"], mean["high"], alpha=0.2, **fill)
            for _, of_seed in of_method[of_method["seed"] != "mean"].groupby("seed", sort=True):
                ax.plot("k", "estimate", data=of_seed.sort_values("k"), color=style["color"], lw=0.6, alpha=0.5)
        elif rows["quantity"].iloc[0] == "difference":
            ax.fill_between(mean["k"], mean["low"], mean["high"], alpha=0.07, **fill)
        ax.plot(mean["k"], mean["estimate"], color=style["color"], marker=style["marker"], markersize=4)
    ks = sorted(rows["k"].unique())
    ax.set_xscale("log", base=2)
    ax.set_xticks(ks[:: 1 + len(ks) // 9], [f"{k:,}" for k in ks[:: 1 + len(ks) // 9]])
    ax.minorticks_off()
    if len(ks) == 1:
        ax.set_xlim(ks[0] / 1.5, ks[0] * 1.5)
    elif ks and ks[-1] > samples / 2:
        ax.axvspan(samples / 2, ks[-1], color="#999999", alpha=0.2, lw=0, zorder=0)


def _caption(frame: pd.DataFrame, note: str) -> str:
    mean = frame[frame["seed"] == "mean"]
    trained = mean[mean["quantity"] == "difference"]
    seeds = (trained if len(trained) else mean).groupby("method", sort=False)["seeds"].max()
    problems = mean.groupby("task_type", sort=False)["problems"].max()
    text = f"S = {_per_group(seeds)} training seeds, " if len(trained) else ""
    text += f"M = {_per_group(problems)} problems a panel"
    text += f", n = {int(frame['samples'].iloc[0])} samples a problem."
    pointwise = mean["method"].nunique() > _CROWDED or mean["k"].nunique() == 1
    if pointwise:
        text += " Bands: 95 %, pointwise,"
    else:
        text += " Bands: 95 %, dark pointwise, light for all k at once; curves over problems" + (
            "," if len(trained) else ""
        )
    if len(trained):
        text += f" differences over {trained['band'].max()}"
    text += "."
    if seeds.max() == 1 and len(trained):
        text += " Single run: the bands say nothing about other training seeds."
    elif seeds.max() > 1 and not pointwise:
        text += " Thin lines: one seed each."
    return f"{text} {note}".strip()


def _per_group(numbers: pd.Series) -> str:
    """One number where all groups agree, else each with the name of its group."""
    if numbers.nunique() == 1:
        return str(numbers.iloc[0])
    return ", ".join(f"{number} ({name})" for name, number in numbers.items())


def _handle(method: str, methods: list[str]) -> Line2D:
    return Line2D([], [], markersize=5, **method_style(method, methods))


def _check(counts: pd.DataFrame) -> None:
    require_columns(counts, COLUMNS)
    twice = counts.duplicated(["method", "seed", "task_type", "problem"])
    if twice.any():
        row = counts[twice].iloc[0]
        raise ValueError(f"{row['method']} seed {row['seed']} has problem {row['problem']} ({row['task_type']}) twice.")


def _table(rows: pd.DataFrame, ks: Sequence[int]) -> tuple[list, np.ndarray, list]:
    """Seeds, pass@k [S, M, K] and problems of one method and task type; each seed must have every problem."""
    n = rows.pivot(index="seed", columns="problem", values="n")
    c = rows.pivot(index="seed", columns="problem", values="c")
    if n.isna().any(axis=None):
        raise ValueError(f"{rows['method'].iloc[0]} has seeds that lack some {rows['task_type'].iloc[0]} problems.")
    values = np.stack([pass_at_k(n.to_numpy(), c.to_numpy(), k) for k in ks], axis=-1)
    return list(n.index), values, list(n.columns)


def _rows(
    quantity: str,
    seeds: list,
    values: np.ndarray,
    band: Band,
    ks: Sequence[int],
    bounds: tuple[float, float],
    shared: dict,
) -> list[pd.DataFrame]:
    mean = {
        "estimate": band.estimate,
        "low": band.low.clip(*bounds),
        "high": band.high.clip(*bounds),
        "low_simultaneous": band.low_simultaneous.clip(*bounds),
        "high_simultaneous": band.high_simultaneous.clip(*bounds),
    }
    frames = [pd.DataFrame({"quantity": quantity, "seed": "mean", "k": ks} | mean | shared)]
    for seed, of_seed in zip(seeds, values.mean(axis=1), strict=True):
        if len(seeds) > 1:
            frames.append(
                pd.DataFrame({"quantity": quantity, "seed": str(seed), "k": ks, "estimate": of_seed} | shared)
            )
    return frames
