"""Problem sets by name, from the world, the hub or a JSONL file, and the one interface through which they are used.

    problem_set = load_problems("math500", limit=50)             # from the hub, by `datasets`
    problem_set = load_problems("aime24", path=Path("aime24.jsonl"))
    problem_set = load_problems("my_questions.jsonl")            # {"question": ..., "answer": ...} a line

A file's rows are told by their columns (``FORMS``); a row that cannot be used is named by its line and left out. Hub
data sets are named in ``benchmarks.yaml``. Left out: their revisions (pin one by a local file).
"""

import json
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from azr.errors import UserError
from azr.executor import Executor
from azr.executor.policy import IMPORTS
from azr.problems import evalplus, mathematics, tasks
from azr.problems.tasks import Graded, Problem
from azr.prompts.base import PromptStyle

Reader = Callable[[Mapping[str, Any], int], list[Problem]]
"""(row, its index from 0) -> its problems; raises ValueError with the reason where the row cannot be used."""
FORMS: dict[str, tuple[tuple[str, ...], Reader]] = {
    "task": (("type", "program", "inputs", "outputs"), tasks.read_own),
    "seeds": (("snippet", "input|inputs", "output|outputs"), tasks.read_seed),
    "evalplus": (("task_id", "prompt", "canonical_solution|code", "test|base_input"), evalplus.read_evalplus),
    "execution": (("code", "input", "output"), tasks.read_execution),
    "mathematics": (("problem|question", "answer|final_answer|solution"), mathematics.read_mathematics),
}
"""The columns by which a kind of row is told (``a|b``: either), and who reads it."""
GRADERS: dict[str, Callable[[Sequence[tuple[Problem, str]], PromptStyle, Executor], list[Graded]]] = {
    "task": tasks.grade_tasks,
    "seeds": tasks.grade_tasks,
    "evalplus": evalplus.grade_evalplus,
    "execution": tasks.grade_execution,
    "mathematics": mathematics.grade_mathematics,
    "arithmetic": mathematics.grade_arithmetic,
}
_MORE = {"datetime", "hashlib", "json", "random"}
LIMITS: dict[str, dict[str, Any]] = {
    "execution": {"cpu_seconds": 3},
    "evalplus": {"cpu_seconds": 20, "wall_seconds": 60, "memory_mb": 1024, "policy": IMPORTS | _MORE},
}
"""By grader, what programs may take where it is not the executor's own: CruxEval's 3 seconds, and room for all tests
of a program together."""
HUB: dict[str, dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("benchmarks.yaml").read_text(encoding="utf-8"))
WORLD = ("world/train", "world/validation", "world/tuning", "world/test", "world/arithmetic")
SUMS = ("sums/train", "sums/test")
"""Twenty short questions each, of the kind of GSM8K's and much easier; they ship."""
NAMES = (*WORLD, *SUMS, *HUB)
WORLD_SIZE = 64
"""Problems of each group of the world where no limit is given: it has no end."""


@dataclass(frozen=True)
class ProblemSet:
    """Problems that are asked and graded in one way."""

    name: str
    problems: tuple[Problem, ...]
    grader: str
    """A name in ``GRADERS``."""

    def prompt(self, problem: Problem, style: PromptStyle) -> str:
        """The whole prompt of a problem, up to the model's turn."""
        wanted = style.wanted if self.grader == "mathematics" else ""
        return style.solve(problem.task) if problem.task else style.ask(problem.question + wanted)

    def worked(self, problem: Problem, style: PromptStyle) -> str | None:
        """A right response in the style; None where the set has no worked answers."""
        if problem.worked:
            form = "\\boxed{%s}" if "boxed" in style.wanted else "%s"
            return style.respond(None, [problem.worked], form % problem.gold["answer"])
        if not self.name.startswith("world/") or problem.task is None:
            return None
        return style.respond(problem.task.type, problem.values, problem.task.answer)

    def grade(self, attempts: Sequence[tuple[Problem, str]], style: PromptStyle, executor: Executor) -> list[Graded]:
        """What became of each response (raw text of a model); ``executor`` is one of ``open_executor``."""
        return GRADERS[self.grader](attempts, style, executor) if attempts else []

    def open_executor(self, workers: int | None = None) -> Executor:
        """An executor with this set's own limits: use it as a context manager."""
        return Executor(workers, **LIMITS.get(self.grader, {}))


