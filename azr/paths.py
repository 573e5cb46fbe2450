"""Where things lie: the only place that knows. Runs go to ``runs/`` of the checkout."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RUNS = ROOT / "runs"
PROFILES = ROOT / "azr" / "profiles"
DEFAULT_PROFILE = "laptop"
"""Its figures are the reference figures of the repository; other profiles' lie with their runs."""


def profile_names() -> list[str]:
    """The profiles that ship, by name, the smallest first."""
    usual = ["smoke", "laptop", "gpu", "paper"]
    names = {path.stem for path in PROFILES.glob("*.yaml")}
    return [name for name in usual if name in names] + sorted(names - set(usual))


def model_folder(runs: Path, profile: str, model: str) -> Path:
    """The folder of everything that a profile makes with one model (a built-in size, a folder or a hub id)."""
    return runs / profile / Path(model).name


def run_folder(runs: Path, profile: str, model: str, arm: str, seed: int) -> Path:
    """The folder of one trained arm.

    >>> run_folder(Path("runs"), "smoke", "nano", "selfplay", 0).as_posix()
    'runs/smoke/nano/selfplay-seed0'
    """
    return model_folder(runs, profile, model) / f"{arm}-seed{seed}"


def base_folder(runs: Path, profile: str, model: str) -> Path:
    """The folder of measurements of an untrained model."""
    return model_folder(runs, profile, model) / "base"
