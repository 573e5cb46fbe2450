"""RQ1's leash: pass@k to a million samples from exact bounds, and which right answers the base already had.

    save(plot_exact_pass_at_k(frame := exact_pass_frame(exact)), "exact_passk", frame, "figures")
    save(plot_leash(frame := leash_frame(exact)), "leash", frame, "figures")

``exact`` holds the tables that ``azr evaluate --exact`` writes, with method and seed (``azr.exact.gains.COLUMNS``), and
the samples where ``azr.exact.gains.with_counts`` has added them.
Left out: intervals over seeds and problems, which ``azr.exact.gains.exact_gains`` has for one k.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.pyplot import subplots

from azr.exact.gains import COLUMNS, problem_matrices
from azr.figures.style import METHOD_COLORS, TASK_COLORS, count_of, finish, known_first, method_style, require_columns
from azr.metrics.passk import exact_pass_at_k, pass_at_k
from azr.metrics.support import support_change

ABSENT, PRESENT = -20.0, -7.0
"""Log-probability of right answers (nats) below which a problem is out of a model's reach, and above which within."""
LOOSE = float(np.log(2))
"""Bounds further apart than this (nats: a factor of two) are drawn as open."""
OPEN = 0.05
"""A certified range of mean pass@k wider than this is drawn as open."""
KS = np.unique(np.logspace(0, 6, 49).round())


def exact_pass_frame(exact: pd.DataFrame) -> pd.DataFrame:
    """Mean pass@k over problems and seeds between its certified bounds.

    Returns one row a task type, method and k (1 to 10^6): task_type, method, k, lower, upper, sampled, seeds, problems.
    ``sampled`` is the unbiased estimate from n samples, each problem's moved to its nearer bound; NaN for k above n / 2
    and where ``exact`` has no samples.
    """
    require_columns(exact, COLUMNS)
    rows = []
    for task_type in known_first(exact["task_type"], TASK_COLORS):
        of_type = exact[exact["task_type"] == task_type]
        matrices = {
            name: problem_matrices(of_type, name) for name in ("log_lower", "log_upper", "n", "c") if name in exact
        }
        for method in known_first(of_type["method"], METHOD_COLORS):
            of_method = {name: values[method] for name, values in matrices.items()}
            seeds, problems = of_method["log_lower"].shape
            lower, upper = (exact_pass_at_k(of_method[f"log_{end}"].ravel(), KS[:, None]) for end in ("lower", "upper"))
            curves = {"lower": lower.mean(axis=1), "upper": upper.mean(axis=1), "sampled": np.nan}
            if "n" in of_method:
                curves["sampled"] = _sampled(of_method["n"].ravel(), of_method["c"].ravel(), lower, upper)
            about = {"task_type": task_type, "method": method, "seeds": seeds, "problems": problems}
            rows.append(pd.DataFrame({"k": KS.astype(int)} | curves | about))
    return pd.concat(rows, ignore_index=True)[["task_type", "method", "k", *curves, "seeds", "problems"]]


