"""Building a base model: a folder that transformers opens, the same bytes each time, shipped ones of known size."""

import json

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from azr.world.base import CHECKPOINTS, RECIPES, BaseRecipe, batches, build, grow, new_model
from azr.world.tokenizer import build_tokenizer

RECIPE = BaseRecipe(hidden=32, layers=1, intermediate=32, heads=2, steps=6, batch=4, warmup=2, threads=1)
SMALL = BaseRecipe(hidden=16, layers=1, intermediate=24, heads=2, steps=1)
LARGE = BaseRecipe(hidden=32, layers=2, intermediate=40, heads=4, steps=1, seed=1)
IDS = torch.randint(3, 60, (4, 20), generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    threads = torch.get_num_threads()
    folder = tmp_path_factory.mktemp("base") / "tiny"
    build("tiny", folder, recipe=RECIPE)
    yield folder
    torch.set_num_threads(threads)


def test_a_build_opens_in_transformers_and_training_moved_every_matrix(built):
    model, tokenizer = AutoModelForCausalLM.from_pretrained(built), AutoTokenizer.from_pretrained(built)
    assert model.config.vocab_size == len(tokenizer)
    assert model.dtype == torch.float16
    start = new_model(RECIPE, len(tokenizer)).half()
    for (name, after), before in zip(model.named_parameters(), start.parameters(), strict=True):
        assert torch.isfinite(after).all()
        assert after.dim() == 1 or not torch.equal(after, before), name
    record = json.loads((built / "record.json").read_text())
    assert (record["recipe"]["hidden"], record["versions"]["torch"]) == (32, torch.__version__)


def test_two_builds_are_the_same_bytes(built, tmp_path):
    build("tiny", tmp_path / "again", steps=6, recipe=RECIPE)
    for name in ("model.safetensors", "config.json", "tokenizer.json", "record.json"):
        assert (tmp_path / "again" / name).read_bytes() == (built / name).read_bytes()


def test_responses_weigh_one_prompts_little_and_padding_nothing():
    ids, weights = next(batches(RECIPE))
    assert ids.shape == weights.shape
    for row, weight in zip(ids.tolist(), weights.tolist(), strict=True):
        end = row.index(2) + 1
        kinds = [round(w, 6) for w in weight]
        prompt = kinds.count(0.1)
        assert row[0] == 1
        assert kinds == [0.1] * prompt + [1.0] * (end - prompt) + [0.0] * (len(row) - end)
        assert 1 < prompt < end


@pytest.mark.parametrize(("size", "low", "high"), [("nano", 0.8, 1.6), ("micro", 3.5, 5.5)])
def test_what_is_shipped_is_of_its_recipes_shape_and_speaks_the_worlds_words(size, low, high):
    shipped = AutoModelForCausalLM.from_pretrained(CHECKPOINTS / size, dtype=torch.float32)
    shape = {name: weight.shape for name, weight in new_model(RECIPES[size], len(build_tokenizer())).named_parameters()}
    assert {name: weight.shape for name, weight in shipped.named_parameters()} == shape
    assert low < sum(weight.numel() for weight in shipped.parameters()) / 1e6 < high
    assert AutoTokenizer.from_pretrained(CHECKPOINTS / size).get_vocab() == build_tokenizer().get_vocab()


def test_a_grown_model_computes_the_same_and_two_steps_reach_every_new_weight():
    small, large = new_model(SMALL, 60), new_model(LARGE, 60)
    grow(small, large)
    torch.testing.assert_close(large(IDS).logits, small(IDS).logits, atol=1e-3, rtol=0)  # a norm has its epsilon
    start = {name: weight.detach().clone() for name, weight in large.named_parameters()}
    optimizer = torch.optim.Adam(large.parameters(), lr=1e-3)
    for _ in range(2):  # the first step opens what writes, the second trains what reads
        large(IDS, labels=IDS).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    for name, weight in large.named_parameters():
        if "embed" not in name:  # words that do not occur have no gradient
            assert (weight != start[name]).float().mean() > 0.95, name
