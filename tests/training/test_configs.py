"""The configurations for ``accelerate launch`` that ship: accelerate reads them and knows every key."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import pytest
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.commands.launch import launch_command_parser
from accelerate.utils import DistributedType

CONFIGS = sorted(Path(str(resources.files("azr"))).glob("training/configs/*.yaml"))
EXPECTED = {
    "ddp": DistributedType.MULTI_GPU,
    "fsdp2": DistributedType.FSDP,
    "zero2": DistributedType.DEEPSPEED,
    "zero3": DistributedType.DEEPSPEED,
}
OPTIONS = {action.dest for action in launch_command_parser()._actions}


def test_there_is_one_for_each_way_of_sharing():
    assert {file.stem: load_config_from_file(str(file)).distributed_type for file in CONFIGS} == EXPECTED


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.stem)
def test_every_key_is_an_option_of_the_launcher(file):
    config = load_config_from_file(str(file))  # refuses unknown keys at the top
    nested = (config.fsdp_config or {}) | (config.deepspeed_config or {})
    assert set(nested) <= OPTIONS
    assert config.num_processes == 8


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.stem)
def test_the_command_in_the_file_names_the_file(file):
    assert f"accelerate launch --config_file azr/training/configs/{file.name} " in file.read_text()


@pytest.mark.parametrize("stem", ["fsdp2", "zero2", "zero3"])
def test_the_documentation_has_a_command_for_it(stem):
    docs = Path(__file__).resolve().parents[2] / "docs" / "scaling.md"
    assert f"azr/training/configs/{stem}.yaml" in docs.read_text()


def test_sharding_is_as_its_name_says():
    configs = {file.stem: load_config_from_file(str(file)) for file in CONFIGS}
    assert configs["fsdp2"].fsdp_config["fsdp_version"] == 2
    assert [configs[f"zero{stage}"].deepspeed_config["zero_stage"] for stage in (2, 3)] == [2, 3]
