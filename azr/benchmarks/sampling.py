"""Samples of a benchmark's problems: drawn, graded, streamed to disk, resumed where they stopped.

    generate = transformers_generate(model, tokenizer, decoding)
    counts = sample_problems(benchmark, problems, PaperStyle(), generate, decoding, folder, num_samples=16, weights="")

``folder`` then holds ``samples.jsonl`` (a line per response), ``problems.csv`` (task_type, problem, n, c and more: the
input of ``azr.figures.passk``) and ``record.json`` (how it was decoded, of what model, under which versions). A batch
always has the same composition, so a run that was interrupted, or later asked for more samples, draws the same ones.
Left out: locking; two processes must not write into one folder.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from azr.benchmarks.base import Benchmark, Problem, prompt
from azr.benchmarks.decoding import Decoding, Generate, sample_seed
from azr.benchmarks.loading import open_grader
from azr.config import config_hash
from azr.errors import UserError
from azr.prompts.paper import PaperStyle

if TYPE_CHECKING:
    from azr.benchmarks.base import Grader

SAMPLES, COUNTS, RECORD = "samples.jsonl", "problems.csv", "record.json"
_PACKAGES = ("torch", "transformers", "tokenizers", "peft", "math-verify", "azr")
_FIELDS = ("problem", "sample", "asked", "correct", "tokens", "ended", "text")


def sample_problems(
    benchmark: Benchmark,
    problems: Sequence[Problem],
    style: PaperStyle,
    generate: Generate,
    decoding: Decoding,
    folder: str | Path,
    *,
    num_samples: int,
    weights: str,
    notes: Mapping[str, Any] | None = None,
    rows: int = 8,
    grader: Grader | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Draw and grade ``num_samples`` responses to each problem, and return what ``problems.csv`` holds.

    Args:
        benchmark: what the problems belong to.
        problems: in the order in which they are asked.
        style: words the prompts.
        generate: the model.
        decoding: how ``generate`` draws.
        folder: what it already holds is kept.
        num_samples: responses to each problem.
        weights: what names the model's weights; samples of others are not mixed with these.
        notes: further entries of ``record.json``.
        rows: responses drawn side by side.
        grader: of ``open_grader``, by default one made for the call.
        on_progress: hears (samples done, all samples), first of those done before.

    Raises UserError where the folder holds samples of another benchmark, model, decoding or wording.
    """
    if num_samples < 1:
        raise UserError(f"the number of samples is {num_samples}: draw at least 1")
    if decoding.temperature == 0 and num_samples > 1:
        raise UserError("greedy decoding gives the same response every time: draw 1 sample, or raise the temperature")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    settings = _settings(benchmark, style, decoding, weights)
    before = _record_of(folder, settings)
    texts = {problem.id: prompt(problem, style) for problem in problems}
    asked = {problem.id: _digest(problem, texts[problem.id]) for problem in problems}
    path = folder / SAMPLES
    _cut_torn_line(path)
    done = set()
    for row in read_samples(path):
        if row["problem"] in asked and row["sample"] < num_samples:
            if row["asked"] != asked[row["problem"]]:
                raise UserError(
                    f"{folder} holds samples of problem {row['problem']} with another wording or gold answer: "
                    "choose another folder by --out"
                )
            done.add((row["problem"], row["sample"]))
    total = num_samples * len(problems)
    now = {name: version(name) for name in _PACKAGES} | {"python": platform.python_version()}
    versions = before.get("versions", [])
    if len(done) < total and now not in versions:
        versions = [*versions, now]
    record = settings | dict(notes or {}) | {"versions": versions}
    _write_json(folder / RECORD, record)
    if on_progress:
        on_progress(len(done), total)
    grader_made = open_grader(benchmark) if grader is None else None
    try:
        with path.open("a", encoding="utf-8") as file:
            for batch in _batches(problems, num_samples, rows):
                if all(n >= num_samples or (problem.id, n) in done for problem, n in batch):
                    continue
                seeds = [sample_seed(decoding.seed, problem, n) for problem, n in batch]
                responses = generate([texts[problem.id] for problem, _ in batch], seeds)
                drawn = [
                    (problem, n, response)
                    for (problem, n), response in zip(batch, responses, strict=True)
                    if n < num_samples and (problem.id, n) not in done
                ]
                right = benchmark.grade([(problem, r.text) for problem, _, r in drawn], grader or grader_made)
                for (problem, n, response), correct in zip(drawn, right, strict=True):
                    where = {"problem": problem.id, "sample": n, "asked": asked[problem.id], "correct": correct}
                    what = {"tokens": response.tokens, "ended": response.ended, "text": response.text}
                    file.write(json.dumps(where | what) + "\n")
                    done.add((problem.id, n))
                file.flush()
                if on_progress:
                    on_progress(len(done), total)
    finally:
        if grader_made is not None:
            grader_made.close()
    counts = count_samples(path, problems, num_samples)
    _write_results(folder, record, counts, config_hash(settings, asked, num_samples))
    return counts


