"""``azr train METHOD``: train one arm with one seed.

    azr train selfplay --profile smoke --seed 0
    azr train selfplay --model FOLDER --max-steps 2 --set train.learning_rate=1e-4
    azr train selfplay --profile gpu --seed-file 7b_coder_seed_io.jsonl --seed-file 7b_coder_code_f_seed_io.jsonl

Finished runs are left alone, killed ones continue. Left out: several seeds side by side (``azr run`` does that).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import yaml

from azr.arms import ARMS, FULL, arm_profile
from azr.config import Profile, checked, load_profile, override, profile_from
from azr.errors import UserError
from azr.paths import RUNS, run_folder

HIGHEST_SEED = 40_000
"""Of a run: a step's seed is 100,003 times as much and must stay below 2**32, in each of several processes."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``azr train``."""
    parser.add_argument("arm", metavar="ARM", help=f"what to train: {', '.join(ARMS)}")
    add_profile_arguments(parser)
    parser.add_argument("--seed", type=int, default=0, help="seed of sampling and of the adapter (default: 0)")
    parser.add_argument("--max-steps", type=int, metavar="N", help="optimizer steps instead of the profile's")
    parser.add_argument(
        "--full", action="store_true", help="train all weights instead of a LoRA adapter: the arm with -full"
    )
    parser.add_argument("--proposer-reward", metavar="NAME", help="shape of the proposer's reward, see azr/rewards.py")
    parser.add_argument("--freeze-proposer", action="store_true", help="no gradient from the proposer's samples")
    parser.add_argument(
        "--seed-file",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="start self-play from seeds in AZR's published format (several times: from all of them together)",
    )
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="run folder (default: runs/PROFILE/MODEL/ARM-seedN)")


def add_profile_arguments(parser: argparse.ArgumentParser) -> None:
    """The options by which any command chooses its profile and changes settings of it."""
    parser.add_argument("--profile", default="laptop", help="smoke, laptop, gpu or paper (default: laptop)")
    parser.add_argument("--model", help="nano, micro, a local folder or a hub id, instead of the profile's")
    parser.add_argument("--runs", type=Path, default=RUNS, metavar="FOLDER", help="where runs lie (default: runs)")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="any setting of azr/config.py, as train.steps=3",
    )


def chosen_profile(args: argparse.Namespace) -> Profile:
    """The profile that the arguments of ``add_profile_arguments`` describe, ``checked``."""
    changes = settings(args.set)
    if args.model:
        changes["model.name"] = args.model
    return checked(override(load_profile(args.profile), changes))


def run_profile(saved: dict[str, Any], given: list[str]) -> Profile:
    """The profile of a run as its ``config.json`` has it, with the changes of ``--set``, ``checked``."""
    sections = {key: value for key, value in saved.items() if key != "name"}
    return checked(override(profile_from(saved["name"], sections), settings(given)))


def settings(given: list[str]) -> dict[str, Any]:
    """The values of ``--set NAME=VALUE`` options by name."""
    changes: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals:
            raise UserError(f"--set {text} has no value: write it as NAME=VALUE, for instance train.steps=3.")
        try:
            number = yaml.safe_load(value)
        except (yaml.YAMLError, ValueError):
            raise UserError(f"The value in --set {text} cannot be read: give a number, a word or true.") from None
        changes[name] = float(number) if isinstance(number, str) and _is_number(number) else number
    return changes


def _is_number(text: str) -> bool:
    try:
        float(text)  # YAML reads 1e-4 as text
    except ValueError:
        return False
    return True


def main(args: argparse.Namespace) -> int:
    """Train and say where the run is."""
    profile = chosen_profile(args)
    changes: dict[str, Any] = {}
    if args.max_steps is not None:
        changes |= {"train.steps": args.max_steps, "train.full_steps": 0}
    if args.proposer_reward:
        changes["train.proposer_reward"] = args.proposer_reward
    if args.freeze_proposer:
        changes["train.proposer"] = "frozen"
    arm = args.arm.removesuffix(FULL) + FULL if args.full else args.arm
    method, profile = arm_profile(arm, override(profile, changes))
    folder = args.out or run_folder(args.runs, args.profile, profile.model.name, arm, args.seed)
    checked(profile)
    if not 0 <= args.seed <= HIGHEST_SEED:
        raise UserError(f"--seed is {args.seed}; give a number from 0 to {HIGHEST_SEED}.")
    _check_seed_files(args.seed_file, method)
    import torch  # after the arguments have been checked: it takes seconds

    from azr.training.ranks import is_main
    from azr.training.run import train

    torch.set_num_threads(profile.threads)
    train(method, profile, args.seed, folder, args.seed_file)
    if is_main():
        print(f"trained: {folder}")
    return 0


def _check_seed_files(files: list[Path], method: str) -> None:
    if files and method != "selfplay":
        raise UserError(f"--seed-file goes with self-play; {method} proposes nothing: leave it out.")
    for file in files:
        if not file.is_file():
            raise UserError(f"There is no seed file {file}; give a JSONL file in AZR's format.")
