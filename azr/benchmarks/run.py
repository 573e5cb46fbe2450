"""Evaluate a model on a real benchmark: the work behind ``azr evaluate RUN|MODEL --benchmark NAME``.

    azr evaluate runs/laptop/selfplay-seed0 --benchmark math500 --greedy
    azr evaluate FOLDER --benchmark mbpp_plus --data mbpp_plus.jsonl --samples 16 --temperature 0.8

The result lies in ``benchmarks/NAME`` of the run's folder: the files of ``azr.benchmarks.sampling`` and ``passk.csv``
(pass@k with bands over problems). Prompts are those of the paper's style, through the model's chat template where it
has one. Left out: vLLM, and models spread over several devices.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from azr.benchmarks.base import Benchmark, Problem, prompt
from azr.benchmarks.decoding import Decoding, transformers_generate
from azr.benchmarks.loading import BENCHMARKS, benchmark_named, load
from azr.benchmarks.sampling import sample_problems
from azr.config import config_hash
from azr.errors import UserError
from azr.progress import Progress
from azr.prompts.paper import PaperStyle

FOLDER, PASSK = "benchmarks", "passk.csv"
_OPTIONS = ("data", "samples", "temperature", "top_p", "max_new_tokens", "greedy", "limit", "batch", "out")
_WEIGHTS = ("config.json", "tokenizer*.json", "chat_template*", "*.safetensors", "*.model", "pytorch_model*.bin")


@dataclass(frozen=True)
class Plan:
    """What shall be measured, read and checked before a model is loaded."""

    benchmark: Benchmark
    problems: list[Problem]
    source: str
    """Where the problems came from: a file's name or a data set of the hub."""
    decoding: Decoding
    num_samples: int
    rows: int
    """Responses drawn side by side."""
    out: Path | None
    """Folder of the result, if not the run's own."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that go with ``--benchmark``."""
    group = parser.add_argument_group("real benchmarks")
    group.add_argument("--benchmark", metavar="NAME", help=f"instead of the built-in problems: {', '.join(BENCHMARKS)}")
    group.add_argument("--data", metavar="FILE", help="its problems as JSONL, instead of from the hub")
    group.add_argument(
        "--samples", type=int, metavar="N", help="responses to each problem (default: 16); may be raised"
    )
    group.add_argument("--temperature", type=float, metavar="T", help="default: 1")
    group.add_argument("--top-p", type=float, metavar="P", help="default: 1, which keeps all tokens")
    group.add_argument("--max-new-tokens", type=int, metavar="N", help="longest response (default: 2048)")
    group.add_argument(
        "--greedy", action="store_true", default=None, help="one response to each problem, temperature 0"
    )
    group.add_argument("--limit", type=int, metavar="M", help="only the first M problems")
    group.add_argument("--batch", type=int, metavar="N", help="responses drawn side by side (default: 8)")
    group.add_argument("--out", type=Path, metavar="FOLDER", help="default: benchmarks/NAME in the run's folder")


def plan_of(args: argparse.Namespace) -> Plan | None:
    """What the options ask for; None without ``--benchmark``. Broken rows of the data are named on stderr."""
    given = [name for name in _OPTIONS if getattr(args, name) is not None]
    if args.benchmark is None:
        if given:
            raise UserError(f"--{given[0].replace('_', '-')} goes with --benchmark NAME: add that, or leave it out")
        return None
    benchmark = benchmark_named(args.benchmark)
    if args.greedy and (args.temperature or args.top_p is not None or (args.samples or 1) > 1):
        raise UserError("--greedy draws one response at temperature 0: leave out --samples, --temperature and --top-p")
    asked = {name: getattr(args, name) for name in ("temperature", "top_p", "max_new_tokens") if name in given}
    decoding = Decoding(**asked | ({"temperature": 0.0} if args.greedy else {}))
    samples = args.samples if args.samples is not None else 16 if decoding.temperature else 1
    for name, value in (("samples", samples), ("batch", args.batch)):
        if value is not None and value < 1:
            raise UserError(f"--{name} is {value}: give at least 1")
    if decoding.temperature == 0 and samples > 1:
        raise UserError("at temperature 0 every response is the same: draw one by --greedy, or raise the temperature")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", UserWarning)
        problems = load(benchmark.name, args.data, args.limit)
    for warning in said:
        print(f"azr: {warning.message}", file=sys.stderr)
    if len(problems) < 2:
        raise UserError("one problem gives no interval: take at least two")
    source = Path(args.data).name if args.data else benchmark.hub_id
    return Plan(benchmark, problems, source, decoding, samples, args.batch or 8, args.out)


