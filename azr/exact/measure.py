"""``azr evaluate RUN|MODEL --exact``: bounds on the probability of a right response, for a run or a model as it is.

    azr evaluate nano --exact --profile smoke

Writes ``exact.csv`` (one row a test problem, columns ``azr.exact.bounds.COLUMNS``) and ``exact.json`` (settings,
versions, fingerprint) where ``test.csv`` goes; a finished measurement whose inputs did not change is left alone. The
problems are the first of those that sampling measures. Left out: arithmetic, and real benchmarks.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from azr.config import Profile, config_hash
from azr.errors import UserError
from azr.files import is_recorded


def measure_exact(folder: Path, profile: Profile, fingerprint: str, load: Callable[[], tuple[Any, Any]]) -> Path:
    """The table's path, measured if it is missing or out of date.

    Args:
        folder: a run's, or of the measurements of an untrained model.
        profile: its settings; ``evaluation.exact_problems`` problems of each task type.
        fingerprint: names the weights that ``load`` gives.
        load: model and tokenizer; called only if there is something to measure.

    Raises UserError where the profile has no exact measurement.
    """
    evaluation, longest = profile.evaluation, profile.rollout.max_new_tokens
    if evaluation.exact_problems == 0:
        raise UserError(
            f"Profile '{profile.name}' measures nothing exactly, since that takes short responses of a small model: "
            "set evaluation.exact_problems (of a run: when it is trained), or sample."
        )
    settings = {
        "problems": evaluation.exact_problems,
        "expansions": evaluation.exact_expansions,
        "samples": evaluation.exact_samples,
        "bound": evaluation.exact_bound,
        "max_new_tokens": longest,
        "temperature": 1.0,
    }
    stamp = config_hash(fingerprint, profile.model, settings, profile.threads)
    record, table_file = folder / "exact.json", folder / "exact.csv"
    if is_recorded(record, table_file, stamp):
        return table_file

    from azr.evaluate import problem_set  # what takes seconds to import, after the check
    from azr.exact.bounds import exact_table
    from azr.executor import Executor
    from azr.models import load_style
    from azr.progress import Progress
    from azr.training.run import versions, write_json

    model, tokenizer = load()
    style = load_style(profile.model.prompt_style, tokenizer)
    problems = problem_set("test", evaluation.exact_problems)
    folder.mkdir(parents=True, exist_ok=True)
    with Executor(workers=1) as executor, Progress(f"exact {folder.name}", len(problems)) as progress:
        table = exact_table(
            model,
            tokenizer,
            style,
            executor,
            problems,
            longest,
            evaluation.exact_expansions,
            evaluation.exact_samples,
            evaluation.exact_bound,
            progress.update,
        )
    table.to_csv(table_file, index=False, float_format="%.9g")
    write_json(record, {"settings": settings, "versions": versions(), "fingerprint": stamp})
    return table_file
