"""``azr seeds FILE [FILE ...]``: check seed files in AZR's published format by running every entry.

    azr seeds 7b_coder_seed_io.jsonl 7b_coder_code_f_seed_io.jsonl
    azr seeds 7b_coder_seed_io.jsonl --out seeds.jsonl

Prints how many entries stand and why the others fall. ``--out`` writes what stands as a run's ``seeds.jsonl``: a pair
of input and output as a deduction and an abduction task, as in AZR. ``azr train selfplay --seed-file FILE`` reads the
published format itself.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from azr.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``azr seeds``."""
    parser.add_argument("files", metavar="FILE", nargs="+", help="seed file in AZR's JSONL format")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="write what stands, in the format of a run's seeds.jsonl"
    )


def main(args: argparse.Namespace) -> int:
    """Check, print the summaries and, if asked, write what stands."""
    from azr.executor import Executor
    from azr.seeds import read_seeds, seeded_buffer, write_buffer

    with Executor() as executor:
        seeds = []
        for file in args.files:
            seeds.append(read_seeds(file, executor))
            print(seeds[-1].summary(), flush=True)
    buffer = seeded_buffer(seeds)
    print(", ".join(f"{count} {name}" for name, count in buffer.sizes().items()), "tasks in all")
    if args.out and not any(buffer.sizes().values()):
        raise UserError(f"no seed stands: {args.out} is not written; give a file whose programs run")
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        write_buffer(args.out, buffer)
        print(f"written: {args.out}")
    return 0
