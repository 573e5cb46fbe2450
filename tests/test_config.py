"""Profiles: what ships can be read, every field has its bounds, and a mistake is one sentence."""

import pytest
import yaml

from azr.arms import ARMS
from azr.config import Profile, choose_profile, load_profile, override, profile_of
from azr.errors import UserError
from azr.runs import PROFILES, profile_names


@pytest.mark.parametrize("name", profile_names())
def test_profiles_that_ship_can_be_read_and_name_known_arms(name):
    profile = load_profile(name)
    assert profile.name == name
    assert profile.model.name == profile.models[0].name
    for model in profile.models:
        assert set(model.arms or profile.arms) <= set(ARMS)


@pytest.mark.parametrize("name", ["gpu", "paper"])
def test_profiles_at_scale_train_and_test_on_real_problems(name):
    problems = load_profile(name).problems
    assert not any(part.startswith("world/") for part in (problems.train, problems.validation, *problems.test))


def test_what_a_profile_leaves_out_has_its_default():
    values = yaml.safe_load((PROFILES / "smoke.yaml").read_text())
    assert "temperature" not in values["rollout"]
    assert load_profile("smoke").rollout.temperature == 1.0


def test_a_changed_setting_changes_only_itself():
    before = load_profile("smoke")
    after = override(before, {"train.steps": 3, "train.learning_rate": "1e-4"})
    assert after.train.steps == 3
    assert after.train.learning_rate == 1e-4
    assert override(after, {"train.steps": 4, "train.learning_rate": 1e-3}) == before


@pytest.mark.parametrize(
    "change",
    [
        {"train.steps": 0},
        {"train.steps": "many"},
        {"train.steps": 2.5},
        {"train.learning_rate": float("nan")},
        {"train.stepz": 3},
        {"nothing.steps": 3},
        {"train": 3},
        {"train.proposer": "asleep"},
        {"train.proposer_reward": "nonsense"},
        {"train.micro_batch": 7},
        {"train.group": 7},
        {"train.proposer": "base", "model.full": True},
    ],
)
def test_what_no_run_can_have_is_refused_in_one_sentence(change):
    with pytest.raises(UserError) as refused:
        override(load_profile("smoke"), change)
    assert "\n" not in str(refused.value)


def test_a_name_alone_is_a_list_of_one():
    assert override(load_profile("smoke"), {"problems.test": "mbpp_plus"}).problems.test == ("mbpp_plus",)


def test_the_profile_is_that_of_the_model_however_it_is_named():
    by_setting = choose_profile(None, None, {"model.name": "someone/model"})
    assert by_setting == choose_profile(None, "someone/model", {})
    assert by_setting.name == "gpu"


@pytest.mark.parametrize("changes", [{"name": "a/../../b"}, {"models": []}, {"model.name": ""}, {"model.name": None}])
def test_what_belongs_to_the_study_or_is_no_model_is_refused(changes):
    with pytest.raises(UserError):
        choose_profile("smoke", None, changes)
    with pytest.raises(UserError):
        choose_profile(None, "", {})


def test_settings_are_named_as_they_are_written():
    with pytest.raises(UserError, match=r"^train\.micro_batch"):
        override(load_profile("smoke"), {"rollout.batch": 7})


def test_a_profile_is_a_name_never_a_path():
    with pytest.raises(UserError):
        load_profile("../profiles/smoke")


def test_measured_steps_are_the_first_the_kept_ones_and_the_last():
    profile = override(load_profile("smoke"), {"train.steps": 50, "evaluation.every": 20})
    assert profile.kept_steps == (0, 20, 40, 50)


def test_profiles_survive_being_written_down():
    profile = load_profile("smoke")
    assert profile_of(profile.model_dump(mode="json")) == profile
    assert isinstance(profile, Profile)
