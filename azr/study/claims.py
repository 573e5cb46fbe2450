"""The claims under test, each with its statistic and rule, and the verdict on each of them from the study's tables.

    frame = claims_table(read_tables(study), study.model)    # one row a claim, or a part of one

The rules were written before the runs. A claim is *supported* if its whole interval lies on the claim's side of the
margin, *contradicted* if the whole interval lies on the other side, else *undecided*; C3, C11's second part, C12 and E2
have rules of their own. p is two-sided, of the truth being at the nearest margin; Holm's adjustment is over the
confirmatory rows of one model. Left out: the numbers themselves (``azr.findings``), reading them from run folders
(``azr.gather``) and the drawing (``azr.figures.claims``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from azr.findings import CODE, FINDINGS, Finding, NotMeasuredError, Tables
from azr.metrics import holm

SUPPORTED, CONTRADICTED, UNDECIDED, NOT_MEASURED = "supported", "contradicted", "undecided", "not measured"
VERDICTS = (SUPPORTED, CONTRADICTED, UNDECIDED, NOT_MEASURED)
_INFINITY = float("inf")


def by_interval(finding: Finding, side: tuple[float, float]) -> str:
    """The general rule: where the whole interval lies; undecided without an interval.

    >>> from azr.metrics import Interval
    >>> by_interval(Finding(Interval(0.02, 0.01, 0.03, 0.005), 3, "seeds and problems"), (0.0, float("inf")))
    'supported'
    """
    low, high = finding.interval.low, finding.interval.high
    if np.isnan(low) or np.isnan(high):
        return UNDECIDED
    if side[0] < low and high < side[1]:
        return SUPPORTED
    return CONTRADICTED if high < side[0] or low > side[1] else UNDECIDED


def by_share(least: float, most: float) -> Callable[[Finding, tuple[float, float]], str]:
    """A rule on the estimate: supported from ``least`` on, contradicted up to ``most``, else undecided."""

    def rule(finding: Finding, side: tuple[float, float]) -> str:
        share = finding.interval.estimate
        return SUPPORTED if share >= least else CONTRADICTED if share <= most else UNDECIDED

    return rule


def contains_zero(finding: Finding, side: tuple[float, float]) -> str:
    """C11's second rule: the interval contains 0."""
    return SUPPORTED if finding.interval.low <= 0 <= finding.interval.high else CONTRADICTED


def none_counted(finding: Finding, side: tuple[float, float]) -> str:
    """E2's rule: supported if certainly none, contradicted if certainly one."""
    return CONTRADICTED if finding.interval.low > 0 else SUPPORTED if finding.interval.high == 0 else UNDECIDED


Rule = Callable[[Finding, tuple[float, float]], str]


@dataclass(frozen=True)
class Claim:
    """A statement and the test of it."""

    id: str
    question: str
    paper: str
    """What the paper says."""
    statistic: str
    rule: str
    side: tuple[float, float]
    """The claim's side: the statistic lies between these two numbers if the claim is true."""
    parts: tuple[str, ...] = ("",)
    """One row, and one verdict, each."""
    judge: Rule = by_interval
    confirmatory: bool = True

    def judged(self, part: str) -> tuple[Rule, str, tuple[float, float]]:
        """Rule, its words and the claim's side for a part: those of the claim but for the second part of C11."""
        if self.id == "C11" and part == self.parts[1]:
            return contains_zero, "interval contains 0", (0.0, 0.0)
        return self.judge, self.rule, self.side


