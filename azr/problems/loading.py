"""Problem sets by name, from the world, the hub or a JSONL file, and the one interface through which they are used.

    problem_set = load_problems("math500", limit=50)             # from the hub, by `datasets`
    problem_set = load_problems("aime24", path=Path("aime24.jsonl"))
    problem_set = load_problems("my_questions.jsonl")            # {"question": ..., "answer": ...} a line
    with problem_set.open_executor() as executor:
        problem_set.grade([(problem, response)], style, executor)

A file's rows are told by their columns (``FORMS``); a row that cannot be used is named by its line and left out. Hub
data sets are named here and nowhere else; left out: their revisions (pin one by a local file).
"""

from __future__ import annotations

import json
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from azr.errors import UserError
from azr.executor import Executor, Job
from azr.executor.policy import IMPORTS
from azr.problems.base import Graded, Problem
from azr.problems.evalplus import grade_evalplus, read_evalplus
from azr.problems.mathematics import grade_mathematics, read_mathematics
from azr.problems.tasks import (
    grade_arithmetic,
    grade_execution,
    grade_tasks,
    read_execution,
    read_own,
    read_seed,
    world_problems,
)
from azr.prompts.base import PromptStyle

WORLD_SIZE = 64
"""Problems of each group of the world where no limit is given: it has no end."""

GRADERS: dict[str, Callable[[Sequence[tuple[Problem, str]], PromptStyle, Executor], list[Graded]]] = {
    "task": grade_tasks,
    "execution": grade_execution,
    "arithmetic": grade_arithmetic,
    "evalplus": grade_evalplus,
    "mathematics": grade_mathematics,
}
_MORE = {"datetime", "hashlib", "json", "random"}
LIMITS: dict[str, dict[str, Any]] = {
    "execution": {"cpu_seconds": 3},
    "evalplus": {"cpu_seconds": 20, "wall_seconds": 60, "memory_mb": 1024, "policy": IMPORTS | _MORE},
}
"""What a grader's programs may take, where it is not what the executor gives by itself: CruxEval's own 3 seconds, and
room for all tests of a program together."""


@dataclass(frozen=True)
class Form:
    """The columns by which a kind of row is told (``a|b``: either), who reads it, and who grades."""

    columns: tuple[str, ...]
    read: Callable[[Mapping[str, Any], int], list[Problem]]
    """(row, its index from 0) -> its problems; raises ValueError with the reason where the row cannot be used."""
    grader: str


FORMS = {
    "self-play": Form(("type", "program", "inputs", "outputs", "message"), read_own, "task"),
    "seeds": Form(("snippet", "input|inputs", "output|outputs"), read_seed, "task"),
    "evalplus": Form(("task_id", "prompt", "canonical_solution|code", "test|base_input"), read_evalplus, "evalplus"),
    "execution": Form(("code", "input", "output"), read_execution, "execution"),
    "mathematics": Form(("problem|question", "answer|final_answer|solution"), read_mathematics, "mathematics"),
}
HUB: dict[str, tuple[str, str, str | None, str]] = {
    "humaneval_plus": ("evalplus", "evalplus/humanevalplus", None, "test"),
    "mbpp_plus": ("evalplus", "evalplus/mbppplus", None, "test"),
    "cruxeval": ("execution", "cruxeval-org/cruxeval", None, "test"),
    "livecodebench": ("execution", "livecodebench/execution-v2", None, "test"),
    "math500": ("mathematics", "HuggingFaceH4/MATH-500", None, "test"),
    "aime24": ("mathematics", "HuggingFaceH4/aime_2024", None, "train"),
    "aime25": ("mathematics", "math-ai/aime25", None, "test"),
    "amc23": ("mathematics", "math-ai/amc23", None, "test"),
    "minerva": ("mathematics", "math-ai/minervamath", None, "test"),
    "olympiadbench": ("mathematics", "Hothan/OlympiadBench", "OE_TO_maths_en_COMP", "train"),
    "gsm8k": ("mathematics", "openai/gsm8k", "main", "train"),
    "math": ("mathematics", "DigitalLearningGmbH/MATH-lighteval", None, "train"),
}
"""name -> form, data set on the hub, its configuration, its split."""
WORLD = ("world/train", "world/validation", "world/tuning", "world/test", "world/arithmetic")
NAMES = (*WORLD, "seeds", *HUB)


@dataclass(frozen=True)
class ProblemSet:
    """Problems that are asked and graded in one way."""

    name: str
    problems: tuple[Problem, ...]
    grader: str
    """A name in ``GRADERS``."""

    def prompt(self, problem: Problem, style: PromptStyle) -> str:
        """The whole prompt of a problem, up to the model's turn."""
        return style.solve(problem.task) if problem.task else style.ask(problem.question)

    def worked(self, problem: Problem, style: PromptStyle) -> str | None:
        """A right response in the style; None where the set has no worked solutions."""
        if problem.worked:
            return style.respond(None, [problem.worked], f"\\boxed{{{problem.gold['answer']}}}")
        if not self.name.startswith("world/") or problem.task is None:
            return None
        return style.respond(problem.task.type, problem.values, problem.task.answer)

    def grade(self, attempts: Sequence[tuple[Problem, str]], style: PromptStyle, executor: Executor) -> list[Graded]:
        """What became of each response (raw text of a model); ``executor`` as ``open_executor`` gives it."""
        return GRADERS[self.grader](attempts, style, executor) if attempts else []

    def open_executor(self, workers: int | None = None) -> Executor:
        """An executor with the limits of this set: use it as a context manager."""
        return Executor(workers, **LIMITS.get(self.grader, {}))


