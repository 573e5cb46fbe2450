"""Verdicts of single programs."""

from __future__ import annotations

import pytest

from azr.executor import Job, Verdict


@pytest.mark.parametrize(
    ("program", "given", "verdict", "result"),
    [
        ("def f(x): return x + 1", "41", Verdict.OK, "42"),
        ("def f(): return {'b', 'a'}", "", Verdict.OK, "{'a', 'b'}"),
        ("from math import floor\ndef f(x): return floor(x)", "2.5", Verdict.OK, "2"),
        ("import os\ndef f(x): return x", "1", Verdict.REJECTED, "import os"),
        ("from math import floor as f", "2.5", Verdict.OK, "2"),
        ("f = None", "1", Verdict.EXCEPTION, "TypeError"),
        ("def f(x): return x.__class__", "1", Verdict.REJECTED, "attribute __class__"),
        ("def g(x): return x", "1", Verdict.REJECTED, "no function f"),
        ("def f(x) return x", "1", Verdict.SYNTAX_ERROR, "SyntaxError"),
        ("def f(x, y=0): return x", "1), (2", Verdict.BAD_INPUT, ""),
        ("def f(x): return 1 // x", "0", Verdict.EXCEPTION, "ZeroDivisionError"),
        ("def f(x):\n    while True: pass", "0", Verdict.TIMEOUT, "cpu"),
        ("def f(x): return [0] * 10**10", "0", Verdict.OUT_OF_MEMORY, ""),
        ("def f(x): return list(set(x))", "['a', 'bb', 'ccc', 'd', 'e', 'f']", Verdict.NON_DETERMINISTIC, ""),
        ("def f(x): return 'a' * 5000", "0", Verdict.OUTPUT_TOO_LARGE, ""),
        ("def f(x): return lambda: x", "0", Verdict.NOT_A_LITERAL, "function"),
    ],
)
def test_verdicts(executor, program, given, verdict, result):
    execution = executor.run(Job(program, given))
    assert execution.verdict is verdict
    assert (execution.output if execution.ok else execution.detail) == result