def _batches(problems: Sequence[Problem], num_samples: int, rows: int) -> Iterator[list[tuple[Problem, int]]]:
    """Problems side by side, and where there are few of them also samples: at most ``rows`` pairs.

    Sample-major, so that every problem has its first samples before any has its last. A last batch goes past
    ``num_samples``, so that its composition does not depend on it.
    """
    across = min(rows, len(problems))
    deep = rows // across
    for first in range(0, num_samples, deep):
        for start in range(0, len(problems), across):
            yield [(problem, first + n) for problem in problems[start : start + across] for n in range(deep)]


def _digest(problem: Problem, text: str = "") -> str:
    """What names a problem's content, and with ``text`` how it was put to a model."""
    task = problem.task.to_json() if problem.task else None
    return hashlib.sha256(
        json.dumps([problem.question, dict(problem.gold), task, text], sort_keys=True).encode()
    ).hexdigest()[:12]


def _cut_torn_line(path: Path) -> None:
    """Remove what was being written when a run was killed: text after the last line end."""
    if not path.exists():
        return
    with path.open("r+b") as file:
        end = file.seek(0, 2)
        while end > 0:
            start = max(0, end - (1 << 20))
            file.seek(start)
            found = file.read(end - start).rfind(b"\n")
            if found >= 0:
                end = start + found + 1
                break
            end = start
        file.truncate(end)


def read_samples(path: str | Path) -> Iterator[dict[str, Any]]:
    """The samples of a file, one after the other; none where there is no file."""
    if not Path(path).exists():
        return
    with Path(path).open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            try:
                row = json.loads(line)
                yield {key: row[key] for key in _FIELDS}
            except (ValueError, TypeError, KeyError):
                raise UserError(f"line {number} of {path} is no sample: remove that line and run again") from None


def count_samples(path: str | Path, problems: Sequence[Problem], num_samples: int) -> pd.DataFrame:
    """One row a problem over its first ``num_samples`` samples.

    Columns: task_type (the benchmark's name), problem, n samples of which c are right, mean length in tokens, cut (how
    many were cut off at the longest length), digest (of the problem's content).
    """
    samples = {problem.id: {} for problem in problems}
    for row in read_samples(path):
        if row["problem"] in samples and row["sample"] < num_samples:
            samples[row["problem"]][row["sample"]] = (bool(row["correct"]), row["tokens"], not row["ended"])
    rows = []
    for problem in problems:
        right, lengths, cut = zip(*samples[problem.id].values(), strict=True)
        length = sum(lengths) / len(lengths)
        row = (problem.benchmark, problem.id, len(right), sum(right), length, sum(cut), _digest(problem))
        rows.append(row)
    return pd.DataFrame(rows, columns=["task_type", "problem", "n", "c", "length", "cut", "digest"])


def _settings(benchmark: Benchmark, style: PaperStyle, decoding: Decoding, weights: str) -> dict[str, Any]:
    return {
        "benchmark": benchmark.name,
        "weights": weights,
        "prompt_style": style.name,
        "chat": style.tokenizer is not None,
        "decoding": asdict(decoding) | {"stop": list(decoding.stop)},
    }


def _record_of(folder: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The record that ``folder`` has, empty if none; UserError if its samples were drawn otherwise."""
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except FileNotFoundError:
        record = {}
    except ValueError:
        raise UserError(f"{folder / RECORD} is not JSON: remove the folder, or choose another by --out") from None
    changed = [key for key in settings if key in record and record[key] != settings[key]]
    if changed:
        raise UserError(f"{folder} holds samples with another {' and '.join(changed)}: choose another folder by --out")
    return record


def _write_results(folder: Path, record: dict[str, Any], counts: pd.DataFrame, fingerprint: str) -> None:
    temporary = folder / (COUNTS + ".tmp")
    counts.to_csv(temporary, index=False, float_format="%.6g", lineterminator="\n")
    temporary.replace(folder / COUNTS)
    measured = {
        "num_problems": len(counts),
        "num_samples": int(counts["n"].min()),
        "mean_accuracy": float((counts["c"] / counts["n"]).mean()),
        "cut_off": float(counts["cut"].sum() / counts["n"].sum()),
        "fingerprint": fingerprint,
    }
    _write_json(folder / RECORD, record | measured)


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Whole or not at all."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
    temporary.replace(path)
