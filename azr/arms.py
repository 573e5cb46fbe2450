"""The arms of the study: what is trained, by name, as a method and the settings in which it differs from the profile.

All start from the same base and take the same number of optimizer steps with the same number of responses in each.
The methods: ``selfplay`` (the Absolute Zero Reasoner), ``rlvr`` (TRL's GRPOTrainer on a problem set), ``rlvr-trr``
(self-play's estimator, TRR++, on the same problems: the estimator apart from the data) and ``sft`` (TRL's SFTTrainer on
worked answers to them).

>>> from azr.config import load_profile
>>> arm_profile("frozen", load_profile("smoke")).train.proposer
'frozen'
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from azr.config import Profile, RolloutConfig, override
from azr.errors import UserError
from azr.runs import ALGORITHM, file_digest, stamp, weights_digest

METHODS = ("sft", "rlvr", "rlvr-trr", "selfplay")
_MAIN = ("test", "validation", "entropy", "sparsity")
_FULL = {"model.full": True}


@dataclass(frozen=True)
class Arm:
    """A way of training: a method and the settings in which it differs from the profile."""

    method: str
    label: str
    """What figures and tables call it."""
    changes: dict[str, Any] = field(default_factory=dict)
    measures: tuple[str, ...] = ("test", "validation", "entropy", "curriculum", "sparsity")
    """What the study measures of it (``azr.study.measures``)."""
    main: bool = False
    """Whether pass@k is drawn of it, with ``evaluation.final_samples`` samples at the end."""


ARMS = {
    "sft": Arm("sft", "SFT", measures=_MAIN, main=True),
    "rlvr": Arm("rlvr", "RLVR (GRPO)", measures=_MAIN, main=True),
    "rlvr-trr": Arm("rlvr-trr", "RLVR (TRR++)", measures=_MAIN),
    "selfplay": Arm("selfplay", "self-play", main=True),
    # The paper's reading: no gradient from the proposer's samples.
    "frozen": Arm("selfplay", "frozen proposer", {"train.proposer": "frozen"}),
    # The strict reading: proposals sampled from the base.
    "base-proposer": Arm("selfplay", "base as proposer", {"train.proposer": "base"}),
    # RQ5: the reward that peaks at a solve rate of one half.
    "half": Arm("selfplay", "reward peak ½", {"train.proposer_reward": "half"}),
    # RQ4: all weights.
    "sft-full": Arm("sft", "SFT, all weights", _FULL, ("sparsity",)),
    "rlvr-full": Arm("rlvr", "RLVR, all weights", _FULL, ("sparsity",)),
    "selfplay-full": Arm("selfplay", "self-play, all weights", _FULL, ("sparsity",)),
}
BASE = "base"
"""The untrained model's place beside the arms in every table."""


def arm_named(name: str) -> Arm:
    """The arm of that name. Raises UserError where there is none."""
    if name not in ARMS:
        raise UserError(f"There is no arm '{name}'; choose one of {', '.join(ARMS)}.")
    return ARMS[name]


def arm_profile(name: str, profile: Profile) -> Profile:
    """The profile with an arm's settings in it. Raises UserError for a name that is none."""
    return override(profile, arm_named(name).changes)


def sampled_a_step(method: str, rollout: RolloutConfig) -> int:
    """How many responses a step of training samples, at most."""
    return {"sft": 0, "selfplay": rollout.rows + 3 * rollout.batch * rollout.rollouts}.get(method, rollout.rows)


def label_of(arm: str) -> str:
    """What figures and tables call an arm, or the base."""
    return "base" if arm == BASE else ARMS[arm].label if arm in ARMS else arm


MEMORY_ALONE = {
    "rollout": {"chunk"},
    "train": {"micro_batch", "gradient_checkpointing", "save_every"},
}
"""Settings that a run may change on its way: what is computed stays the same but for rounding."""
PROPOSING = {
    "rollout": {"references", "references_from", "rollouts", "seed_factor"},
    "train": {"proposer", "proposer_reward"},
}
"""Settings that only self-play reads."""


def fingerprint(arm: str, profile: Profile, seed: int, seed_files: Sequence[Path] = (), own: str = "") -> str:
    """Names all that a run depends on: the settings that its method reads, weights, data and the algorithm's version.

    ``profile`` is the arm's (``arm_profile``); ``own`` is the source of a proposer reward given as a function.
    """
    method = arm_named(arm).method
    unread = [MEMORY_ALONE] if method == "selfplay" else [MEMORY_ALONE, PROPOSING]
    sections = {}
    for name in ("model", "rollout", "train"):
        left_out = set().union(*(part.get(name, set()) for part in unread))
        sections[name] = getattr(profile, name).model_dump(exclude=left_out)
    if method != "selfplay":
        sections["problems"] = profile.problems.model_dump(include={"train", "train_size"})
        data = Path(profile.problems.train)
        sections["data"] = file_digest(data) if data.is_file() else ""
    files = (seed_files or profile.seeds) if method == "selfplay" else ()
    seeds = [file_digest(file) for file in files]
    kept = profile.evaluation.every  # which adapters are left behind
    return stamp(ALGORITHM, method, seed, sections, kept, weights_digest(profile.model.name), seeds, own)
