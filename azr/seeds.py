"""Seed tasks from files in the JSONL format that AZR publishes, each checked by running it.

    with Executor() as executor:
        seeds = read_seeds("7b_coder_seed_io.jsonl", executor)
    print(seeds.summary())
    seeds.tasks(TaskType.ABDUCTION)
    write_buffer(Path("seeds.jsonl"), seeded_buffer([seeds]))

A line holds either ``snippet``, ``input`` and ``output`` (a seed of deduction and of abduction alike) or ``snippet``,
``inputs``, ``outputs`` and ``message`` (induction); ``imports`` that the snippet lacks are put before it, all other
fields are passed over. The gold output is always what our executor returns: published files hold outputs that are
empty, cut off at 400 characters or no literals, and such an entry is kept with its output computed anew and counted
apart. What does not run, is not deterministic or takes input that is no literal falls, with the reason.

Left out: seeds of AZR's error task and composite functions, off in every published run.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from azr.buffer import TaskBuffer
from azr.errors import UserError
from azr.executor import Execution, Executor, Job, same_literal
from azr.prompts.parsing import read_arguments, read_program
from azr.tasks import Task, TaskType


@dataclass(frozen=True)
class Seeds:
    """What a seed file gave."""

    path: str
    entries: tuple[Task, ...]
    """The tasks that stand, in file order; a pair of input and output is held as a deduction task."""
    recomputed: tuple[int, ...]
    """Line numbers of those whose published output differs from what the program returns."""
    fallen: tuple[tuple[int, str], ...]
    """Line number (from 1) and reason of each entry that does not stand."""

    def tasks(self, task_type: TaskType) -> list[Task]:
        """The seeds of one task type; deduction and abduction share theirs, as in AZR."""
        if task_type is TaskType.INDUCTION:
            return [task for task in self.entries if task.type is task_type]
        return [replace(task, type=task_type) for task in self.entries if task.type is not TaskType.INDUCTION]

    def summary(self) -> str:
        """How many stand, and why the others fall (one line a reason, with the line numbers)."""
        read = len(self.entries) + len(self.fallen)
        lines = [f"{self.path}: {len(self.entries)} of {read} seeds stand, {len(self.recomputed)} of them recomputed"]
        for reason, count in Counter(reason for _, reason in self.fallen).most_common():
            numbers = ", ".join(str(number) for number, why in self.fallen if why == reason)
            lines.append(f"  {count} fall: {reason} (line {numbers})")
        return "\n".join(lines)


@dataclass(frozen=True)
class _Draft:
    """A seed as written, before it has run."""

    line: int
    program: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    message: str | None


def read_seeds(path: str | Path, executor: Executor) -> Seeds:
    """Read a seed file and run every entry in ``executor``, each input twice.

    Raises UserError where the file cannot be read or holds no seed at all; a broken line costs only itself.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError as error:
        raise UserError(f"the seed file {path} cannot be read ({error.strerror}): give a JSONL file") from error
    drafts: list[_Draft] = []
    fallen: list[tuple[int, str]] = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            draft = _draft(number, line)
            drafts.append(draft) if isinstance(draft, _Draft) else fallen.append((number, draft))
    if not drafts:
        raise UserError(f"{path} holds no seed: each line must be a JSON object with snippet, input and output")
    executions = iter(executor.run_many([Job(d.program, given, runs=2) for d in drafts for given in d.inputs]))
    entries, recomputed = [], []
    for draft in drafts:
        results = [next(executions) for _ in draft.inputs]
        failure = next((result for result in results if not result.ok), None)
        if failure is not None:
            fallen.append((draft.line, _reason(failure)))
            continue
        outputs = tuple(str(result.output) for result in results)
        task_type = TaskType.DEDUCTION if draft.message is None else TaskType.INDUCTION
        entries.append(Task(task_type, draft.program, draft.inputs, outputs, draft.message or ""))
        if not all(same_literal(ours, theirs) for ours, theirs in zip(outputs, draft.outputs, strict=True)):
            recomputed.append(draft.line)
    return Seeds(str(path), tuple(entries), tuple(recomputed), tuple(sorted(fallen)))


def seeded_buffer(seeds: Sequence[Seeds]) -> TaskBuffer:
    """The buffer before the first step: each file's deduction and abduction tasks (the same), then induction."""
    buffer = TaskBuffer()
    for of_file in seeds:
        for task_type in TaskType:
            for task in of_file.tasks(task_type):
                buffer.add(task, step=0)
    return buffer


def write_buffer(path: Path, buffer: TaskBuffer) -> None:
    """Write a run's ``seeds.jsonl``, whole or not at all."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text("".join(json.dumps(row) + "\n" for row in buffer.to_json()), encoding="utf-8")
    temporary.replace(path)


def run_seeds(files: Sequence[Path]) -> TaskBuffer:
    """The buffer with which a run starts from seed files; prints what of them stands.

    Raises UserError where there is no task of one of the types: each has a solver from the first step on.
    """
    with Executor() as executor:
        seeds = [read_seeds(file, executor) for file in files]
    for of_file in seeds:
        print(of_file.summary(), flush=True)
    buffer = seeded_buffer(seeds)
    for name, count in buffer.sizes().items():
        if not count:
            form = "inputs, outputs and message" if name == TaskType.INDUCTION else "input and output"
            raise UserError(f"the seed files hold no {name} task that stands: add one with {form} (see azr seeds FILE)")
    return buffer


def _draft(number: int, line: str) -> _Draft | str:
    """The entry on one line, or what is wrong with it."""
    try:
        row = json.loads(line)
    except ValueError:
        return "not JSON"
    if not isinstance(row, Mapping):
        return "not a JSON object"
    if not isinstance(row.get("snippet"), str):
        return "no snippet"
    induction = "inputs" in row
    inputs, outputs = (
        (row.get("inputs"), row.get("outputs")) if induction else ([row.get("input")], [row.get("output")])
    )
    if not _are_texts(inputs) or not _are_texts(outputs):
        return "input and output must be text"
    if len(inputs) != len(outputs):
        return f"{len(inputs)} inputs for {len(outputs)} outputs"
    if induction and (len(inputs) < 2 or not isinstance(row.get("message"), str)):
        return "induction needs two inputs and a message"
    imports = row.get("imports") or []
    missing = [name for name in imports if name not in row["snippet"]] if _are_texts(imports) else []
    program = read_program("\n".join([*missing, row["snippet"]]), rename=False)
    if program.program is None:
        return program.reason
    arguments = [read_arguments(text, program.parameters) for text in inputs]
    if None in arguments:
        return "input is not literal"
    return _Draft(
        number,
        program.program,
        tuple(text for text in arguments if text is not None),
        tuple(outputs),
        row["message"] if induction else None,
    )


def _are_texts(values: Any) -> bool:
    return isinstance(values, list) and all(isinstance(value, str) for value in values)


def _reason(execution: Execution) -> str:
    return f"{execution.verdict} ({execution.detail})" if execution.detail else str(execution.verdict)