def load_problems(name: str, limit: int | None = None, path: Path | None = None) -> ProblemSet:
    """The problem set ``name``, its first ``limit`` problems of each group.

    Args:
        name: one of ``NAMES``, or the path of a JSONL file.
        limit: problems of each group; by default all, of the world ``WORLD_SIZE``.
        path: a JSONL file to read instead of the hub's rows.

    Rows that cannot be used are left out and named in a warning. Raises UserError for an unknown name, a file that
    cannot be read or holds no usable row, and a hub that cannot be reached.
    """
    if name in WORLD:
        if path is not None:
            raise UserError(f"{name} is generated and needs no file: leave the file out.")
        problems = world_problems(name.removeprefix("world/"), limit or WORLD_SIZE)
        return ProblemSet(name, tuple(problems), "arithmetic" if name == "world/arithmetic" else "task")
    if path is None and name not in NAMES:
        path, name = Path(name), Path(name).stem
        if not path.exists():
            raise UserError(f"There is no problem set or file '{path}'; choose one of {', '.join(NAMES)}, or a .jsonl.")
    if path is None and name == "seeds":
        raise UserError("AZR's seed files are on no hub: give one as a file, as 7b_coder_seed_io.jsonl.")
    rows = _file_rows(path) if path else _hub_rows(name)
    form = _form_of(rows, HUB[name][0] if name in HUB else "", path or name)
    problems, broken = _read(FORMS[form], name, rows)
    if form == "seeds":
        problems, fallen = _run_anew(problems)
        broken += fallen
    if not problems:
        raise UserError(f"{path or name} holds no usable problem ({broken[0]}): give rows as docs/benchmarks.md says.")
    if broken:
        more = f"; and {len(broken) - 5} more" if len(broken) > 5 else ""
        warnings.warn(f"{path or name}: {len(broken)} left out: {'; '.join(broken[:5])}{more}", stacklevel=2)
    return ProblemSet(name, tuple(_first(problems, limit)), FORMS[form].grader)


def _file_rows(path: Path) -> list[tuple[int, Any]]:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError as error:
        raise UserError(f"The file {path} cannot be read ({error.strerror}): give a JSONL file.") from error
    rows = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                rows.append((number, json.loads(line)))
            except ValueError:
                rows.append((number, None))
    return rows


def _hub_rows(name: str) -> list[tuple[int, Any]]:
    import datasets  # takes seconds

    _, data_set, configuration, split = HUB[name]
    try:
        return list(enumerate(datasets.load_dataset(data_set, configuration, split=split), 1))
    except Exception as error:  # the hub's client raises a dozen kinds, from no network to no permission
        raise UserError(
            f"{name} could not be had from the hub ({data_set}: {type(error).__name__}): go online, or give its rows "
            "as a JSONL file."
        ) from error


def _form_of(rows: Sequence[tuple[int, Any]], wanted: str, source: Path | str) -> str:
    """The form whose columns the first whole row has. Raises UserError where there is none, or another than wanted."""
    row = next((row for _, row in rows if isinstance(row, Mapping)), {})
    for name, form in FORMS.items():
        has = [any(row.get(part) is not None for part in column.split("|")) for column in form.columns]
        if all(has) and wanted in ("", name):
            return name
    columns = FORMS[wanted].columns if wanted else ("question", "answer")
    raise UserError(f"{source} holds no usable row: it needs the columns {', '.join(columns)} (docs/benchmarks.md).")


def _read(form: Form, name: str, rows: Iterable[tuple[int, Any]]) -> tuple[list[Problem], list[str]]:
    """The problems of the rows, and what is wrong with those that hold none."""
    problems: list[Problem] = []
    seen: Counter[str] = Counter()
    broken: list[str] = []
    for number, row in rows:
        try:
            read = form.read(row, number - 1)
        except (ValueError, TypeError, KeyError, AttributeError, SyntaxError) as error:
            reason = f"no {error}" if isinstance(error, KeyError) else str(error)
            broken.append(f"line {number}: {reason if isinstance(row, Mapping) else 'not a JSON object'}")
            continue
        for problem in read:
            seen[problem.id] += 1
            again = f"#{seen[problem.id]}" if seen[problem.id] > 1 else ""
            problems.append(replace(problem, id=problem.id + again, group=problem.group or name))
    return problems, broken


def _run_anew(problems: Sequence[Problem]) -> tuple[list[Problem], list[str]]:
    """Seeds with the outputs that our executor gives, and those that do not run or are not deterministic."""
    jobs = [Job(problem.task.program, given, runs=2) for problem in problems for given in problem.task.inputs]
    with Executor() as executor:
        results = iter(executor.run_many(jobs))
    stand, fallen = [], []
    for problem in problems:
        own = [next(results) for _ in problem.task.inputs]
        if all(result.ok for result in own):
            outputs = tuple(str(result.output) for result in own)
            stand.append(replace(problem, task=replace(problem.task, outputs=outputs)))
        else:
            fallen.append(f"problem {problem.id}: {next(str(result.verdict) for result in own if not result.ok)}")
    return stand, fallen


def _first(problems: Sequence[Problem], limit: int | None) -> list[Problem]:
    taken: Counter[str] = Counter()
    chosen = []
    for problem in problems:
        taken[problem.group] += 1
        if limit is None or taken[problem.group] <= limit:
            chosen.append(problem)
    return chosen
