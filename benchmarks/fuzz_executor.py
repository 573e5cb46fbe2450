"""Throw mutated and random programs at the executor for some time; end with counts of verdicts.

    python benchmarks/fuzz_executor.py --seconds 60 --seed 1

After each batch the executor must still give right answers and hold no more descriptors and workers than before;
otherwise the script stops with the batch in a file. Left out: looking for programs with wrong results, which the
property tests do.
"""

from __future__ import annotations

import argparse
import ast
import json
import random
import sys
import time
from collections import Counter
from pathlib import Path

from azr.executor import Execution, Executor, Job, Script

SEEDS = [
    "def f(x):\n    return [v * 2 for v in x if v % 3]",
    "import math\ndef f(x):\n    return math.gcd(*x), {k: v for k, v in enumerate(x)}",
    "class A:\n    def __init__(self, v): self.v = v\n    def __eq__(self, o): return 1\ndef f(x):\n    return A(x).v",
    "def f(x):\n    try:\n        return f(x + [1])\n    except RecursionError:\n        return len(x)",
    "def f(x):\n    a = x\n    while len(a) < 10**7:\n        a = a + a\n    return len(a)",
    "from collections import Counter, deque\ndef f(x):\n    return dict(Counter(x)), list(deque(x, 2))",
    "import re\ndef f(x):\n    return re.sub('(a|b)+', '-', 'abc' * 3), f'{x!r:>20}'",
    "def f(x):\n    return ().__class__.__base__.__subclasses__()",
    "def g():\n    try:\n        yield 1\n    finally:\n        print(1)\ndef f(x):\n    return list(g()), {'a', 'b'}",
    "def f(x):\n    return pow(x[0] + 7, 10**6) % 10**9, 'x' * 10**6",
    "def f(x):\n    match x:\n        case [a, *b]:\n            return a, b\n    return None",
]
TOKENS = [
    *"""( ) [ ] { } , : . = == != + - * ** // % << @ -> := lambda if else for in while def class return yield try except
    finally raise import from as global nonlocal del pass break continue with assert not and or is None True False async
    await match case f x a b self 0 1 2 -1 10**9 1e999 1j 'a' b'a' f'{x}' \"\"\" ''' # len range str int list dict set
    tuple type object getattr setattr __class__ __builtins__ __import__ eval exec open os sys math re gc print input
    sorted sum map filter zip iter next super property staticmethod MemoryError RecursionError Exception""".split(),  # noqa: SIM905
    "\n",
    "\n    ",
    "\t",
    "\\",
]
INPUTS = [
    "[1, 2, 3]",
    "3",
    "'abc'",
    "",
    "[1], 2",
    "{'a': [1]}",
    "1), (2",
    "[",
    "x=1",
    "-" * 500 + "1",
    "{1, 2}",
    "1e999",
]


def mutate(text: str, rng: random.Random) -> str:
    """A few random edits: delete, repeat, insert a token, swap lines, overwrite characters."""
    for _ in range(rng.choice([1, 1, 2, 5])):
        i, j = sorted(rng.randint(0, len(text)) for _ in range(2))
        kind = rng.randrange(6)
        if kind == 0:
            text = text[:i] + text[min(j, i + 20) :]
        elif kind == 1:
            text = text[:j] + text[i:j] * rng.choice([1, 2, 50]) + text[j:]
        elif kind == 2:
            text = text[:i] + rng.choice(["", " "]) + rng.choice(TOKENS) + rng.choice(["", " "]) + text[i:]
        elif kind == 3:
            lines = text.split("\n")
            rng.shuffle(lines)
            text = "\n".join(lines)
        elif kind == 4:
            text = (
                text[:i]
                + chr(rng.choice([0, 9, 10, 32, 39, 92, 233, 8364, 0xD800, rng.randint(0, 0x10FFFF)]))
                + text[i:]
            )
        else:
            text = text[:i] + rng.choice(SEEDS)[: rng.randint(1, 60)] + text[i:]
        text = text[:20_000]
    return text


def graft(text: str, rng: random.Random) -> str:
    """Put expressions and statements of other seeds in place of some of this one: still Python, mostly."""
    tree = ast.parse(text)
    for _ in range(rng.randint(1, 4)):
        places = [
            (node, field)
            for node in ast.walk(tree)
            for field, value in ast.iter_fields(node)
            if (isinstance(value, ast.expr) and isinstance(getattr(value, "ctx", ast.Load()), ast.Load))
            or field == "body"
        ]
        node, field = rng.choice(places)
        wanted = ast.expr if isinstance(getattr(node, field), ast.expr) else ast.stmt
        found = [part for part in ast.walk(ast.parse(rng.choice(SEEDS))) if isinstance(part, wanted)]
        part = rng.choice(found)
        setattr(node, field, part if wanted is ast.expr else [*getattr(node, field), part])
    try:
        return ast.unparse(tree)[:20_000]
    except (AttributeError, TypeError, ValueError, RecursionError):  # a tree that no text gives
        return text


def make_job(rng: random.Random) -> Job | Script:
    """A changed program, or a soup of tokens, as a job or as a script."""
    kind = rng.random()
    if kind < 0.65:
        program = graft(rng.choice(SEEDS), rng)
    elif kind < 0.9:
        program = mutate(rng.choice(SEEDS), rng)
    else:
        program = "def f(x):\n    return " + " ".join(rng.choices(TOKENS, k=rng.randint(1, 30)))
    if rng.random() < 0.1:
        return Script(program)
    given = rng.choice(INPUTS)
    return Job(program, mutate(given, rng) if rng.random() < 0.2 else given, runs=rng.choice([1, 2]))


def open_descriptors() -> int:
    """Descriptors of this process."""
    return len(list(Path("/dev/fd").iterdir()))


def main() -> int:
    """Fuzz, then print how often each verdict came."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    counts: Counter[str] = Counter()
    check = Job("def f(x): return [x, str(x), {x}]", "7")
    end = time.monotonic() + options.seconds
    with Executor(cpu_seconds=0.3, wall_seconds=10, memory_mb=64) as executor:
        executor.run(check)
        before = open_descriptors(), len(executor._crew)
        while time.monotonic() < end:
            jobs = [make_job(rng) for _ in range(200)]
            executions: list[Execution] = []
            try:
                executions = executor.run_many(jobs)
                fine = executor.run(check).output == "[7, '7', {7}]"
            except Exception as error:
                print(f"{type(error).__name__}: {error}", file=sys.stderr)
                fine = False
            counts.update(f"{e.verdict} {e.detail if e.verdict == 'killed' else ''}".strip() for e in executions)
            if not fine or len(executions) != len(jobs) or (open_descriptors(), len(executor._crew)) != before:
                path = Path(f"fuzz-executor-{options.seed}.json")
                path.write_text(json.dumps([[job.program, getattr(job, "input", None)] for job in jobs]))
                print(f"failed after {counts.total()} programs with seed {options.seed}; the batch is in {path}")
                return 1
    for name, count in counts.most_common():
        print(f"{count:8}  {name}")
    print(f"{counts.total():8}  programs in {options.seconds:.0f} s, seed {options.seed}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
