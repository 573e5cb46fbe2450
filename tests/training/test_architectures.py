"""``azr train selfplay --profile gpu`` on five architectures from local folders, as on a GPU but for the sizes."""

from __future__ import annotations

import json

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from azr import cli, sampling
from azr.models import load_model
from azr.sampling import encode_prompt, respond, sample

from .hub import ARCHITECTURES, save_hub_model
from .tiny import write_seeds

SMALL = {
    "rollout.batch": 2,
    "rollout.rollouts": 2,
    "rollout.references": 1,
    "rollout.max_new_tokens": 6,
    "train.micro_batch": 6,
    "train.validate_every": 0,
}


@pytest.fixture(scope="module", params=ARCHITECTURES)
def run(request, tmp_path_factory):
    """Model and run folder of two steps."""
    place = tmp_path_factory.mktemp(request.param)
    model, folder = save_hub_model(request.param, place / "model"), place / "run"
    write_seeds(folder)
    options = ["--profile", "gpu", "--model", str(model), "--max-steps", "2", "--out", str(folder)]
    options += [f"--set={name}={value}" for name, value in SMALL.items()]
    assert cli.main(["train", "selfplay", *options]) == 0
    return model, folder


def test_the_run_is_whole(run):
    _, folder = run
    log = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in log] == [1, 2]
    assert all(len(row["groups"]) == 6 for row in log)
    profile = json.loads((folder / "config.json").read_text())["profile"]["model"]
    assert (profile["dtype"], profile["prompt_style"], profile["lora_rank"]) == ("bfloat16", "paper", 32)


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


def greedy(model, ids: list[int], length: int) -> list[int]:
    """The likeliest continuation, by whole forward passes without a cache."""
    for _ in range(length):
        ids = [*ids, int(model(torch.tensor([ids])).logits[0, -1].argmax())]
    return ids[-length:]


def test_a_shared_prompt_is_read_as_any_other_even_beyond_a_sliding_window(run, monkeypatch):
    model, tokenizer = load_model(str(run[0]))
    prompt = "def f(x):\n    return x\n" * 20
    ids = encode_prompt(tokenizer, prompt)
    assert len(ids) > 100  # Gemma's window here is 64
    with torch.no_grad():
        expected, short = greedy(model, ids, 4), greedy(model, ids[:9], 4)
        for stage in (8, 1):
            monkeypatch.setattr(sampling, "STAGE", stage)
            answers = respond(model, tokenizer, [ids, ids[:9], ids, ids], 4, temperature=0.0)
            assert answers == [expected, short, expected, expected]
    assert [c.ids for c in sample(model, tokenizer, [prompt] * 2, 4, seed=0, temperature=0.0)] == [expected] * 2
