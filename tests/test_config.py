"""Profiles: what may stand in one, and what is said of what may not."""

import dataclasses
import re

import pytest

from azr import config, paths
from azr.config import LEAST, NOT_ZERO, Profile, checked, config_hash, load_profile, override, profile_from
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
        assert checked(load_profile(name)).name == name


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


@pytest.mark.parametrize("name", ["../profiles/laptop", "./smoke", str(paths.PROFILES / "smoke")])
def test_a_profile_is_chosen_by_its_name_and_never_by_a_path(name):
    with pytest.raises(UserError, match=f"no profile '{re.escape(name)}'; choose one of smoke, laptop"):
        load_profile(name)


@pytest.fixture
def own_profile(tmp_path, monkeypatch):
    """A function that writes ``profiles/mine.yaml`` beside a smoke.yaml."""
    monkeypatch.setattr(paths, "PROFILES", tmp_path)
    monkeypatch.setattr(config, "PROFILES", tmp_path)
    return (tmp_path / "mine.yaml").write_bytes


@pytest.mark.parametrize("text", [b"train: {steps: 3", b"a: b: c", b"seeds: \xff", b"seeds: 2020-13-45", b"\0"])
def test_a_profile_file_that_is_no_yaml_is_named(own_profile, text):
    own_profile(text)
    with pytest.raises(UserError, match=r"profile file .*mine\.yaml is not YAML; write it as smoke\.yaml") as told:
        load_profile("mine")
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("text", [b"- seeds: 3", b"[]", b"plain text", b"3", b"false"])
def test_a_profile_file_without_settings_by_name_is_named(own_profile, text):
    own_profile(text)
    with pytest.raises(UserError, match=r"profile file .*mine\.yaml holds no settings by name; write it as smoke"):
        load_profile("mine")


def test_a_profile_file_has_names_alone_for_settings_and_may_be_empty(own_profile):
    own_profile(b"# nothing yet")
    assert load_profile("mine") == Profile("mine")
    own_profile(b"3: 4")
    with pytest.raises(UserError, match="no setting '3'"):
        load_profile("mine")


def numbers(section: object, above: str = "") -> list[str]:
    """The names of all settings that are numbers."""
    names = []
    for field in dataclasses.fields(section):
        value = getattr(section, field.name)
        if dataclasses.is_dataclass(value):
            names += numbers(value, f"{field.name}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            names.append(above + field.name)
    return names


NUMBERS = numbers(Profile("mine"))


def with_number(name: str, value: float) -> Profile:
    return override(Profile("mine"), {name: value})


def test_every_number_has_a_least():
    assert set(LEAST) == set(NUMBERS)


@pytest.mark.parametrize("name", NUMBERS)
def test_a_number_below_its_least_is_refused_by_name(name):
    for value in (LEAST[name] - 1, -3):
        with pytest.raises(
            UserError, match=rf"^{name} is {value}(\.0)?; it must be (at least|more than) {LEAST[name]}\.$"
        ):
            checked(with_number(name, value))


@pytest.mark.parametrize("name", [name for name in NUMBERS if name not in NOT_ZERO])
def test_the_least_itself_may_stand(name):
    apart = {"train.micro_batch": 1, "rollout.batch": 2}  # so that it divides any step
    checked(override(Profile("mine"), apart | {name: LEAST[name]}))


@pytest.mark.parametrize("name", NOT_ZERO)
def test_some_numbers_must_be_more_than_their_least(name):
    with pytest.raises(UserError, match=f"{name} is 0.0; it must be more than 0"):
        checked(with_number(name, 0))


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
@pytest.mark.parametrize("name", [n for n in NUMBERS if isinstance(config._setting(Profile("mine"), n), float)])
def test_a_number_is_finite(name, value):
    with pytest.raises(UserError, match=f"{name} is {value}; it must be"):
        checked(with_number(name, value))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model.prompt_style": "foo"}, "model.prompt_style is 'foo'; choose compact or paper"),
        ({"model.dtype": "float99"}, "choose float32 or bfloat16"),
        ({"train.loss_by": "word"}, "choose token or sequence"),
        ({"train.proposer": "gone"}, "choose trained or frozen or base"),
        ({"train.proposer_reward": "gold"}, "no proposer reward 'gold'; choose one of learnability"),
        ({"rollout.batch": 3, "rollout.solves": 4}, "an even number"),
        ({"train.micro_batch": 7}, "7 does not divide the 96 rows"),
        ({"model.full": True, "model.four_bit": True}, "4 bits cannot be trained itself"),
        ({"model.full": True, "train.proposer": "base"}, "use LoRA"),
        ({"engine.name": "vllm-server", "train.proposer": "base"}, "which vLLM cannot"),
    ],
)
def test_settings_that_no_run_can_have_are_refused(changes, said):
    with pytest.raises(UserError, match=said):
        checked(override(Profile("mine"), changes))
