"""The verdict on each claim of ``claims.yaml``, from the study's frames.

    table = claims_table(study.frames)           # for each model one row a contrast; most claims have one

The rules were written before the runs. *supported*: every contrast's whole interval lies on the claim's side of its
margin; *contradicted*: one's lies on the other side; else *undecided*. *not informative*: the untrained base, measured
again in the trained models' place, satisfies the rule, too. *not tested*: fewer than ``LEAST_SEEDS`` training seeds,
something was not measured, or the claim's own condition does not hold. Left out: how numbers come about
(``azr.tables``), and the drawing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from pydantic import TypeAdapter
from scipy.stats import t as student

from azr.arms import label_of
from azr.metrics import Interval, holm
from azr.study.collect import Frames
from azr.tables import LEAST_SEEDS, accuracy, curriculum, entropy, passk, rewards, sparsity
from azr.tables.compare import ALL, BASE, at_end, changes, differences, means

SUPPORTED, CONTRADICTED, UNDECIDED = "supported", "contradicted", "undecided"
NOT_INFORMATIVE, NOT_TESTED = "not informative", "not tested"
VERDICTS = (SUPPORTED, CONTRADICTED, UNDECIDED, NOT_INFORMATIVE, NOT_TESTED)
SELFPLAY = "selfplay"
NUMBERS = ("estimate", "low", "high", "side_low", "side_high", "base", "base_low", "base_high")
"""Columns of the table of claims: an interval, the claim's side, and what the untrained base gets."""


class NotMeasuredError(Exception):
    """The frames lack what a claim needs; the message names it."""


@dataclass(frozen=True)
class Contrast:
    """One number of a claim, and where it lies if the claim is true: see the head of ``claims.yaml``."""

    source: str
    quantity: str
    side: str = ""
    method: str = SELFPLAY
    control: str = BASE
    group: str = ALL
    margin: float = 0.0
    quarter_of: str = ""
    share: bool = False
    """As a share of the control."""
    level: float = 0.95
    part: str = ""
    """What tells it from the claim's other contrasts."""

    @property
    def statistic(self) -> str:
        group = f", {self.group}" if self.group != ALL else ""
        control = f" − {label_of(self.control)}" if self.control else ""
        share = ", as a share of the latter" if self.share else ""
        return f"{self.quantity} ({self.source}{group}): {label_of(self.method)}{control}{share}"

    @property
    def rule(self) -> str:
        bound = f"¼ of self-play's change in {self.quarter_of}" if self.quarter_of else f"{self.margin:g}"
        words = {"=": f"within ± {bound}", "": ""}.get(self.side, f"{self.side} {bound}")
        return words if self.level == 0.95 else f"{words} ({self.level:.0%} interval)"

    def ends(self, tables: "Tables") -> tuple[float, float]:
        """The claim's side, as an interval; a quarter of a gain is 0 where there is none."""
        margin = self.margin
        if self.quarter_of:
            effect = find(Contrast(self.source, self.quarter_of), tables)[0].estimate
            margin = 0.25 * (abs(effect) if self.side == "=" else max(effect, 0.0))
        sides = {">": (margin, np.inf), "<": (-np.inf, margin), "=": (-margin, margin), "": (-np.inf, np.inf)}
        return sides[self.side]


