"""Tidy frame in, tidy frame out: all statistics of the study, one module a question. Nothing here draws or reads files.

    curves = passk.curves(frames["test"])         # pass@k and its paired differences from the base, with intervals

The frames that go in have the columns model, method and seed beside those of their measure (``azr.study.collect``);
those that come out have ``estimate``, ``low``, ``high`` (95 %), ``se``, ``df``, ``seeds`` and ``problems`` wherever
there is an interval. Left out: the formulas (``azr.metrics``) and the verdicts (``azr.study.claims``).
"""

LEAST_SEEDS = 3
"""Training seeds below which no verdict is given: numbers stand there, words do not."""
