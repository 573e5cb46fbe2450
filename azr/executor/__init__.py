"""Runs Python that nobody has read: policy, sandbox, verdicts. See ``docs/executor.md``; it stands on its own.

from azr.executor import Executor, Job
with Executor() as executor:
    executor.run(Job("def f(x): return x + 1", "41")).output  # '42'
"""

from azr.executor.jobs import Execution, Job, Script, Verdict
from azr.executor.literals import same_literal
from azr.executor.pool import Executor

__all__ = ["Execution", "Executor", "Job", "Script", "Verdict", "same_literal"]
