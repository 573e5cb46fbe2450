"""Every command that takes a model: where there is none, one sentence, exit code 2, and nothing made."""

from __future__ import annotations

import pytest

from azr import cli


@pytest.fixture(params=["offline", "gated"])
def hub(request, monkeypatch):
    """The hub is out of reach, or does not give the model out; what has to be said then."""
    if request.param == "offline":
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        return "the hub cannot be reached: give a local folder, or connect"

    def refuse(*_: object, **__: object) -> None:
        raise OSError("You are trying to access a gated repo.\n401 Client Error.")

    for kind in ("AutoConfig", "AutoTokenizer", "AutoModelForCausalLM"):
        monkeypatch.setattr(f"azr.models.{kind}.from_pretrained", refuse)
    return "is gated: accept its licence on the hub and log in with `hf auth login`"


@pytest.mark.parametrize(
    "command",
    [
        ["train", "selfplay", "--profile", "gpu", "--model", "org/none"],
        ["evaluate", "org/none", "--profile", "gpu"],
        ["doctor", "--model", "org/none"],
    ],
    ids=lambda command: command[0],
)
def test_a_model_out_of_reach_is_one_sentence(command, hub, tmp_path, capsys):
    runs = [] if command[0] == "doctor" else ["--runs", str(tmp_path / "runs")]
    assert cli.main([*command, *runs]) == 2
    said = capsys.readouterr().err
    assert "The model 'org/none'" in said
    assert hub in said
    assert said.count("\n") == 1
    assert not list(tmp_path.rglob("*.json"))