def evaluate(plan: Plan, model: Any, tokenizer: Any, weights: str, folder: Path, notes: dict[str, Any]) -> Path:
    """Draw what is missing, write the result, print pass@k; returns the result's folder.

    Args:
        plan: what to measure.
        model: a causal language model of transformers.
        tokenizer: its tokenizer.
        weights: from ``weights_digest``.
        folder: of the run or of the untrained model.
        notes: for the record; ``method``, ``seed`` and ``model`` say what this is to ``azr compare``.
    """
    from transformers.utils.logging import set_verbosity_error

    from azr.training.oom import memory_named

    set_verbosity_error()  # on long prompts it warns twice, in its own words; ``_misfits`` says it once
    out = plan.out or folder / FOLDER / plan.benchmark.name
    style = PaperStyle(tokenizer if tokenizer.chat_template else None)
    for note in _misfits(plan, style, model, tokenizer):
        print(f"azr: {note}", file=sys.stderr)
    progress: Progress | None = None

    def told(done: int, total: int) -> None:
        nonlocal progress
        if progress is None:  # told before the first batch: nothing yet from which to estimate
            progress = Progress(f"{plan.benchmark.title}, samples", total, done)
        else:
            progress.update(done)

    advice = (
        f"Out of memory with {plan.rows} responses of {plan.decoding.max_new_tokens} tokens side by side: lower "
        "--batch; the same command then goes on from the samples there are."
    )
    try:
        with memory_named(lambda: advice):
            counts = sample_problems(
                plan.benchmark,
                plan.problems,
                style,
                transformers_generate(model, tokenizer, plan.decoding),
                plan.decoding,
                out,
                num_samples=plan.num_samples,
                weights=weights,
                notes=notes | {"data": plan.source, "device": model.device.type, "rows": plan.rows},
                rows=plan.rows,
                on_progress=told,
            )
    finally:
        if progress:
            progress.close()
    frame = passk_frame(counts, notes["method"])
    frame.to_csv(out / PASSK, index=False, float_format="%.10g", lineterminator="\n")
    print(report(plan, counts, frame))
    print(f"measured: {out}")
    return out


def passk_frame(counts: pd.DataFrame, method: str) -> pd.DataFrame:
    """pass@k with bands over problems, up to half the samples, as ``azr.figures.passk`` makes it."""
    from azr.figures.passk import pass_at_k_frame

    return pass_at_k_frame(counts.assign(method=method, seed=0), None, np.random.default_rng(0))


def report(plan: Plan, counts: pd.DataFrame, frame: pd.DataFrame) -> str:
    """pass@k as a few lines of text."""
    samples = int(counts["n"].min())
    each = f"{samples} sample" + "s" * (samples > 1)
    lines = [f"{plan.benchmark.title}: {len(counts)} problems, {each} each, {plan.decoding}"]
    lines += [f"  pass@{row.k:<5} {row.estimate:.3f}  [{row.low:.3f}, {row.high:.3f}]" for row in frame.itertuples()]
    cut = counts["cut"].sum() / counts["n"].sum()
    lines.append(f"  mean length {counts['length'].mean():.0f} tokens, {cut:.1%} of the responses cut off")
    lines.append("  in brackets: 95 % over problems, for this model and these draws")
    return "\n".join(lines)


def _misfits(plan: Plan, style: PaperStyle, model: Any, tokenizer: Any) -> list[str]:
    """What makes the model's answers to these prompts doubtful."""
    from azr.sampling import encode_prompt

    ids = [encode_prompt(tokenizer, prompt(problem, style)) for problem in plan.problems]
    notes = []
    room = getattr(model.config, "max_position_embeddings", None)
    longest = max(map(len, ids)) + plan.decoding.max_new_tokens
    if room and longest > room:
        notes.append(f"the longest prompt and response have {longest} tokens, and the model is made for {room}")
    unknown = np.mean([token == tokenizer.unk_token_id for row in ids for token in row])
    if unknown > 0.001:
        notes.append(f"the model's tokenizer does not know {unknown:.1%} of the prompts")
    return notes


def weights_digest(name: str, adapter: Path | None, model: Any) -> str:
    """What names the weights as they are measured: the files of a folder or the revision on the hub, adapter, dtype."""
    from azr.models import resolve

    folder = Path(resolve(name))
    if folder.is_dir():
        base = [_file_digest(path) for pattern in _WEIGHTS for path in sorted(folder.glob(pattern))]
    else:
        base = [name, model.config._commit_hash]
    base.append(str(model.dtype))
    if adapter is None:
        return config_hash(base)
    settings = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
    settings.pop("base_model_name_or_path", None)  # a path of the machine that trained it
    return config_hash(base, settings, [_file_digest(path) for path in sorted(adapter.glob("*.safetensors"))])


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def run_notes(folder: Path, config: dict[str, Any], model: str, dtype: str) -> dict[str, Any]:
    """What a record says of the run (``config`` of its folder) or, with an empty ``config``, of the untrained model."""
    name = Path(model).name if Path(model).is_dir() else model
    if not config:
        return {"method": "base", "seed": 0, "model": name, "dtype": dtype}
    return {
        "method": re.sub(r"-seed\d+$", "", folder.resolve().name),  # the arm, or what the user called the run
        "seed": config["seed"],
        "model": name,
        "dtype": dtype,
        "run": folder.resolve().name,
        "run_fingerprint": config["fingerprint"],
    }
