"""Whether an answer solves a task: deduction by comparing literals, abduction and induction by running the program.

    with Executor() as executor:
        grade_many(executor, [(task, "[1, 2]"), (task, "(1, 2)")])  # [True, False]

The answer is text from a model. As a literal it is parsed, never evaluated, and given to the program as data; as a
program it goes through the policy and the sandbox like any other. Equality is of value and type, all the way down, of
literals that the sandbox wrote. Left out: partial credit; induction needs every hidden pair.
"""

from collections.abc import Sequence

from azr.executor import Executor, Job, same_literal
from azr.tasks import Task, TaskType


def grade_many(executor: Executor, attempts: Sequence[tuple[Task, str]]) -> list[bool]:
    """One bool per (task, answer), in order. Equal attempts are graded once; deduction runs nothing."""
    unique = dict.fromkeys(attempts)
    checks: dict[tuple[Task, str], list[tuple[Job, str]]] = {}
    for task, answer in unique:
        if task.type is TaskType.DEDUCTION:
            unique[task, answer] = answer.strip() == task.output or same_literal(answer, task.output)
        elif task.type is TaskType.ABDUCTION:
            checks[task, answer] = [(Job(task.program, answer, runs=1), task.output)]
        else:
            checks[task, answer] = [(Job(answer, given, runs=1), gold) for given, gold in task.hidden]
    jobs = [job for pairs in checks.values() for job, _ in pairs]
    executions = iter(executor.run_many(jobs) if jobs else [])
    for attempt, pairs in checks.items():
        done = [(next(executions), gold) for _, gold in pairs]
        # A task without hidden pairs confirms nothing.
        unique[attempt] = bool(done) and all(
            execution.ok and (execution.output == gold or same_literal(execution.output, gold))
            for execution, gold in done
        )
    return [unique[attempt] for attempt in attempts]
