"""The probability of a right response by enumeration instead of sampling; for models and answers this small it can."""

from azr.exact.bounds import Bounds, canonical_responses, exact_table, success_bounds
from azr.exact.completions import Completions, enumerate_completions, response_log_probs

__all__ = [
    "Bounds",
    "Completions",
    "canonical_responses",
    "enumerate_completions",
    "exact_table",
    "response_log_probs",
    "success_bounds",
]
