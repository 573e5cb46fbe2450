"""The probability of a right response by enumeration instead of sampling; a model and answers this small allow it.

``completions`` enumerates what a model may answer, ``bounds`` makes bounds of it for problems of the world, ``measure``
is ``azr evaluate --exact``, ``gains`` compares pass@k of runs and base at any k.
"""