def _sampled(n: np.ndarray, c: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """Mean unbiased pass@k at each of ``KS`` [K], within bounds [K, problems]; NaN for k above n / 2."""
    means = np.full(len(KS), np.nan)
    for i in np.flatnonzero(n.min() / 2 >= KS):
        means[i] = pass_at_k(n, c, int(KS[i])).clip(lower[i], upper[i]).mean()
    return means


def plot_exact_pass_at_k(frame: pd.DataFrame, *, note: str = "") -> Figure:
    """A panel a task type: the certified range of pass@k, a line in its middle where it is narrow, samples elsewhere.

    Args:
        frame: from ``exact_pass_frame``.
        note: model and settings, appended to the caption.

    Returns:
        A figure. Where the range is wider than ``OPEN`` the bounds are dashed, since they do not say where pass@k lies,
        and what sampling says of it is dotted.
    """
    tasks = known_first(frame["task_type"], TASK_COLORS)
    methods = known_first(frame["method"], METHOD_COLORS)
    fig, axes = subplots(
        1, len(tasks), figsize=(max(3.4 * len(tasks), 5.0), 4.1), sharey=True, squeeze=False, layout="constrained"
    )
    for ax, task in zip(axes[0], tasks, strict=True):
        for method in methods:
            rows = frame[(frame["task_type"] == task) & (frame["method"] == method)].sort_values("k")
            if len(rows):
                _band(ax, rows, method_style(method, methods)["color"], alpha=0.3 / (1 + len(methods)))
        ax.set_xscale("log")
        ax.set_xticks([1, 100, 10_000, 1_000_000])
        ax.minorticks_off()
        ax.set_ylim(0, 1.02)
        ax.set_xlabel("k (samples allowed)")
        ax.set_title(task)
    axes[0, 0].set_ylabel("pass@k")
    handles = [Line2D([], [], color=s["color"], label=s["label"]) for s in (method_style(m, methods) for m in methods)]
    handles += [
        Line2D([], [], color="#777777", linestyle=":", label="by sampling, range open"),
        Line2D([], [], color="#777777", linestyle="--", linewidth=0.9, label="bounds, range open"),
    ]
    trained = frame[frame["method"] != "base"]
    seeds = int((trained if len(trained) else frame)["seeds"].max())
    caption = (
        f"Mean over {_range(frame['problems'])} problems a panel and {count_of(seeds, 'training seed')}; the "
        "probability p of a right response has certified bounds, so pass@k = 1 − (1 − p)^k is in the shaded range. "
        f"Solid, in its middle, where that is at most {OPEN:g} wide; else dashed, and for k to half the samples dotted "
        f"at their unbiased estimate, held within the bounds. {note}"
    )
    return finish(fig, caption.strip(), handles, columns=3, seeds=seeds if len(trained) else 0)


def leash_frame(exact: pd.DataFrame, *, reference: str = "base", by: str = "log_lower") -> pd.DataFrame:
    """Bounds of each problem under a trained model beside those under the reference.

    Returns one row a method, seed, task type and problem: method, seed, task_type, problem, base_lower, base_upper,
    log_lower, log_upper (nats), ``loose``: whether either pair of bounds is a factor of two or more apart, and what
    stands for the truth, ``base`` and ``trained``: the column that ``by`` names, log_lower or log_estimate. A reference
    of several seeds counts with its mean probability.
    """
    require_columns(exact, COLUMNS)
    of_reference = exact[exact["method"] == reference]
    if of_reference.empty:
        raise ValueError(f"The frame has no rows of {reference}; there is nothing to compare with.")
    grouped = of_reference.groupby(["task_type", "problem"])
    columns = {"base_lower": ("log_lower", _log_mean), "base_upper": ("log_upper", _log_mean), "base": (by, _log_mean)}
    base = grouped.agg(**columns)
    trained = exact[exact["method"] != reference]
    frame = trained.merge(base.reset_index(), on=["task_type", "problem"], how="left", validate="many_to_one")
    if frame["base_lower"].isna().any():
        raise ValueError(f"{reference} was not measured on all problems; measure all with the same settings.")
    gaps = np.maximum(frame["log_upper"] - frame["log_lower"], frame["base_upper"] - frame["base_lower"])
    frame["loose"] = gaps > LOOSE
    frame["trained"] = frame[by]
    kept = [*COLUMNS[:4], "base_lower", "base_upper", "log_lower", "log_upper", "loose", "base", "trained"]
    return frame[kept].assign(by=by)


def plot_leash(frame: pd.DataFrame, *, note: str = "") -> Figure:
    """A panel a method: log-probability of right answers under the base (x) and after training (y), a dot a problem.

    Args:
        frame: from ``leash_frame``; a problem's dot is at its mean over seeds.
        note: model and settings, appended to the caption.

    Returns:
        A figure. Dots stand at ``base`` and ``trained``, hollow where the bounds of one of the two models are loose. A
        dot in the shaded corner would be a problem that training brought from out of the base's reach into the model's.
    """
    require_columns(frame, ("method", "seed", "task_type", "problem", "base", "trained", "loose", "by"))
    methods = known_first(frame["method"], METHOD_COLORS)
    tasks = known_first(frame["task_type"], TASK_COLORS)
    fig, axes = subplots(
        1, len(methods), figsize=(max(3.6 * len(methods), 5.0), 5.0), sharey=True, squeeze=False, layout="constrained"
    )
    low = min(frame["base"].min(), frame["trained"].min(), ABSENT) - 2.5
    for ax, method in zip(axes[0], methods, strict=True):
        dots = frame[frame["method"] == method].groupby(["task_type", "problem"], as_index=False)
        _leash_panel(ax, dots.agg({"base": "mean", "trained": "mean", "loose": "any"}), tasks, low)
        ax.set_title(method_style(method, methods)["label"])
        ax.set_xlabel("log p under the base (nats)")
    axes[0, 0].set_ylabel("log p after training (nats)")
    handles = [Line2D([], [], linestyle="", marker="o", color=_task_color(t, tasks), label=t) for t in tasks]
    handles += [
        Line2D([], [], linestyle="", marker="o", color="#777777", markerfacecolor="none", label="loose bounds"),
        Patch(color="#D55E00", alpha=0.12, label="beyond the leash"),
    ]
    seeds = int(frame.groupby("method")["seed"].nunique().max())
    by_bounds = frame["by"].iloc[0] == "log_lower"
    place = "lower bound" if by_bounds else "sampled frequency, held within the bounds"
    doubt = ", the truth lies above, to the right, or both" if by_bounds else ", the truth may lie elsewhere"
    caption = (
        f"p: probability that one response is right; each dot a problem, at the {place}, mean over "
        f"{count_of(seeds, 'training seed')}. Hollow: bounds a factor of two or more apart{doubt}. "
        f"Dashed: −{-ABSENT:g} (out of reach) and −{-PRESENT:g} (within reach). {note}"
    )
    return finish(fig, caption.strip(), handles, columns=3, seeds=seeds)


def leash_counts(exact: pd.DataFrame, *, reference: str = "base") -> pd.DataFrame:
    """Problems by what training did to their right answers, from exact bounds with ``ABSENT`` and ``PRESENT``.

    Returns one row a method, seed and task type: kept, lost, gained, neither, unclear by the lower bounds
    (``azr.metrics.support_change``), problems, and by the certified bounds alone: ``certainly_gained`` (upper bound
    under the reference below ABSENT, lower bound after training above PRESENT), ``certainly_lost`` (the reverse), and
    ``certainly_reachable``, problems whose lower bound under the reference is above ABSENT: they cannot be gained.
    """
    rows = []
    groups = leash_frame(exact, reference=reference).groupby(["method", "seed", "task_type"], sort=False)
    for (method, seed, task_type), t in groups:
        change = vars(support_change(t["base_lower"], t["log_lower"], present=PRESENT, absent=ABSENT))
        certain = {
            "certainly_gained": int(((t["base_upper"] <= ABSENT) & (t["log_lower"] >= PRESENT)).sum()),
            "certainly_lost": int(((t["base_lower"] >= PRESENT) & (t["log_upper"] <= ABSENT)).sum()),
            "certainly_reachable": int((t["base_lower"] > ABSENT).sum()),
        }
        about = {"method": method, "seed": seed, "task_type": task_type, "problems": len(t)}
        rows.append(about | change | certain)
    return pd.DataFrame(rows)


def support_counts(counts: pd.DataFrame, *, reference: str = "base") -> pd.DataFrame:
    """Problems kept, lost and gained by sampling: at least one of n samples right, under the reference and after.

    Args:
        counts: columns method, seed, task_type, problem, n, c; the reference has one seed, and n is the same for all.
        reference: the method to compare with.

    Returns:
        One row a method, seed and task type: kept, lost, gained, neither (``unclear`` is 0 here), problems, samples.
        A problem at 0 of n may still have a probability of up to 3 / n (``azr.metrics.unseen_probability``).
    """
    require_columns(counts, ("method", "seed", "task_type", "problem", "n", "c"))
    if counts["n"].nunique() != 1:
        raise ValueError("Problems were measured with different numbers of samples; none can be called lost or gained.")
    rows = []
    for task_type, table in counts.groupby("task_type", sort=False):
        matrices = problem_matrices(table, "c")
        (base,) = matrices.pop(reference)
        seeds = {m: sorted(t["seed"].unique()) for m, t in table.groupby("method")}
        for method, values in matrices.items():
            for seed, own in zip(seeds[method], values, strict=True):
                change = vars(support_change(base, own, present=1, absent=0))
                about = {"method": method, "seed": seed, "task_type": task_type, "problems": len(base)}
                rows.append(about | change | {"samples": int(counts["n"].iloc[0])})
    return pd.DataFrame(rows)


def _band(ax: Axes, rows: pd.DataFrame, color: str, alpha: float) -> None:
    k, lower, upper = (rows[c].to_numpy(dtype=float) for c in ("k", "lower", "upper"))
    is_open = upper - lower > OPEN
    ax.fill_between(k, lower, upper, color=color, alpha=alpha, linewidth=0)
    for bound in (lower, upper):
        ax.plot(k, np.where(is_open, bound, np.nan), color=color, linestyle="--", linewidth=0.7)
    ax.plot(k, np.where(is_open, rows["sampled"], np.nan), color=color, linestyle=":", linewidth=1.5)
    ax.plot(k, np.where(is_open, np.nan, (lower + upper) / 2), color=color)


def _leash_panel(ax: Axes, dots: pd.DataFrame, tasks: list[str], low: float) -> None:
    ax.axhspan(PRESENT, 2, xmax=(ABSENT - low) / (2 - low), color="#D55E00", alpha=0.12, linewidth=0)
    ax.axvline(ABSENT, color="#777777", linestyle="--", linewidth=0.9)
    ax.axhline(PRESENT, color="#777777", linestyle="--", linewidth=0.9)
    ax.plot([low, 2], [low, 2], color="#444444", linewidth=0.9)
    for task in tasks:
        color = _task_color(task, tasks)
        for loose, some in dots[dots["task_type"] == task].groupby("loose"):
            face = "none" if loose else color
            ax.scatter(some["base"], some["trained"], s=26, facecolors=face, edgecolors=color, alpha=0.8)
    ax.set_xlim(low, 2)
    ax.set_ylim(low, 2)


def _task_color(task: str, tasks: list[str]) -> str:
    return TASK_COLORS.get(task) or method_style(task, tasks)["color"]


def _log_mean(log_p: pd.Series) -> float:
    return float(np.logaddexp.reduce(log_p) - np.log(len(log_p)))


def _range(numbers: pd.Series) -> str:
    low, high = int(numbers.min()), int(numbers.max())
    return str(low) if low == high else f"{low} to {high}"
