"""Engines and trackers: TRL's settings for each, and one sentence where something is missing."""

from __future__ import annotations

import importlib.util

import pytest
import torch
from trl import GRPOConfig

from azr.config import EngineConfig
from azr.errors import UserError
from azr.training import engine
from azr.training.engine import engine_settings


def pretend_all_is_there(patch: pytest.MonkeyPatch) -> None:
    """Every package, and a GPU."""
    patch.setattr(importlib.util, "find_spec", lambda name: name)
    patch.setattr(torch.cuda, "is_available", lambda: True)


@pytest.fixture
def installed(monkeypatch):
    pretend_all_is_there(monkeypatch)


def test_transformers_needs_nothing():
    assert engine_settings(EngineConfig()) == {"report_to": "none"}


def test_vllm_beside_training(installed):
    settings = engine_settings(EngineConfig("vllm-colocate", vllm_gpu_memory_utilization=0.4))
    assert settings["use_vllm"]
    assert (settings["vllm_mode"], settings["vllm_gpu_memory_utilization"]) == ("colocate", 0.4)
    assert not settings["vllm_importance_sampling_correction"]


def test_a_vllm_server(installed):
    settings = engine_settings(EngineConfig("vllm-server", vllm_server_host="10.0.0.5", vllm_server_port=8123))
    assert (settings["vllm_mode"], settings["vllm_server_host"], settings["vllm_server_port"]) == (
        "server",
        "10.0.0.5",
        8123,
    )
    assert "vllm_gpu_memory_utilization" not in settings


@pytest.mark.parametrize("name", engine.ENGINES)
def test_trl_takes_the_settings(name, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        pretend_all_is_there(patch)
        settings = engine_settings(EngineConfig(name, report_to="trackio"))
    args = GRPOConfig(output_dir=str(tmp_path), use_cpu=True, **settings)
    assert args.use_vllm == (name != "transformers")
    assert args.report_to in ("trackio", ["trackio"])


@pytest.mark.parametrize("tracker", engine.TRACKERS)
def test_a_tracker_is_told_where_it_is_installed(installed, tracker):
    assert engine_settings(EngineConfig(report_to=tracker)) == {"report_to": tracker}


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (EngineConfig("vllm"), "no engine 'vllm'; choose one of transformers, vllm-colocate, vllm-server"),
        (EngineConfig("vllm-colocate"), "vLLM, which is not installed: .* engine.name=transformers"),
        (EngineConfig("vllm-server"), "vLLM, which is not installed"),
        (EngineConfig(report_to="paper"), "no tracker 'paper'; choose one of none, trackio"),
        (EngineConfig(report_to="wandb"), "wandb is not installed: pip install wandb, or set engine.report_to=none"),
    ],
)
def test_what_is_missing_is_said(config, said, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=said):
        engine_settings(config)


def test_vllm_without_a_gpu_is_refused(installed, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match=r"needs a CUDA GPU, and there is none: set engine.name=transformers"):
        engine_settings(EngineConfig("vllm-colocate"))