ABOVE, BELOW = (0.0, _INFINITY), (-_INFINITY, 0.0)
CLAIMS = (
    Claim("C1", "RQ1", "self-play solves more at small k", "pass@1, self-play − base", "> 0", ABOVE, CODE),
    Claim(
        "C2",
        "RQ1",
        "at large k it solves no more than the base",
        "pass@K, self-play − base; K = n/2 by sampling, 10,000 by exact probability",
        "< 0.01",
        (-_INFINITY, 0.01),
        tuple(f"{task_type}, {how}" for how in ("sampled", "exact") for task_type in CODE),
    ),
    Claim(
        "C3",
        "RQ1",
        "the curves cross",
        "share of bootstrap draws with a crossing k* in [2, n/2], task types together",
        "≥ 0.95 supported, ≤ 0.05 contradicted",
        (0.95, _INFINITY),
        judge=by_share(0.95, 0.05),
    ),
    Claim(
        "C4",
        "RQ2",
        "problems proposed later are harder",
        "Spearman's ρ of step of origin and solve rate of one fixed solver, bootstrap by step",
        "< 0",
        BELOW,
    ),
    Claim("C5", "RQ2", "responses to them are longer", "ρ of step of origin and response length", "> 0", ABOVE),
    Claim(
        "C6",
        "RQ2",
        "length follows difficulty",
        "ρ of solve rate and response length",
        "< 0",
        BELOW,
        ("all", "within statements"),
    ),
    Claim(
        "C7",
        "RQ3",
        "the solver's entropy collapses",
        "mean of the last tenth of training − of the first, nats a token",
        "< 0",
        BELOW,
    ),
    Claim(
        "C8",
        "RQ3",
        "so does the proposer's",
        "mean of the last tenth of training − of the first, nats a token",
        "< 0",
        BELOW,
    ),
    Claim(
        "C9",
        "RQ3",
        "the proposer stays above the solver",
        "share of steps with the proposer's entropy above the solver's",
        "≥ 0.95",
        (0.95, _INFINITY),
    ),
    Claim(
        "C10",
        "RQ3",
        "a frozen proposer slows the collapse",
        "solver's entropy in the last tenth, frozen − default, nats a token",
        "> 0",
        ABOVE,
    ),
    Claim(
        "C11",
        "RQ3",
        "a frozen proposer is worse",
        "validation accuracy, frozen − default; ρ of C4 in the frozen arm",
        "< 0",
        BELOW,
        ("validation accuracy", "curriculum"),
    ),
    Claim(
        "C12",
        "RQ4",
        "self-play's update sparsity lies between SFT's and RLVR's",
        "share of seeds in which it does; bfloat16, tolerance 1e-5, full fine-tuning, same steps and learning rate",
        "all seeds; contradicted in none",
        (1.0, _INFINITY),
        judge=by_share(1.0, 0.0),
    ),
    Claim(
        "C13",
        "RQ5",
        "the reward peaking at one half does not help",
        "validation accuracy after training, half − default",
        "< 0.01",
        (-_INFINITY, 0.01),
    ),
    Claim(
        "C14",
        "RQ5",
        "and leaves entropy unchanged",
        "entropy in the last tenth, half − default, as a share of the default's",
        "inside ± 0.1",
        (-0.1, 0.1),
        ("whole", "proposer", "solver"),
    ),
    Claim(
        "E1",
        "RQ1",
        "training on code carries over to mathematics (AZR)",
        "pass@1 on arithmetic, self-play − base",
        "> 0",
        ABOVE,
        confirmatory=False,
    ),
    Claim(
        "E2",
        "RQ1",
        "no problem becomes solvable that the base gave no mass (leash)",
        "problems with log-probability of right answers under −20 in the base and over −7 after, a run",
        "none",
        (-_INFINITY, 0.0),
        judge=none_counted,
        confirmatory=False,
    ),
    Claim(
        "E3",
        "RQ3",
        "answers' entropy falls faster than tokens' (not in the paper)",
        "relative change of answer entropy on test problems over that of the solver's token entropy",
        "> 1",
        (1.0, _INFINITY),
        confirmatory=False,
    ),
)
"""All of them, in the order in which they are reported."""


def claims_table(tables: Tables, model: str) -> pd.DataFrame:
    """One row a claim, or a part of one, in the order of ``CLAIMS``.

    Returns:
        model, id, part, question, paper, statistic, rule, confirmatory, estimate, low, high, p, p_holm, side_low,
        side_high (the claim's side), seeds, problems, covers, verdict (one of ``VERDICTS``), note. ``p`` is two-sided,
        of the truth being at the nearest margin; NaN for a rule that tests no margin, and where seeds do not differ.
        The verdict is the rule's; ``p_holm`` says whether it would stand among all confirmatory rows.
    """
    frame = pd.DataFrame([_row(claim, part, tables) for claim in CLAIMS for part in claim.parts])
    frame.insert(0, "model", model)
    frame.insert(list(frame).index("p") + 1, "p_holm", holm(frame["p"].where(frame["confirmatory"])))
    return frame


def _row(claim: Claim, part: str, tables: Tables) -> dict[str, object]:
    judge, words, side = claim.judged(part)
    row: dict[str, object] = {"id": claim.id, "part": part, "question": claim.question, "paper": claim.paper}
    row |= {"statistic": claim.statistic, "rule": words, "confirmatory": claim.confirmatory}
    ends = {"side_low": side[0], "side_high": side[1]}
    try:
        found = FINDINGS[claim.id](tables, part)
    except NotMeasuredError as error:
        empty = dict.fromkeys(("estimate", "low", "high", "p"), np.nan)
        absent = {"seeds": 0, "problems": None, "covers": "", "verdict": NOT_MEASURED, "note": f"missing: {error}"}
        return row | empty | ends | absent
    interval = found.interval
    p = _p_value(found, side) if judge is by_interval else np.nan
    row |= {"estimate": interval.estimate, "low": interval.low, "high": interval.high, "p": p} | ends
    row |= {"seeds": found.seeds, "problems": found.problems, "covers": found.covers or "no interval"}
    return row | {"verdict": judge(found, side), "note": found.note}


def _p_value(finding: Finding, side: tuple[float, float]) -> float:
    if finding.p is not None:
        return finding.p
    if not finding.interval.se > 0:  # one seed, or seeds that agree to the digit
        return np.nan
    return max(finding.interval.p_value(margin) for margin in side if np.isfinite(margin))
