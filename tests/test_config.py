"""Profiles: what may stand in one, and what is said of what may not."""

import pytest

from azr.config import Profile, config_hash, load_profile, override, profile_from
from azr.errors import UserError
from azr.paths import profile_names


@pytest.mark.parametrize("name", ["smoke", "laptop"])
def test_profiles_that_ship_load_and_fit_together(name):
    profile = load_profile(name)
    assert profile.name == name
    assert profile.rollout.batch % 2 == 0
    assert (6 * profile.rollout.batch) % profile.train.micro_batch == 0
    assert profile.train.steps % profile.train.save_every == 0


def test_every_file_is_a_profile():
    assert {"smoke", "laptop"} <= set(profile_names())
    for name in profile_names():
        assert load_profile(name).name == name


def test_an_unknown_profile_names_those_there_are():
    with pytest.raises(UserError, match=r"no profile 'hugo'; choose one of smoke, laptop"):
        load_profile("hugo")


def test_what_a_file_does_not_say_has_its_default():
    profile = profile_from("mine", {"seeds": 5, "train": {"steps": 7, "learning_rate": 1}})
    assert (profile.seeds, profile.train.steps, profile.train.learning_rate) == (5, 7, 1.0)
    assert isinstance(profile.train.learning_rate, float)
    assert profile.train.max_grad_norm == Profile("mine").train.max_grad_norm
    assert profile.rollout == Profile("mine").rollout


@pytest.mark.parametrize(
    "values",
    [{"trian": {"steps": 3}}, {"train": {"stepps": 3}}, {"stepps": 3}, {"name": {"x": 1}}, {"train": {"steps.x": 1}}],
)
def test_an_unknown_section_or_field_is_refused_by_name(values):
    with pytest.raises(UserError, match=r"Profile 'mine' has no setting '.*(trian|stepps|name\.x|steps\.x)"):
        profile_from("mine", values)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("train.steps", "many"),
        ("train.steps", None),
        ("train.steps", True),
        ("train.steps", [3]),
        ("train.steps", 3.7),
        ("train.learning_rate", "fast"),
        ("model.full", 1),
        ("model.full", "no"),
        ("seeds", {"a": 1}),
    ],
)
def test_a_value_of_the_wrong_type_is_refused(name, value):
    with pytest.raises(UserError, match=f"Setting '{name}' cannot be"):
        override(Profile("mine"), {name: value})


def test_dotted_names_change_one_field_and_leave_the_original_alone():
    profile = Profile("mine")
    changed = override(profile, {"train.steps": "3", "model.full": True, "threads": 2})
    assert (changed.train.steps, changed.model.full, changed.threads) == (3, True, 2)
    assert override(changed, {"train.steps": 60, "model.full": False, "threads": 1}) == profile == Profile("mine")


def test_a_hash_changes_with_any_setting_and_with_nothing_else():
    profile = Profile("mine")
    assert config_hash(profile, "a") == config_hash(Profile("mine"), "a")
    others = [override(profile, {"train.steps": 61}), override(profile, {"rollout.temperature": 0.9})]
    assert len({config_hash(p, "a") for p in (profile, *others)} | {config_hash(profile, "b")}) == 4


@pytest.mark.parametrize("value", [None, 5, [1]])
def test_a_section_without_settings_is_refused(value):
    with pytest.raises(UserError, match="Section 'train' of profile 'mine'"):
        profile_from("mine", {"train": value})
