"""The corpus that the built-in models are trained on: both roles of all three task types, worked and flawed.

``documents(seed, count)`` yields (prompt, response) pairs: correct traces and, at known rates, traces gone wrong and
malformed proposals, so that the base model knows how and is unreliable, the state that reinforcement learning sharpens.
Programs come from the train split of the grammar; the program text decides the split, so test problems are disjoint.
"""

import random
import re
from collections.abc import Callable, Iterator, Sequence

from azr.prompts.compact import CompactStyle
from azr.tasks import Task, TaskType
from azr.world.arithmetic import draw_question
from azr.world.grammar import LETTERS, MAX_STATEMENTS, OutOfWorldError, Program, Split, Value, generate, split_of

TRACE_ERROR_RATE = 0.2
"""Share of worked answers in which one step is wrong and the rest follows from it."""
MALFORMED_RATE = 0.02
"""Share of worked answers without their answer line."""
INVALID_PROPOSAL_RATE = 0.08
"""Share of proposals whose program is spoiled."""
HINT_RATE = 0.6
"""Share of a program's operations that its hint names."""
KINDS = {"deduction": 28, "abduction": 25, "induction": 18, "propose": 16, "propose_induction": 6, "arithmetic": 7}
"""How often each kind of document is drawn."""

STYLE = CompactStyle()


def perturbed(value: Value, rng: random.Random) -> Value:
    """A value of the same kind that is nearly the right one."""
    if isinstance(value, int):
        return value + rng.choice((-10, -2, -1, 1, 2, 10))
    if not value:
        return [rng.randint(0, 9)] if isinstance(value, list) else rng.choice(LETTERS)
    at = rng.randrange(len(value))
    if rng.random() < 0.4:
        return value[:at] + value[at + 1 :]
    changed = rng.choice(LETTERS) if isinstance(value, str) else [perturbed(value[at], rng)]
    return value[:at] + changed + value[at + 1 :]  # type: ignore[operator]


def _slip(steps: int, rng: random.Random) -> Callable[[int, Value], Value] | None:
    """With TRACE_ERROR_RATE, an error at one step of ``steps``."""
    if rng.random() >= TRACE_ERROR_RATE:
        return None
    at = rng.randrange(steps)
    return lambda step, value: perturbed(value, rng) if step == at else value


def on_the_way(task_type: TaskType, values: Sequence[Value]) -> tuple[str, ...]:
    """The values of a trace as a solver writes them: backwards for abduction, none for induction."""
    order = {TaskType.DEDUCTION: values, TaskType.ABDUCTION: values[::-1], TaskType.INDUCTION: ()}
    return tuple(map(repr, order[task_type]))


def hint(program: Program, rng: random.Random) -> str:
    """The words of some of the program's operations, in order."""
    return ", ".join(word for word in program.words if rng.random() < HINT_RATE)


def draw_task(
    task_type: TaskType,
    rng: random.Random,
    split: Split = "train",
    most: int = MAX_STATEMENTS,
    statements: int | None = None,
) -> tuple[Task, Program, list[Value]]:
    """A task of the given split with the program and inputs it was made from; sizes as in ``grammar.generate``."""
    pairs = STYLE.num_induction_inputs if task_type is TaskType.INDUCTION else 1
    program, inputs = generate(rng, pairs, split, statements, most)
    outputs = tuple(repr(program.trace(value)[1]) for value in inputs)
    message = hint(program, rng) if task_type is TaskType.INDUCTION else ""
    return Task(task_type, program.text, tuple(map(repr, inputs)), outputs, message), program, inputs


def _deduce(program: Program, value: Value, rng: random.Random) -> str:
    values, output = program.trace(value, _slip(len(program.trace(value)[0]) + 1, rng))
    return STYLE.respond(TaskType.DEDUCTION, on_the_way(TaskType.DEDUCTION, values), repr(output))


def _abduce(program: Program, value: Value, rng: random.Random) -> str:
    values, _ = program.trace(value)
    if rng.random() < TRACE_ERROR_RATE:  # right back to some step, then towards another input
        wrong = perturbed(value, rng)
        at = rng.randint(0, len(values))
        other = program.trace(wrong)[0]
        if len(other) != len(values):
            raise OutOfWorldError("the other input takes another path")
        value, values = wrong, [*other[:at], *values[at:]]
    return STYLE.respond(TaskType.ABDUCTION, on_the_way(TaskType.ABDUCTION, values), repr(value))


def _induce(program: Program, rng: random.Random) -> str:
    if rng.random() >= TRACE_ERROR_RATE:
        return program.text
    digits = [m.start() for m in re.finditer(r"(?<=[ (\[])\d", program.text)]
    if not digits:
        raise OutOfWorldError("no constant to get wrong")
    at = rng.choice(digits)
    wrong = program.text[:at] + str(rng.randint(0, 9)) + program.text[at + 1 :]
    if split_of(wrong) != "train":
        raise OutOfWorldError("a held-out program must not appear, not even as a mistake")
    return wrong


def spoiled(text: str, rng: random.Random) -> str:
    """A program with an unknown name or a syntax error; where the name is renamed throughout it runs all the same."""
    roll = rng.randrange(3)
    if roll == 0:
        return text.replace("x", "z", 2)
    if roll == 1:
        return text.replace("return ", "return z + ", 1)
    return text.replace(":\n", "\n", 1)


def _document(kind: str, rng: random.Random, most: int) -> tuple[str, str]:
    if kind == "arithmetic":
        question = draw_question(rng)
        *values, answer = map(str, question.trace(_slip(len(question.changes), rng)))
        return question.text, STYLE.respond(None, values, answer)
    if kind == "propose":
        task_type = rng.choice((TaskType.DEDUCTION, TaskType.ABDUCTION))
        references = [draw_task(task_type, rng, most=most)[0] for _ in range(rng.randint(1, 2))]
        new = draw_task(task_type, rng, most=most)[0]
        program = spoiled(new.program, rng) if rng.random() < INVALID_PROPOSAL_RATE else new.program
        return STYLE.propose(task_type, references), f"{program}\ninput {new.input}"
    if kind == "propose_induction":
        task, _, _ = draw_task(TaskType.INDUCTION, rng, most=most)
        inputs = "".join(f"input {value}\n" for value in task.inputs)
        return STYLE.propose(TaskType.INDUCTION, [task]), f"{inputs}hint {task.message}"
    task, program, inputs = draw_task(TaskType(kind), rng, most=most)
    if kind == "deduction":
        response = _deduce(program, inputs[0], rng)
    elif kind == "abduction":
        response = _abduce(program, inputs[0], rng)
    else:
        response = _induce(program, rng)
    if rng.random() < MALFORMED_RATE:
        response = response.rpartition("\n")[0]
    return STYLE.solve(task), response


def documents(seed: int, count: int, most: int = MAX_STATEMENTS) -> Iterator[tuple[str, str]]:
    """``count`` (prompt, response) pairs, the same for the same seed; programs have at most ``most`` statements."""
    rng = random.Random(seed)
    kinds, weights = list(KINDS), list(KINDS.values())
    while count:
        try:
            yield _document(rng.choices(kinds, weights)[0], rng, most)
            count -= 1
        except OutOfWorldError:  # a planted error led out of bounds
            continue
