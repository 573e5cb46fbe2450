"""Real benchmarks: code, program execution and mathematics, from the hub or from JSONL files.

from azr.benchmarks import BENCHMARKS, grade_many, load, prompt
problems = load("math500", limit=10)
right = grade_many(BENCHMARKS["math500"], [(problem, response) for problem, response in answered])

``decoding`` draws responses, ``sampling`` streams them to disk and counts them for pass@k, ``run`` is behind
``azr evaluate --benchmark`` and ``compare`` behind ``azr compare``.
"""

from azr.benchmarks.base import Benchmark, Problem, prompt
from azr.benchmarks.loading import (
    BENCHMARKS,
    benchmark_executor,
    benchmark_named,
    grade_many,
    load,
    open_grader,
    read_file,
)

__all__ = [
    "BENCHMARKS",
    "Benchmark",
    "Problem",
    "benchmark_executor",
    "benchmark_named",
    "grade_many",
    "load",
    "open_grader",
    "prompt",
    "read_file",
]
