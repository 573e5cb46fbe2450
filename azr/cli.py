"""The command line: ``azr COMMAND``, one row a command in ``COMMANDS``.

    azr doctor
    azr run --profile smoke

A command's options and its function live beside its code: the module offers ``add_arguments(parser)`` and
``main(args) -> int``, and is imported only when its command is asked for, so that ``azr --help`` answers at once.
Left out on purpose: any work of its own.

Exit codes: 0 done, 1 our mistake or a failed run, 2 the user's mistake, 130 interrupted.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn

from azr import __version__
from azr.errors import UserError


@dataclass(frozen=True)
class Command:
    """One row of the table: what the user types, the module that does it, and what it does in a phrase."""

    name: str
    module: str
    help: str


COMMANDS = (
    Command("doctor", "azr.doctor", "what this machine has, which sandbox layers hold, which profiles there are"),
    Command("base", "azr.world.cli", "the built-in base models: build one from scratch, or show what it can do"),
    Command("seeds", "azr.seeds_cli", "check seed files in AZR's published format by running every entry"),
    Command("train", "azr.training.cli", "train one arm of the study with one seed"),
    Command("evaluate", "azr.evaluate_cli", "how many of n responses to each test problem are right"),
    Command("curriculum", "azr.curriculum", "a run's proposals, solved again by the model that it started from"),
    Command("compare", "azr.benchmarks.compare", "results on real benchmarks in one figure, with paired differences"),
    Command("sparsity", "azr.sparsity_cli", "the share of parameters that training left unchanged, by what that means"),
    Command("run", "azr.notebooks", "run the notebooks of a profile, those that are not complete"),
    Command("report", "azr.report", "the executed notebooks of a profile as one HTML page"),
)


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaints are ``UserError``: one sentence, no usage text before it."""

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter)

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message} (see {self.prog} --help)")


def build_parser(chosen: str | None) -> Parser:
    """The parser with every command listed and the options of ``chosen`` filled in from its module."""
    parser = Parser(prog="azr", description="Self-play for language models, small enough to study.")
    parser.add_argument("--version", action="version", version=f"azr {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command in COMMANDS:
        description = f"{command.help[0].upper()}{command.help[1:]}."
        subparser = subparsers.add_parser(command.name, help=command.help, description=description)
        if command.name == chosen:
            importlib.import_module(command.module).add_arguments(subparser)
    return parser


def run(argv: Sequence[str]) -> int:
    """Parse ``argv`` (without the program's name), do it, return the exit code.

    Raises:
        UserError: unknown command or option, or what the command itself finds wrong.
    """
    chosen = next((word for word in argv if not word.startswith("-")), None)
    command = next((command for command in COMMANDS if command.name == chosen), None)
    if chosen is not None and command is None:
        names = ", ".join(command.name for command in COMMANDS)
        raise UserError(f"there is no command {chosen!r}: choose one of {names}")
    args = build_parser(chosen).parse_args(argv)
    return importlib.import_module(command.module).main(args)


def guarded(work: Callable[[], int], name: str = "azr") -> int:
    """Call ``work`` and turn what it raises into one sentence on stderr and an exit code.

    ``AZR_DEBUG=1`` lets the traceback of our own mistakes through; otherwise it is written to a file that the
    sentence names.
    """
    try:
        return work()
    except UserError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\n{name}: interrupted; the same command continues from here", file=sys.stderr)
        return 130
    except Exception as error:
        if os.environ.get("AZR_DEBUG") == "1":
            raise
        with tempfile.NamedTemporaryFile("w", prefix="azr-", suffix="-traceback.txt", delete=False) as file:
            file.write(traceback.format_exc())
        problem = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        print(f"{name}: {problem} (the traceback is in {file.name}; AZR_DEBUG=1 shows it here)", file=sys.stderr)
        return 1


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of ``azr``; returns the exit code."""
    return guarded(lambda: run(sys.argv[1:] if argv is None else argv))


if __name__ == "__main__":
    sys.exit(main())
