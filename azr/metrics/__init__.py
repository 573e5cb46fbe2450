"""Measurements: arrays or tidy frames in, numbers or frames out. Nothing here knows how a model was trained."""

# ruff: noqa: F401
from azr.metrics.entropy import answer_entropy, token_entropy
from azr.metrics.passk import crossing, pass_at_k
from azr.metrics.programs import statement_count
from azr.metrics.sharpening import sharpening
from azr.metrics.sparsity import sparsity_report, sparsity_table, update_sparsity
from azr.metrics.stats import (
    Interval,
    bootstrap_interval,
    crossed_interval,
    holm,
    minimum_detectable_difference,
    ratio_interval,
    seeds_needed,
    spearman,
    t_interval,
)