def load_problems(name: str, limit: int | None = None, path: Path | None = None) -> ProblemSet:
    """The problem set ``name`` (of ``NAMES``, or the path of a JSONL file).

    ``limit``: only the first problems of each group; ``path``: a JSONL file instead of the hub's rows, or ``seeds``.
    Rows that cannot be used are left out and named in a warning. Raises UserError for an unknown name, a file that
    cannot be read or holds no usable row, and a hub that cannot be reached.
    """
    hub = HUB.get(name)
    if path is not None and hub is None and name != "seeds":
        raise UserError(f"{name} is no set of the hub, whose rows a file could hold: give {path} in place of its name.")
    if name in WORLD:
        problems = tasks.world_problems(name.removeprefix("world/"), limit or WORLD_SIZE)
        return ProblemSet(name, tuple(problems), "arithmetic" if name == "world/arithmetic" else "task")
    if path is None and name in SUMS:
        path = Path(__file__).with_name(f"{name.replace('/', '-')}.jsonl")
    elif path is None and hub is None:
        path, name = Path(name), Path(name).stem
    rows = _hub_rows(name) if path is None else _file_rows(path)
    form = hub["form"] if hub else _form_of(rows)
    problems, broken = _read(form, name, rows)
    if form == "seeds":
        problems, fallen = tasks.run_anew(problems)
        broken += fallen
    if not problems:
        why = broken[0] if broken else "no line"
        raise UserError(f"{path or name} holds no usable problem ({why}): its columns are in docs/benchmarks.md.")
    if broken:
        more = "; and more" if len(broken) > 5 else ""
        warnings.warn(f"{path or name}: {len(broken)} left out: {'; '.join(broken[:5])}{more}", stacklevel=2)
    chosen = []
    for group in dict.fromkeys(problem.group for problem in problems):
        chosen += [problem for problem in problems if problem.group == group][:limit]
    return ProblemSet(name, tuple(chosen), form)


def _file_rows(path: Path) -> dict[int, Any]:
    """The rows by line, from 0; None where a line is no JSON."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError as error:
        names = ", ".join(NAMES)
        raise UserError(f"{path} is no file ({error.strerror}): give a JSONL file, or one of {names}.") from error
    rows: dict[int, Any] = {}
    for number, line in enumerate(lines):
        if line.strip():
            rows[number] = None
            with suppress(ValueError):
                rows[number] = json.loads(line)
    return rows


def _hub_rows(name: str) -> dict[int, Any]:
    import datasets  # takes seconds

    try:
        return dict(enumerate(datasets.load_dataset(**HUB[name]["hub"])))
    except Exception as error:  # the hub's client raises a dozen kinds, from no network to no permission
        source, kind = HUB[name]["hub"]["path"], type(error).__name__
        raise UserError(
            f"{name} could not be had from the hub ({source}: {kind}): connect, or give its rows as a JSONL file."
        ) from error


def _form_of(rows: Mapping[int, Any]) -> str:
    """That of whose columns the first row lacks the fewest."""
    row = next((row for row in rows.values() if isinstance(row, Mapping)), {})
    return min(FORMS, key=lambda form: len(_lacking(row, form)))


def _lacking(row: Mapping[str, Any], form: str) -> list[str]:
    """The columns of a form that a row has not."""
    return [column for column in FORMS[form][0] if all(row.get(name) is None for name in column.split("|"))]


def _read(form: str, name: str, rows: Mapping[int, Any]) -> tuple[list[Problem], list[str]]:
    """The problems of the rows, and what is wrong with those that hold none."""
    problems: list[Problem] = []
    seen: Counter[str] = Counter()
    broken: list[str] = []
    for index, row in rows.items():
        try:
            lacking = _lacking(row, form) if isinstance(row, Mapping) else ["JSON object"]
            if lacking:
                raise ValueError(f"no {', '.join(lacking).replace('|', ' or ')}")
            read = FORMS[form][1](row, index)
        except (ValueError, TypeError, KeyError, AttributeError, SyntaxError) as error:
            broken.append(f"line {index + 1}: {error}")
            continue
        for problem in read:
            seen[problem.id] += 1
            again = f"#{seen[problem.id]}" if seen[problem.id] > 1 else ""
            problems.append(replace(problem, id=problem.id + again, group=problem.group or name))
    return problems, broken