@dataclass(frozen=True)
class Claim:
    """A statement and the test of it; confirmatory where its id begins with C."""

    id: str
    question: str
    paper: str
    """What the paper says."""
    contrasts: tuple[Contrast, ...]
    opposite: bool = False
    """Whether the rule is that its two contrasts have opposite signs, and no interval with 0 in it."""
    differ: Contrast | None = None
    """A contrast whose interval must not hold 0, or the claim is not tested."""

    def judge(self, found: Sequence[Interval], sides: Sequence[tuple[float, float]]) -> str:
        """The verdict by the rule alone; "" where nothing is claimed."""
        if self.opposite:
            signs = [1 if one.low > 0 else -1 if one.high < 0 else 0 for one in found]
            return UNDECIDED if 0 in signs else SUPPORTED if sum(signs) == 0 else CONTRADICTED
        if not any(contrast.side for contrast in self.contrasts):
            return ""
        pairs = list(zip(found, sides, strict=True))
        if all(low < one.low and one.high < high for one, (low, high) in pairs):
            return SUPPORTED
        return CONTRADICTED if any(one.high < low or one.low > high for one, (low, high) in pairs) else UNDECIDED

    def p_value(self, found: Sequence[Interval], sides: Sequence[tuple[float, float]]) -> float:
        """One-sided p in the claim's direction, that of its worst contrast; NaN where nothing is claimed."""
        if self.opposite:  # in either of two orders
            orders = (("greater", "less"), ("less", "greater"))
            worst = [max(one.p_value(0.0, side) for one, side in zip(found, order, strict=True)) for order in orders]
            return min(1.0, 2 * min(worst))
        tests = [(one, low, "greater") for one, (low, _) in zip(found, sides, strict=True) if np.isfinite(low)]
        tests += [(one, high, "less") for one, (_, high) in zip(found, sides, strict=True) if np.isfinite(high)]
        return max((one.p_value(margin, side) for one, margin, side in tests), default=np.nan)


_ROWS = yaml.safe_load(Path(__file__).with_name("claims.yaml").read_text(encoding="utf-8"))
CLAIMS = TypeAdapter(tuple[Claim, ...]).validate_python(_ROWS)
"""All of them, in the order in which they are reported."""


def claims_table(
    frames: Mapping[str, pd.DataFrame], verdicts: bool = True, claims: Sequence[Claim] = CLAIMS
) -> pd.DataFrame:
    """Every claim's contrasts, for each model that the frames have.

    Args:
        frames: test, validation, entropy, curriculum, proposals and sparsity (``azr.study.collect``); what is not there
            is not tested.
        verdicts: False for a study whose numbers only show that it runs.

    Returns:
        model, id, part, question, paper, statistic, rule, unit, confirmatory, estimate, low, high, side_low, side_high
        (the claim's side), base, base_low, base_high (what the untrained base gets; NaN where two trained arms are
        compared, since it is 0 then by construction), seeds, problems, p (one-sided, of all contrasts of a claim
        together), p_holm (over the confirmatory claims of the first model, NaN elsewhere), verdict ("" without
        ``verdicts``, and for what is only described), note.
    """
    rows: list[dict[str, Any]] = []
    models = next(iter(frames.values()))["model"].unique()
    for model in models:
        both = tables_of(frames, model)
        rows += [{"model": model} | row for claim in claims for row in _rows_of(claim, *both)]
    table = pd.DataFrame(rows)
    first = table["confirmatory"] & (table["model"] == models[0]) & ~table.duplicated(["model", "id"])
    adjusted = pd.Series(holm(table.loc[first, "p"]), index=table.loc[first, "id"])
    table.insert(list(table).index("p") + 1, "p_holm", table["id"].map(adjusted).where(table["model"] == models[0]))
    return table if verdicts else table.assign(verdict="")


