"""The benchmarks by name, and their problems from the hub or from a file.

    problems = load("math500", limit=50)                      # from the hub, by `datasets`
    problems, broken = read_file(BENCHMARKS["aime24"], "aime24.jsonl")

``load(name, data=FILE)`` reads JSONL with the same columns; a row that cannot be used is reported by its line and costs
only itself. Hub data sets are named here and nowhere else; left out: their revisions (pin one by a local file).
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from azr.benchmarks.base import Benchmark, Problem
from azr.benchmarks.evalplus import grade_evalplus, read_evalplus
from azr.benchmarks.execution import grade_execution, read_abduction, read_deduction
from azr.benchmarks.mathematics import MathGrader, grade_mathematics, read_mathematics
from azr.errors import UserError

if TYPE_CHECKING:
    from azr.benchmarks.base import Grader
    from azr.executor import Executor

_MATH_COLUMNS = ("problem|question", "answer|final_answer")
_PLUS_COLUMNS = ("task_id", "prompt", "canonical_solution|code", "test|base_input")
_RUN_COLUMNS = ("code", "input", "output")


def _mathematics(name: str, title: str, hub_id: str, split: str, size: int, config: str | None = None) -> Benchmark:
    return Benchmark(
        name, title, hub_id, split, size, _MATH_COLUMNS, read_mathematics, grade_mathematics, False, config
    )


def _evalplus(name: str, title: str, hub_id: str, size: int) -> Benchmark:
    return Benchmark(name, title, hub_id, "test", size, _PLUS_COLUMNS, read_evalplus, grade_evalplus, True)


def _execution(name: str, title: str, hub_id: str, size: int, read: Any) -> Benchmark:
    return Benchmark(name, title, hub_id, "test", size, _RUN_COLUMNS, read, grade_execution, True)


BENCHMARKS: dict[str, Benchmark] = {
    benchmark.name: benchmark
    for benchmark in (
        _evalplus("humaneval_plus", "HumanEval+", "evalplus/humanevalplus", 164),
        _evalplus("mbpp_plus", "MBPP+", "evalplus/mbppplus", 378),
        _execution("cruxeval_i", "CruxEval-I", "cruxeval-org/cruxeval", 800, read_abduction),
        _execution("cruxeval_o", "CruxEval-O", "cruxeval-org/cruxeval", 800, read_deduction),
        _execution("livecodebench", "LiveCodeBench execution", "livecodebench/execution-v2", 479, read_deduction),
        _mathematics("math500", "MATH-500", "HuggingFaceH4/MATH-500", "test", 500),
        _mathematics("aime24", "AIME 2024", "HuggingFaceH4/aime_2024", "train", 30),
        _mathematics("aime25", "AIME 2025", "math-ai/aime25", "test", 30),
        _mathematics("amc23", "AMC 2023", "math-ai/amc23", "test", 40),
        _mathematics("minerva", "Minerva", "math-ai/minervamath", "test", 272),
        _mathematics(
            "olympiadbench", "OlympiadBench", "Hothan/OlympiadBench", "train", 674, config="OE_TO_maths_en_COMP"
        ),
    )
}
"""Every benchmark by the name that the command line takes."""


def benchmark_named(name: str) -> Benchmark:
    """The benchmark, or UserError with the names there are."""
    if name not in BENCHMARKS:
        raise UserError(f"there is no benchmark {name!r}: choose one of {', '.join(BENCHMARKS)}")
    return BENCHMARKS[name]


def load(name: str, data: str | Path | None = None, limit: int | None = None) -> list[Problem]:
    """The problems of benchmark ``name``: the first ``limit``, from the hub or from the JSONL file ``data``.

    Broken rows are left out and named in a warning. Raises UserError for an unknown name, a file that cannot be read, a
    hub that cannot be reached, or where no row is left.
    """
    benchmark = benchmark_named(name)
    if limit is not None and limit < 1:
        raise UserError(f"the limit is {limit}: give at least 1, or none for all problems")
    if data is not None:
        problems, broken = read_file(benchmark, data)
        source = str(data)
    else:
        problems, broken = _read_rows(benchmark, enumerate(_hub_rows(benchmark), 1))
        source = benchmark.hub_id
    if not problems:
        why = f" ({broken[0][1]})" if broken else ""
        raise UserError(
            f"{source} holds no usable row for {name}{why}: it needs the columns {', '.join(benchmark.columns)}"
        )
    if broken:
        shown = "; ".join(f"line {number}: {reason}" for number, reason in broken[:10])
        more = f"; and {len(broken) - 10} more" if len(broken) > 10 else ""
        warnings.warn(f"{source}: {len(broken)} rows left out: {shown}{more}", stacklevel=2)
    return problems[:limit]


def read_file(benchmark: Benchmark, path: str | Path) -> tuple[list[Problem], list[tuple[int, str]]]:
    """The problems in a JSONL file, and (line number from 1, reason) for each row that cannot be used."""
    try:
        lines = Path(path).read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError as error:
        raise UserError(f"the data file {path} cannot be read ({error.strerror}): give a JSONL file") from error
    return _read_rows(benchmark, ((number, line) for number, line in enumerate(lines, 1) if line.strip()))


def _read_rows(
    benchmark: Benchmark, rows: Iterable[tuple[int, str | Mapping[str, Any]]]
) -> tuple[list[Problem], list[tuple[int, str]]]:
    problems: list[Problem] = []
    seen: dict[str, int] = {}
    broken: list[tuple[int, str]] = []
    for number, row in rows:
        try:
            problem = _read_row(benchmark, row, number - 1)
            count = seen[problem.id] = seen.get(problem.id, 0) + 1
            problems.append(problem if count == 1 else replace(problem, id=f"{problem.id}#{count}"))
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, SyntaxError) as error:
            broken.append((number, str(error) or type(error).__name__))
    return problems, broken


def _read_row(benchmark: Benchmark, row: str | Mapping[str, Any], index: int) -> Problem:
    if isinstance(row, str):
        try:
            row = json.loads(row)
        except ValueError:
            raise ValueError("not JSON") from None
    if not isinstance(row, Mapping):
        raise ValueError("not a JSON object")
    missing = [
        column for column in benchmark.columns if not any(row.get(name) is not None for name in column.split("|"))
    ]
    if missing:
        raise ValueError(f"no {' and no '.join(name.replace('|', ' or ') for name in missing)}")
    return benchmark.read(benchmark.name, row, index)


def _hub_rows(benchmark: Benchmark) -> Sequence[Mapping[str, Any]]:
    """The rows of the hub's data set (its cache serves offline), or UserError in one sentence."""
    import datasets

    try:
        return datasets.load_dataset(benchmark.hub_id, benchmark.config, split=benchmark.split)
    except Exception as error:  # the hub's client raises a dozen kinds, from no network to no permission
        kind = type(error).__name__
        raise UserError(
            f"{benchmark.title} could not be had from the hub ({benchmark.hub_id}: {kind}): "
            f"go online, or give its rows as JSONL with --data FILE"
        ) from error


def grade_many(benchmark: Benchmark, items: Sequence[tuple[Problem, str]], grader: Grader | None = None) -> list[bool]:
    """Whether each response (raw text of a model) solves its problem; by default with a grader made for the call."""
    if not items:
        return []
    if grader is not None:
        return benchmark.grade(items, grader)
    with open_grader(benchmark) as own:
        return benchmark.grade(items, own)


def open_grader(benchmark: Benchmark) -> Grader:
    """What grades the benchmark's responses; close it, or use it as a context manager."""
    return benchmark_executor() if benchmark.runs_programs else MathGrader()


def benchmark_executor(workers: int | None = None) -> Executor:
    """An executor with room for test programs: 20 s of CPU, 1 GB, and the standard modules that HumanEval+ needs."""
    from azr.executor import Executor
    from azr.executor.policy import IMPORTS

    more = {"datetime", "hashlib", "json", "random"}
    return Executor(workers, cpu_seconds=20, wall_seconds=60, memory_mb=1024, policy=IMPORTS | more)
