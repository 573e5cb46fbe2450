"""``azr compare FOLDER FOLDER [...]``: results of ``azr evaluate --benchmark`` in one figure.

    azr compare runs/laptop/Qwen2.5-0.5B/base runs/laptop/Qwen2.5-0.5B/selfplay-seed0 --out figures
    azr compare base/benchmarks/math500 run/benchmarks/math500

A folder is a result (it has ``problems.csv``) or holds results under ``benchmarks/``. Differences are taken from the
first folder, problem by problem; runs of one arm are its training seeds. Writes ``compare.png``, ``.pdf`` and ``.csv``.
Left out: comparing results that were decoded differently or on other problems; they are refused.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from azr.benchmarks.decoding import Decoding
from azr.benchmarks.run import FOLDER
from azr.benchmarks.sampling import COUNTS, RECORD
from azr.errors import UserError
from azr.files import REMOVE, reading
from azr.paths import RUNS

NAME = "compare"
TYPES = {"task_type": str, "problem": str, "digest": str, "n": int, "c": int}
"""Columns of a result that are compared."""


@dataclass(frozen=True)
class Result:
    """One result folder."""

    folder: Path
    record: dict[str, Any]
    decoding: str
    counts: pd.DataFrame

    @property
    def benchmark(self) -> str:
        return self.record["benchmark"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``azr compare``."""
    parser.add_argument("folders", metavar="FOLDER", type=Path, nargs="+", help="the first is what others differ from")
    parser.add_argument("--out", type=Path, default=RUNS / NAME, metavar="FOLDER", help="default: runs/compare")


def main(args: argparse.Namespace) -> int:
    """Draw, print the differences at both ends, and say where the figure is."""
    if len(args.folders) < 2:
        raise UserError("one folder is nothing to compare: give two or more")
    results = [result for folder in args.folders for result in read_results(folder)]
    methods = method_names(results)
    counts = comparable_counts(results, methods)
    from azr.figures.passk import pass_at_k_frame, plot_pass_at_k
    from azr.figures.style import save, use_style

    frame = pass_at_k_frame(counts, None, np.random.default_rng(0), reference=methods[0])
    use_style()
    models = ", ".join(dict.fromkeys(result.record["model"] for result in results))
    figure = plot_pass_at_k(frame, note=f"{models}; {results[0].decoding}.", reference=methods[0])
    save(figure, NAME, frame, args.out)
    print(_report(frame, methods[0]))
    print(f"drawn: {args.out / NAME}.png, .pdf and .csv")
    return 0


def read_results(folder: Path) -> list[Result]:
    """The result in ``folder``, or all results under its ``benchmarks``."""
    found = [folder] if (folder / RECORD).exists() else sorted(folder.glob(f"{FOLDER}/*/"))
    if not found:
        raise UserError(f"{folder} holds no result: make one by azr evaluate --benchmark NAME")
    results = []
    advice = f"{REMOVE}run the same azr evaluate command again"
    for place in found:
        if not (place / COUNTS).exists():
            raise UserError(f"{place} is not finished: run the same azr evaluate command again")
        with reading(place / RECORD, advice):
            whole = json.loads((place / RECORD).read_text(encoding="utf-8"))
            record = {key: whole[key] for key in ("benchmark", "method", "seed", "model")}
            decoding = _decoding(whole["decoding"])
        with reading(place / COUNTS, advice):
            counts = pd.read_csv(place / COUNTS, usecols=list(TYPES), dtype=TYPES)
            if counts.empty or counts.isna().any(axis=None):
                raise ValueError("It holds no problem, or a part of one.")
        results.append(Result(place, record, decoding, counts))
    return results


def method_names(results: Sequence[Result]) -> list[str]:
    """What each result is called: its arm, with the model where the results have several models of that arm."""
    models: dict[str, set[str]] = {}
    for result in results:
        models.setdefault(result.record["method"], set()).add(result.record["model"])
    several = {method for method, names in models.items() if len(names) > 1}
    names = []
    for result in results:
        method, model = result.record["method"], result.record["model"]
        plain = model if method == "base" else f"{method} of {model}"
        names.append(plain if method in several else method)
    return names


def comparable_counts(results: Sequence[Result], methods: Sequence[str]) -> pd.DataFrame:
    """The counts of all results with method and seed. Raises UserError where they do not bear comparison."""
    first: dict[str, Result] = {}
    seen: dict[tuple[str, str, int], Result] = {}
    tables = []
    for result, method in zip(results, methods, strict=True):
        key = (result.benchmark, method, result.record["seed"])
        if key in seen:
            raise UserError(
                f"{seen[key].folder} and {result.folder} are both {method}, seed {key[2]}, on {key[0]}: leave one out"
            )
        seen[key] = result
        _demand_same(first.setdefault(result.benchmark, result), result)
        tables.append(result.counts.assign(method=method, seed=result.record["seed"]))
    for benchmark, result in first.items():
        if len({method for name, method, _ in seen if name == benchmark}) < 2:
            raise UserError(f"only {result.folder} has {benchmark}: measure the others on it, or name single results")
    return pd.concat(tables, ignore_index=True)


def _demand_same(first: Result, other: Result) -> None:
    """Raise UserError where two results differ in decoding or in their problems."""
    both = f"{first.folder} and {other.folder}"
    if first.decoding != other.decoding:
        raise UserError(
            f"{both} were decoded differently ({first.decoding}; {other.decoding}): evaluate one of them again"
        )
    problems = first.counts.set_index("problem")["digest"], other.counts.set_index("problem")["digest"]
    lacking = [len(a.index.difference(b.index)) for a, b in (problems, problems[::-1])]
    if any(lacking):
        raise UserError(
            f"{both} do not have the same problems of {first.benchmark} ({lacking[0]} only in the first, {lacking[1]} "
            "only in the second): evaluate both with the same --data and --limit"
        )
    changed = problems[0].index[problems[0] != problems[1].reindex(problems[0].index)]
    if len(changed):
        raise UserError(
            f"problem {changed[0]} of {first.benchmark} has another text or gold answer in {first.folder} than in "
            f"{other.folder}: evaluate both on the same --data"
        )


def _decoding(settings: dict[str, Any]) -> str:
    return str(Decoding(**settings | {"seed": 0, "stop": tuple(settings["stop"])}))


def _report(frame: pd.DataFrame, reference: str) -> str:
    """The paired differences at the smallest and the largest k."""
    mean = frame[(frame["quantity"] == "difference") & (frame["seed"] == "mean")]
    lines = [f"pass@k minus {reference}, paired by problem, 95 % intervals:"]
    for row in mean[mean["k"].isin([frame["k"].min(), frame["k"].max()])].itertuples():
        interval = f"{row.estimate:+.3f} [{row.low:+.3f}, {row.high:+.3f}]"
        lines.append(f"  {row.task_type}, {row.method}, k = {row.k}: {interval}, over {row.band}")
    return "\n".join(lines)
