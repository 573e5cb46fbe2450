"""Compares final answers by math-verify: lines ``[gold, answer]`` on standard input, ``true`` or ``false`` on output.

The first line of output is ``ready``. Started by ``azr.benchmarks.mathematics.MathGrader``, which explains why this is
a process of its own; it imports nothing of ours. math-verify ends a parse or comparison after ``SECONDS`` itself;
memory is limited here where the system can.
"""

from __future__ import annotations

import json
import logging
import sys

SECONDS = 5
MEMORY_BYTES = 4 << 30


def main() -> None:
    """Answer line by line until standard input ends."""
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    except (ImportError, OSError, ValueError):
        pass  # not on this system: the time limits remain
    logging.disable(logging.CRITICAL)
    from math_verify import LatexExtractionConfig, parse, verify

    latex_only = [LatexExtractionConfig()]

    def expression(text: str) -> list:
        return parse(f"\\boxed{{{text}}}", latex_only, parsing_timeout=SECONDS)

    print("ready", flush=True)  # what was imported took seconds, which are not the first answer's
    for line in sys.stdin:
        gold, answer = json.loads(line)
        try:
            same = bool(verify(expression(gold), expression(answer), timeout_seconds=SECONDS))
        except Exception:  # whatever it is, this answer could not be confirmed
            same = False
        print(json.dumps(same), flush=True)


if __name__ == "__main__":
    main()