def _rows_of(claim: Claim, tables: "Tables", placebo: "Tables") -> list[dict[str, Any]]:
    """One row a contrast of a claim on one model."""
    about = {"id": claim.id, "question": claim.question, "paper": claim.paper, "confirmatory": claim.id.startswith("C")}
    units = ["share of the start" if one.share else SOURCES[one.source][1] for one in claim.contrasts]
    rules = ["of opposite signs" if claim.opposite else one.rule for one in claim.contrasts]
    rows = [
        about | {"part": one.part, "statistic": one.statistic, "rule": rule, "unit": unit}
        for one, rule, unit in zip(claim.contrasts, rules, units, strict=True)
    ]
    try:
        found = [find(contrast, tables) for contrast in claim.contrasts]
        sides = [contrast.ends(tables) for contrast in claim.contrasts]
        bases = [find_of_base(contrast, tables, placebo) for contrast in claim.contrasts]
        differ = find(claim.differ, tables)[0] if claim.differ else None
    except NotMeasuredError as error:
        absent = dict.fromkeys((*NUMBERS, "p"), np.nan) | {"seeds": 0, "problems": 0, "verdict": NOT_TESTED}
        return [row | absent | {"note": f"not measured: {error}"} for row in rows]
    intervals = [interval for interval, _, _ in found]
    verdict, note = claim.judge(intervals, sides), ""
    if verdict and min(seeds for _, seeds, _ in found) < LEAST_SEEDS:
        verdict, note = NOT_TESTED, f"fewer than {LEAST_SEEDS} training seeds"
    elif differ and differ.low <= 0 <= differ.high:
        verdict, note = NOT_TESTED, f"the arms are not told apart in: {claim.differ.statistic}"
    elif claim.judge(bases, sides) == SUPPORTED:
        verdict, note = NOT_INFORMATIVE, f"the untrained base satisfies the rule; else {verdict}"
    words = {"p": claim.p_value(intervals, sides), "verdict": verdict, "note": note}
    for row, one, (own, seeds, problems), side, base in zip(rows, claim.contrasts, found, sides, bases, strict=True):
        against_base = one.control in (BASE, "")  # of two arms in whose place the base stands, the mean is 0
        of_base = (base.estimate, base.low, base.high) if against_base else (np.nan,) * 3
        numbers = (own.estimate, own.low, own.high, *side, *of_base)
        exact = (round(number, 12) + 0.0 for number in numbers)  # 0 is 0 on every machine, and never -0
        row |= dict(zip(NUMBERS, exact, strict=True)) | {"seeds": seeds, "problems": problems} | words
    return rows


def _passed(test: pd.DataFrame) -> pd.DataFrame:
    """K is half the samples that both self-play and the base have after training: 128 of 256."""
    ends = at_end(test)
    main = ends[ends["method"].isin([SELFPLAY, BASE])]
    large = accuracy.contrasts(ends, [BASE, "rlvr"], [f"pass@{passk.powers_to(main['n'].min() // 2)[-1]}"])
    return pd.concat([accuracy.contrasts(ends, [BASE, "rlvr"]), large.assign(quantity="pass@K")], ignore_index=True)


def _answers(test: pd.DataFrame) -> pd.DataFrame:
    scores = accuracy.scores_of(at_end(test), ["answer_entropy"])
    return changes(scores, by=["group"]).assign(quantity="answers")


def _trends(solved: pd.DataFrame) -> pd.DataFrame:
    per_run = curriculum.trends(solved)
    found = [curriculum.trend_intervals(per_run), differences(per_run, SELFPLAY, ["statistic"])]
    return pd.concat(found, ignore_index=True).rename(columns={"statistic": "quantity"})


def _entropies(prompts: pd.DataFrame) -> pd.DataFrame:
    last = at_end(prompts)
    against = differences(entropy.prompt_scores(last), SELFPLAY, ["quantity"])
    return pd.concat([entropy.over_steps(last), against], ignore_index=True)


def _residuals(tensors: pd.DataFrame) -> pd.DataFrame:
    last = sparsity.runs(sparsity.of_definition(at_end(tensors)))
    return means(last[["model", "method", "seed"]].assign(value=last["residual"]))


SOURCES: dict[str, tuple[str, str, Callable[[pd.DataFrame], pd.DataFrame]]] = {
    "test": ("test", "pass@k", _passed),
    "validation": ("validation", "pass@k", accuracy.contrasts),
    "ρ": ("curriculum", "ρ", _trends),
    "entropy": ("entropy", "nats a token", _entropies),
    "sparsity": ("sparsity", "sparsity", lambda tensors: sparsity.contrasts(sparsity.runs(tensors))),
    "residual": ("sparsity", "sparsity", _residuals),
    "proposals": ("proposals", "share", lambda frame: differences(rewards.shapes(frame), SELFPLAY, ["quantity"])),
    "answers": ("test", "nats an answer", _answers),
    "leash": ("test", "slope", passk.leash),
    "gap": ("test", "share", accuracy.gap_closed),
}
"""The tables behind the contrasts: of which frame, in which unit, by which function."""


