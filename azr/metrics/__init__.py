"""Measurements: arrays or tidy frames in, numbers or frames out. Nothing here knows how a model was trained.

>>> from azr.metrics import pass_at_k
>>> float(pass_at_k(num_samples=4, num_correct=1, k=2))
0.5
"""

from azr.metrics.entropy import answer_entropy, token_entropy
from azr.metrics.passk import Crossing, crossing, exact_pass_at_k, pass_at_k
from azr.metrics.programs import ast_distance, ast_novelty, program_shape, statement_count
from azr.metrics.sharpening import Sharpening, sharpening
from azr.metrics.sparsity import effective_ranks, layer_of, module_of, sparsity_table, update_sparsity
from azr.metrics.stats import (
    Interval,
    bootstrap_interval,
    crossed_interval,
    holm,
    minimum_detectable_difference,
    paired_difference,
    paired_matrix,
    ratio_interval,
    seeds_needed,
    t_interval,
)
from azr.metrics.trends import rank_trends, spearman

__all__ = [
    "Crossing",
    "Interval",
    "Sharpening",
    "answer_entropy",
    "ast_distance",
    "ast_novelty",
    "bootstrap_interval",
    "crossed_interval",
    "crossing",
    "effective_ranks",
    "exact_pass_at_k",
    "holm",
    "layer_of",
    "minimum_detectable_difference",
    "module_of",
    "paired_difference",
    "paired_matrix",
    "pass_at_k",
    "program_shape",
    "rank_trends",
    "ratio_interval",
    "seeds_needed",
    "sharpening",
    "spearman",
    "sparsity_table",
    "statement_count",
    "t_interval",
    "token_entropy",
    "update_sparsity",
]
