"""The arms of the study: what is trained, by name, as a method and the settings in which it differs from the profile.

All start from the same base and take the same number of optimizer steps with the same number of responses in each.
The methods: ``selfplay`` (the Absolute Zero Reasoner), ``rlvr`` (the same trainer on a fixed set of verified problems)
and ``sft`` (TRL's SFTTrainer on worked answers to that set). An arm's name with ``-full`` behind it trains all weights
instead of a LoRA adapter.

>>> from azr.config import load_profile
>>> arm_profile("frozen", load_profile("smoke"))[1].train.proposer
'frozen'
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from azr.config import Profile, override
from azr.errors import UserError

FULL = "-full"


@dataclass(frozen=True)
class Arm:
    """A way of training: a method and the settings in which it differs from the profile."""

    method: str
    changes: dict[str, Any] = field(default_factory=dict)
    measures: tuple[str, ...] = ("validation",)
    """What the study measures of it after training (``azr.study.MEASURES``); fully trained, only its weights."""


ARMS = {
    "sft": Arm("sft", measures=("test", "validation")),
    "rlvr": Arm("rlvr", measures=("test", "validation")),
    "selfplay": Arm("selfplay", measures=("test", "validation", "exact", "curriculum")),
    # The paper's reading: no gradient from the proposer's samples.
    "frozen": Arm("selfplay", {"train.proposer": "frozen"}, ("validation", "curriculum")),
    # The strict reading: proposals sampled from the base.
    "frozen-strict": Arm("selfplay", {"train.proposer": "base"}, ("validation", "curriculum")),
    # RQ5: the reward that peaks at a solve rate of one half.
    "half": Arm("selfplay", {"train.proposer_reward": "half"}),
}


def arm_profile(name: str, profile: Profile) -> tuple[str, Profile]:
    """Method and profile of an arm. Raises UserError for a name that is none."""
    short = name.removesuffix(FULL)
    if short not in ARMS:
        raise UserError(f"There is no arm '{name}'; choose one of {', '.join(ARMS)}, or one of them with {FULL} added.")
    full = {"model.full": True, "train.steps": profile.train.full_steps or profile.train.steps}
    return ARMS[short].method, override(profile, ARMS[short].changes | (full if short != name else {}))


def arm_measures(name: str) -> tuple[str, ...]:
    """What the study measures of an arm."""
    return () if name.endswith(FULL) else ARMS[name].measures
