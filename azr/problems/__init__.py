"""Problem sets: the world's, benchmarks of code and mathematics, and a user's own; and measuring a model on any.

problem_set = load_problems("world/test", limit=64)
with problem_set.open_executor() as executor:
    frame = evaluate(model, tokenizer, style, executor, problem_set, samples=64, decoding=Decoding(96))
"""

from azr.problems.loading import NAMES, ProblemSet, load_problems
from azr.problems.measuring import evaluate, resolve_proposals
from azr.problems.tasks import Graded, Problem

__all__ = ["NAMES", "Graded", "Problem", "ProblemSet", "evaluate", "load_problems", "resolve_proposals"]
