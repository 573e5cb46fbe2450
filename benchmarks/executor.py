"""How fast the executor is, beside the simplest ways to run a program.

    python benchmarks/executor.py                  # a table of CPU times and ratios, half a minute
    python benchmarks/executor.py --soak 200000    # also: does memory stay flat over so many programs?

Every program is short, made up here, and run twice for determinism under different hash seeds. *Subprocess* starts an
interpreter a run; *bare fork* forks this process a run, with no limits, no policy and one hash seed; *no isolation*
compiles once and runs twice in this process, in new globals. All figures are CPU seconds over all processes, which a
busy machine changes less than wall time. Left out: timings of any one program; nothing is
asserted.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from azr.executor import Executor, Job
from azr.grading import grade_many
from azr.tasks import Task, TaskType


def make_program(rng: random.Random) -> str:
    """A function of one to six statements over an integer and a list."""
    lines = ["def f(n, xs):", "    out = []"]
    for _ in range(rng.randint(1, 6)):
        a, b = rng.randint(1, 99), rng.randint(2, 9)
        lines.append(
            rng.choice(
                [
                    f"    n = n * {b} + {a}",
                    f"    xs = [x + {a} for x in xs if x % {b}]",
                    f"    out.append(n % {a})",
                    f"    for x in xs:\n        n += x // {b}",
                    f"    if n > {a}:\n        n -= len(xs)",
                    f"    out = sorted(out + xs)[:{b}]",
                    f"    n ^= {a}",
                    f"    out.append(len(str(n)) + {b})",
                ]
            )
        )
    return "\n".join([*lines, "    return n, out, xs"])


ARGUMENTS = "7, [3, 1, 4, 1, 5]"


def by_subprocess(programs: list[str]) -> None:
    """An interpreter for each run."""
    for program in programs:
        code = f"{program}\nprint(repr(f({ARGUMENTS})))"
        outputs = [
            subprocess.run([sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True).stdout
            for seed in "12"
        ]
        assert outputs[0] == outputs[1]


def by_fork(programs: list[str]) -> None:
    """A fork of this process for each run, and a pipe for its output."""
    for program in programs:
        outputs = []
        for _ in range(2):
            reading, writing = os.pipe()
            pid = os.fork()
            if pid == 0:
                try:
                    os.write(writing, in_process(program).encode())
                finally:
                    os._exit(0)
            os.close(writing)
            outputs.append(os.read(reading, 1 << 16))
            os.close(reading)
            os.waitpid(pid, 0)
        assert outputs[0] == outputs[1]


def in_process(program: str, runs: int = 1) -> str:
    """Compile and run here. Only for programs made up here."""
    code = compile(program, "<program>", "exec")
    for _ in range(runs):
        space: dict = {}
        exec(code, space)
        output = repr(space["f"](7, [3, 1, 4, 1, 5]))
    return output


class Cost(NamedTuple):
    """What ``count`` things took."""

    count: int
    cpu: float

    @property
    def cpu_ms(self) -> float:
        """CPU milliseconds a thing, over all processes."""
        return 1000 * self.cpu / self.count


def cpu_seconds() -> float:
    """CPU time of this process and of its children that have ended."""
    usages = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def cost(count: int, action: Callable[[], object]) -> Cost:
    """What ``action`` takes, which does ``count`` things."""
    cpu = cpu_seconds()
    action()
    return Cost(count, cpu_seconds() - cpu)


def executor_cost(jobs: list[Job]) -> Cost:
    """What an executor takes for ``jobs``, its start left out."""
    totals = []
    for work in ([], jobs):
        cpu = cpu_seconds()
        with Executor() as executor:
            executor.run_many([Job("def f(x): return {x}", "1")])  # all lanes are up
            executor.run_many(work)
        totals.append(cpu_seconds() - cpu)
    return Cost(len(jobs), totals[1] - totals[0])


def resident_mb(executor: Executor) -> float:
    """Resident memory of this process and of the executor's processes, in MB; Linux only."""
    wanted = {os.getpid()} | {member.process.pid for member in executor._crew}
    pages = 0
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            if int(path.name) in wanted or parent in wanted:
                pages += int((path / "statm").read_text().split()[1])
        except (OSError, ValueError):
            continue
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--programs", type=int, default=4000, help="programs for the executor's own rates")
    parser.add_argument("--soak", type=int, default=0, metavar="N", help="run N more programs and watch memory")
    options = parser.parse_args()
    rng = random.Random(0)
    programs = [make_program(rng) + f"\n# {i}" for i in range(options.programs)]
    some = programs[: max(1, options.programs // 20)]
    few = programs[: max(1, options.programs // 100)]
    jobs = [Job(program, ARGUMENTS) for program in programs]
    alone = [Job("class Alone: pass\n" + program, ARGUMENTS) for program in some]
    task = Task(TaskType.DEDUCTION, "def f(x): return x", ("[1, 2]",), ("[1, 2]",))
    attempts = [(task, f"[1, {i}]") for i in range(20_000)]
    subprocesses = cost(len(few), lambda: by_subprocess(few))
    forks = cost(len(some), lambda: by_fork(some))
    rows = {
        "subprocess a run": subprocesses,
        "bare fork a run": forks,
        "no isolation": cost(len(programs), lambda: [in_process(program, runs=2) for program in programs]),
        "executor": executor_cost(jobs),
        "executor, a process for each run": executor_cost(alone),
    }
    version = sys.version.split()[0]
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python {version}; every program is run twice")
    print(f"{'':36}{'CPU ms each':>13}{'times as fast as: subprocess':>30}{'bare fork':>11}")
    for name, row in rows.items():
        ratios = f"{subprocesses.cpu_ms / row.cpu_ms:30.1f}{forks.cpu_ms / row.cpu_ms:11.2f}"
        print(f"{name:36}{row.cpu_ms:13.3f}{ratios}")
    with Executor() as executor:
        row = cost(len(attempts), lambda: grade_many(executor, attempts))
        print(f"{'deduction answers graded':36}{row.cpu_ms:13.3f}")
        for done in range(0, options.soak, 20_000):
            count = min(20_000, options.soak - done)
            executor.run_many([Job(make_program(rng) + f"\n# {done + i}", ARGUMENTS) for i in range(count)])
            print(f"after {done + count:7} programs: {resident_mb(executor):7.1f} MB resident", flush=True)


if __name__ == "__main__":
    main()
