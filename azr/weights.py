"""Where a model's weights lie on this machine: of a built-in size, a run folder, any checkpoint folder, a hub model.

>>> weights_folder("nano").name
'nano'

Left out: downloading; a model of the hub is found only if it is in the hub's cache.
"""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

from azr.errors import UserError
from azr.models import resolve


def weights_folder(name: str) -> Path:
    """The folder, or the file, that holds the weights of ``name``; of a run its ``model/`` or ``adapter/``.

    Raises:
        UserError: there is nothing of that name, or the run is not finished.
    """
    path = Path(resolve(name))
    if (path / "log.jsonl").exists() or (path / "versions.json").exists():  # a run
        found = next((path / part for part in ("model", "adapter") if (path / part).is_dir()), None)
        if found is None:
            raise UserError(f"The run {name} has no final weights yet: finish it, or give one of its checkpoints.")
        return found
    if path.exists():
        return path
    try:
        return Path(snapshot_download(name, local_files_only=True))
    except (HFValidationError, LocalEntryNotFoundError):
        raise UserError(
            f"There are no weights '{name}' here: give nano, micro, a run, a checkpoint folder, or a downloaded model."
        ) from None