class Tables(Frames):
    """The tables of ``SOURCES`` of one model, each computed when it is first asked for."""

    def __init__(self, frames: Mapping[str, pd.DataFrame]) -> None:
        def read(source: str) -> pd.DataFrame:
            name, _, table = SOURCES[source]
            if name not in frames or frames[name].empty:
                raise NotMeasuredError(name)
            return table(frames[name])

        super().__init__(list(SOURCES), read)


def tables_of(frames: Mapping[str, pd.DataFrame], model: str) -> tuple[Tables, Tables]:
    """The tables of one model, and the same with the untrained base in the place of all that was trained."""
    own = Frames(list(frames), lambda name: frames[name][frames[name]["model"] == model])
    return Tables(own), Tables(with_base_in_place(own))


def find(contrast: Contrast, tables: Tables) -> tuple[Interval, int, int]:
    """A contrast's number with its interval, and the seeds and problems on which it rests. Raises NotMeasuredError."""
    rows = tables[contrast.source]
    wanted = {"method": contrast.method, "reference": contrast.control, "group": contrast.group}
    for column, value in (wanted | {"quantity": contrast.quantity}).items():
        rows = rows[rows[column] == value] if column in rows else rows
    if rows.empty:
        raise NotMeasuredError(contrast.statistic)
    row = rows.sort_values("step").iloc[-1] if "step" in rows else rows.iloc[0]
    share = ["relative", "relative_low", "relative_high", "relative_se", "relative_df"]
    columns = share if contrast.share else ["estimate", "low", "high", "se", "df"]
    found = Interval(*map(float, row[columns]))
    if contrast.level != 0.95:
        half = student.ppf((1 + contrast.level) / 2, found.df) * found.se
        found = replace(found, low=found.estimate - half, high=found.estimate + half)
    return found, int(row["seeds"]), int(row["problems"])


def find_of_base(contrast: Contrast, tables: Tables, placebo: Tables) -> Interval:
    """What the untrained base gets: the contrast of ``placebo``.

    The leash's has a row of its own in ``tables``, since its side before training is the base's other measurements.
    """
    in_place = contrast.source != "leash"
    return find(contrast if in_place else replace(contrast, method=BASE), placebo if in_place else tables)[0]


def with_base_in_place(frames: Mapping[str, pd.DataFrame]) -> Frames:
    """The frames of a study in which nothing was trained: what a claim's statistic is then, the untrained base gets.

    In the place of each trained arm stands the base, measured with other sampling seeds than the control (arms that
    are compared with each other have them in another order); as its proposals, those of the arm with the base as
    proposer; as updates of all weights, none.
    """

    def read(name: str) -> pd.DataFrame:
        frame = frames[name]
        if name == "sparsity" and len(frame):
            untouched = frame["parameters"].where(frame["method"].str.endswith("-full"))
            return frame.assign(**{key: untouched.fillna(frame[key]) for key in ("unchanged", "null")})
        source = BASE if name in ("test", "validation", "entropy") else curriculum.NULL
        own = frame[frame["method"] == source]
        again = own[own["seed"] > 0].assign(step=frame["step"].max()) if source == BASE and len(own) else own
        seeds = sorted(again["seed"].unique()) if len(again) else []
        parts = [own]
        for place, arm in enumerate((SELFPLAY, "frozen", "half"), 1):
            order = {seed: (i + place) % len(seeds) for i, seed in enumerate(seeds)}
            parts += [again.assign(method=arm, seed=again["seed"].map(order))] if seeds else []
        return pd.concat(parts, ignore_index=True)

    return Frames(list(frames), read)
