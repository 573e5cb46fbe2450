"""Arms: one vocabulary, and a fingerprint of exactly what a run depends on."""

import pytest

from azr.arms import ARMS, arm_profile, fingerprint
from azr.config import load_profile, override
from azr.errors import UserError

SMOKE = load_profile("smoke")


@pytest.mark.parametrize("arm", ARMS)
def test_every_arm_differs_from_every_other_in_method_or_settings(arm):
    mine = (ARMS[arm].method, arm_profile(arm, SMOKE))
    others = [(ARMS[name].method, arm_profile(name, SMOKE)) for name in ARMS if name != arm]
    assert mine not in others


def test_unknown_arms_are_refused():
    with pytest.raises(UserError):
        arm_profile("nonsense", SMOKE)


def mark(arm: str, **changes):
    seed = changes.pop("seed", 0)
    return fingerprint(
        arm, arm_profile(arm, override(SMOKE, {k.replace("__", "."): v for k, v in changes.items()})), seed
    )


@pytest.mark.parametrize(
    "change", [{"train__steps": 3}, {"seed": 1}, {"model__name": "micro"}, {"train__learning_rate": 2e-3}]
)
@pytest.mark.parametrize("arm", ["sft", "rlvr", "selfplay"])
def test_what_a_run_depends_on_changes_its_fingerprint(arm, change):
    assert mark(arm, **change) != mark(arm)


@pytest.mark.parametrize("change", [{"train__micro_batch": 8}, {"rollout__chunk": 8}, {"evaluation__samples": 99}])
@pytest.mark.parametrize("arm", ["sft", "rlvr", "selfplay"])
def test_what_it_does_not_depend_on_does_not(arm, change):
    assert mark(arm, **change) == mark(arm)


def test_the_baselines_do_not_depend_on_how_proposals_are_paid():
    assert mark("sft", train__proposer_reward="half") == mark("sft")
    assert mark("rlvr", rollout__references=1) == mark("rlvr")
    assert mark("selfplay", train__proposer_reward="half") != mark("selfplay")


def test_self_play_does_not_depend_on_the_problems_of_the_baselines():
    assert mark("selfplay", problems__train="gsm8k") == mark("selfplay")
    assert mark("rlvr", problems__train="gsm8k") != mark("rlvr")


def test_two_arms_of_one_method_and_settings_are_one_run():
    half = override(SMOKE, {"train.proposer_reward": "half"})
    assert fingerprint("half", arm_profile("half", SMOKE), 0) == fingerprint("selfplay", half, 0)
