r"""Compares final answers by math-verify: lines ``[gold, answer]`` on standard input, ``true`` or ``false`` on output.

The first line of output is ``ready``. Started by ``azr.problems.mathematics``, which explains why this is a process of
its own; it imports nothing of ours. Both sides are read as LaTeX after notations that math-verify does not know are
rewritten (``plain``). math-verify compares them, and numbers are equal to one part in a million if one is a decimal,
else to 60 digits, however small they are. Left out: numbers that small inside of lists and intervals.
"""

import json
import logging
import re
import signal
import sys
from contextlib import suppress
from fractions import Fraction
from typing import Any

import sympy
from math_verify import LatexExtractionConfig, parse, verify

MEMORY_BYTES = 4 << 30
DIGITS = 60
"""To which exact numbers are compared."""

_FONT = r"\\(?:textbf|textit|mathbf|boldsymbol|bm|emph|underline)\s*"
_TEXT = r"\\(?:text|textrm|mathrm|mbox|rm)\s*"
_TH = r"\s*(?:st|nd|rd|th)\s*"
_REWRITE = [
    (r"\\!|\\(?:left|right|displaystyle)(?![a-z])", ""),
    (r"(?<!\\)\\[,;:> ]|~|\\q?quad|\\?\$", " "),
    (_FONT + r"\{((?:[^{}]|\{[^{}]*\})*)\}", r"\1"),
    (_TEXT + r"\{([^{}a-zA-Z]*\d[^{}a-zA-Z]*)\}", r"\1"),  # digits are no words
    (rf"(?<=\d)\s*\^?\s*(?:\{{{_TEXT}\{{{_TH}\}}\}}|\{{{_TH}\}}|{_TEXT}\{{{_TH}\}}|{_TH}$)", ""),  # ordinals
    (r"(?<=\d)\{,\}(?=\d{3})", ","),
    (r"(?<=\d) +(?=\d{3}(?:\D|$))(?!\d{3}\s*/)", ""),
    (r"(\d)\s*(?:×|✕|x(?=\s*10\s*\^)|\*(?=\s*10\s*\^))\s*", r"\1 \\times "),
    (r"(?<![\w\\])(\d+\.?\d*|\.\d+)[eE]\+?(-?\d+)(?!\w)", r"\1 \\times 10^{\2}"),
    (r"(?<![\d.])(\d+)\s+(\d+)\s*/\s*(\d+)", r"\1\\frac{\2}{\3}"),  # mixed numbers
]


def plain(text: str) -> str:
    """A final answer in notations that math-verify reads: without fonts, ordinals' endings and a last full stop."""
    for pattern, replacement in _REWRITE:
        text = re.sub(pattern, replacement, text)
    text = re.sub(r"(\d*)\.(\d*)(?:\\(?:overline|bar|dot)\s*\{?(\d+)\}?|\((\d+)\))", _repeating, text)
    text = re.sub(r"(\d*)\.(\d*?)((\d)\4+)(?:\.{3}|\\[lc]?dots|…)", lambda m: _repeating(m, m[4]), text)
    text = text.strip().rstrip(".").strip()
    return re.sub(r"^\(\s*([-+]?\d+\.?\d*)\s*\)$", r"\1", text)


def _repeating(match: re.Match[str], period: str | None = None) -> str:
    """A repeating decimal as a fraction: 0.1\\overline{6} is 1/6."""
    period = period or match[3] or match[4]
    whole, first = match[1] or "0", match[2]
    nines = 10 ** len(first) * (10 ** len(period) - 1)
    value = Fraction(int(whole + first + period) - int(whole + first), nines)
    return rf"\frac{{{value.numerator}}}{{{value.denominator}}}"


def words(text: str) -> str:
    """An answer in words without fonts, case and blanks; all others as they are."""
    bare = re.sub(_TEXT + r"\{([^{}]*)\}", r"\1", text)
    return re.sub(r"\s", "", bare).lower() if re.fullmatch(r"[a-zA-Z\s']*[a-zA-Z]{3}[a-zA-Z\s']*", bare) else text


def equal(x: Any, y: Any) -> bool:
    """Whether two expressions are equal, by math-verify.

    It compares numbers by absolute differences, by which all small ones are equal: of two numbers their ratio is
    compared with 1 instead, to six decimals where one of them is a decimal.
    """
    for one, other in ((x, y), (y, x)):
        relations = isinstance(one, sympy.FiniteSet) and all(isinstance(part, sympy.Rel) for part in one)
        if relations and isinstance(other, sympy.Union | sympy.Interval):  # x < 1 or x > 2
            return other in (sympy.Or(*one).as_set(), sympy.And(*one).as_set())
    sides = (x, y)
    numbers = all(isinstance(side, sympy.Expr) and side.is_number and side.is_zero is False for side in sides)
    if numbers and not any(side.has(sympy.UnevaluatedExpr) for side in sides):  # which a percentage has
        x = (x / y).doit()
        y = sympy.Float(1) if x.has(sympy.Float) else sympy.Integer(1)
    return bool(verify(x, y, numeric_precision=DIGITS, allow_set_relation_comp=True))


def main() -> None:
    """Answer line by line until standard input ends, or one comparison takes the CPU seconds given as argument."""
    with suppress(ImportError, OSError, ValueError):  # not on every system: the time limits remain
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    logging.disable(logging.CRITICAL)
    latex_only = [LatexExtractionConfig()]

    def same(gold: str, answer: str) -> bool:
        gold, answer = plain(gold), plain(answer)
        if words(gold) == words(answer):
            return True
        choice = re.match(r"\(([A-E])\)\s+(?=\S)", answer)
        if choice:  # a letter and its value
            return same(gold, choice[1]) or same(gold, answer[choice.end() :])
        read = [parse(f"\\boxed{{{text}}}", latex_only)[:1] for text in (gold, answer)]
        return all(side and not isinstance(side[0], str) for side in read) and equal(read[0][0], read[1][0])

    print("ready", flush=True)  # what was imported took seconds, which are not the first answer's
    for line in sys.stdin:
        signal.setitimer(signal.ITIMER_PROF, float(sys.argv[1]))  # nothing handles its signal: it ends the process
        try:
            result = same(*json.loads(line))
        except Exception:  # whatever it is, this answer could not be confirmed
            result = False
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
