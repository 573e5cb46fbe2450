"""The arms: which settings each changes, and that names are checked."""

from __future__ import annotations

import pytest

from azr.arms import ARMS, arm_profile
from azr.config import Profile, override
from azr.errors import UserError


def test_the_default_arm_changes_nothing():
    assert arm_profile("selfplay", Profile("mine")) == ("selfplay", Profile("mine"))


@pytest.mark.parametrize(
    ("arm", "method", "proposer", "reward"),
    [
        ("rlvr", "rlvr", "trained", "learnability"),
        ("sft", "sft", "trained", "learnability"),
        ("frozen", "selfplay", "frozen", "learnability"),
        ("frozen-strict", "selfplay", "base", "learnability"),
        ("half", "selfplay", "trained", "half"),
    ],
)
def test_an_arm_is_a_method_and_one_change(arm, method, proposer, reward):
    name, profile = arm_profile(arm, Profile("mine"))
    assert (name, profile.train.proposer, profile.train.proposer_reward) == (method, proposer, reward)
    assert not profile.model.full


@pytest.mark.parametrize("arm", ARMS)
def test_every_arm_can_train_all_weights(arm):
    method, profile = arm_profile(f"{arm}-full", Profile("mine"))
    assert (method, profile.model.full) == (ARMS[arm].method, True)


def test_all_weights_may_be_trained_for_fewer_steps():
    profile = override(Profile("mine"), {"train.steps": 30, "train.full_steps": 12})
    assert arm_profile("rlvr", profile)[1].train.steps == 30
    assert arm_profile("rlvr-full", profile)[1].train.steps == 12
    assert arm_profile("rlvr-full", override(profile, {"train.full_steps": 0}))[1].train.steps == 30


@pytest.mark.parametrize("name", ["ppo", "-full", "full", "sft-full-full"])
def test_an_unknown_arm_is_named_with_the_known_ones(name):
    with pytest.raises(UserError, match=f"no arm '{name}'; choose one of sft, rlvr, selfplay, frozen"):
        arm_profile(name, Profile("mine"))
