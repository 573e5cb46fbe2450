"""What does RLVR bring, and does its estimator matter? From ``azr.tables.accuracy.over_steps``; see ``fig01_sft``."""

from azr.figures.fig01_sft import plot

__all__ = ["plot"]
