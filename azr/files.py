"""Reading what an earlier command left: a file that is missing or cut off is one sentence that says what to do.

with reading(folder / "seeds.jsonl", RETRAIN):
    programs = [row["program"] for row in read_lines(folder / "seeds.jsonl")]
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from azr.errors import UserError

REMOVE = "remove it and "
"""How the advice about a file begins that is made anew once it is gone."""
RETRAIN = "restore it, or move the run's folder away and train the run again"


@contextmanager
def reading(path: Path, advice: str) -> Iterator[None]:
    """What goes wrong inside for want of ``path``, or of something in it, becomes a UserError that ends in ``advice``.

    Only for the few lines that read: a mistake of our own in there would be taken for the file's.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing: {advice.removeprefix(REMOVE)}.") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): {advice}.") from error
    except (ValueError, LookupError, TypeError, AttributeError) as error:  # no JSON, or JSON of another form
        raise UserError(f"{path} is damaged: {advice}.") from error


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The rows of a file with one JSON object a line."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def run_config(folder: Path) -> dict[str, Any]:
    """What ``azr train`` wrote into a run's ``config.json``; empty for any other folder (a model's has its own file).

    Raises:
        UserError: the file is damaged.
    """
    file = folder / "config.json"
    if not file.exists():
        return {}
    with reading(file, RETRAIN):
        config = json.loads(file.read_text())
        if "fingerprint" not in config:
            return {}
        parts = {key: config[key] for key in ("fingerprint", "method", "seed")}
        return parts | {"profile": dict(config["profile"], name=config["profile"]["name"])}


def run_fingerprint(folder: Path) -> str:
    """The fingerprint of the run in ``folder``. Raises UserError where its ``config.json`` is no run's."""
    config = run_config(folder)
    if not config:
        raise UserError(f"The config.json in {folder} is no run's: choose another folder by --out.")
    return config["fingerprint"]


def is_recorded(record: Path, table: Path, stamp: str) -> bool:
    """Whether ``table`` was measured under the fingerprint ``stamp``; a damaged record says nothing, so it was not."""
    if not table.exists():
        return False
    try:
        return json.loads(record.read_text())["fingerprint"] == stamp
    except (OSError, ValueError, LookupError, TypeError):
        return False
