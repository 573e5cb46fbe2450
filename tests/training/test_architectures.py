"""Self-play by the gpu profile on five architectures from local folders, as on a GPU but for the sizes."""

from __future__ import annotations

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from azr.arms import arm_profile
from azr.config import load_profile, override
from azr.models.loading import load_model
from azr.models.scoring import token_scores
from azr.runs import read_lines
from azr.training.run import train

from .hub import ARCHITECTURES, save_hub_model
from .tiny import write_seeds

pytestmark = pytest.mark.slow
SMALL = {
    "rollout.batch": 2,
    "rollout.solves": 0,
    "rollout.rollouts": 2,
    "rollout.references": 1,
    "rollout.max_new_tokens": 6,
    "train.micro_batch": 6,
    "train.group": 2,
    "train.steps": 2,
    "train.gradient_checkpointing": True,
    "model.dtype": "bfloat16",
    "engine.name": "transformers",
}


@pytest.fixture(scope="module", params=ARCHITECTURES)
def run(request, tmp_path_factory):
    """Model and run folder of two steps."""
    place = tmp_path_factory.mktemp(request.param)
    model, folder = save_hub_model(request.param, place / "model"), place / "run"
    write_seeds(folder)
    profile = override(load_profile("gpu"), SMALL | {"model.name": str(model)})
    train("selfplay", arm_profile("selfplay", profile), 0, folder)
    return model, folder


def test_the_run_is_whole(run):
    _, folder = run
    log = read_lines(folder / "log.jsonl")
    assert [row["step"] for row in log] == [1, 2]
    assert all(len(row["groups"]) == 6 for row in log)


def test_its_adapter_loads_in_peft_and_merges_into_a_model(run, tmp_path):
    model, folder = run
    base = AutoModelForCausalLM.from_pretrained(model, dtype=torch.bfloat16)
    adapted = PeftModel.from_pretrained(base, folder / "adapter")
    trained = " ".join(name for name in adapted.state_dict() if "lora_A" in name)
    assert all(name in trained for name in ("self_attn.o_proj", "mlp.down_proj"))
    merged = adapted.merge_and_unload()
    merged.save_pretrained(tmp_path / "merged")
    tokenizer = AutoTokenizer.from_pretrained(folder / "adapter")
    opened = AutoModelForCausalLM.from_pretrained(tmp_path / "merged").eval()
    ids = tokenizer("def f(x):", return_tensors="pt")["input_ids"]
    torch.testing.assert_close(opened(ids).logits, merged.eval()(ids).logits)


def test_padding_on_the_right_changes_no_log_probability(run):
    model, tokenizer = load_model(str(run[0]))
    ids = tokenizer("def f(x):\n    return x\n" * 20)["input_ids"]
    rows = [(ids[:90], ids[90:]), (ids[:5], ids[5:12])]
    with torch.no_grad():
        together, row, _ = token_scores(model, rows)
        for place, (prompt, own) in enumerate(rows):
            logits = model(torch.tensor([prompt + own])).logits[0, len(prompt) - 1 : -1]
            expected = torch.log_softmax(logits.float(), -1)[torch.arange(len(own)), own]
            torch.testing.assert_close(together[row == place], expected, atol=1e-4, rtol=1e-4)
