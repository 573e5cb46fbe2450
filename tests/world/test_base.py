"""Building a base model: a folder that transformers opens, bit for bit the same however often it was killed."""

import json

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from azr.world import base
from azr.world.base import RECIPES, BaseRecipe, batches, build, new_model

RECIPE = BaseRecipe(hidden=32, layers=1, intermediate=32, heads=2, steps=6, batch=4, warmup=2, threads=1)


@pytest.fixture(autouse=True)
def _threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base") / "tiny"
    build("tiny", folder, RECIPE)
    return folder


def test_a_build_opens_in_transformers(built):
    model, tokenizer = AutoModelForCausalLM.from_pretrained(built), AutoTokenizer.from_pretrained(built)
    assert model.config.vocab_size == len(tokenizer)
    assert model.dtype == torch.float16
    assert all(torch.isfinite(weight).all() for weight in model.parameters())
    ids = tokenizer("predict the output\n", return_tensors="pt")["input_ids"]
    assert model.float()(ids).logits.shape == (1, ids.shape[1], len(tokenizer))


def test_training_moved_every_weight_matrix(built):
    trained = AutoModelForCausalLM.from_pretrained(built, dtype=torch.float32)
    start = new_model(RECIPE, trained.config.vocab_size).half().float()
    for (name, after), before in zip(trained.named_parameters(), start.parameters(), strict=True):
        assert after.dim() == 1 or not torch.equal(after, before), name


def test_the_record_says_how_it_was_made(built):
    record = json.loads((built / "record.json").read_text())
    assert record["recipe"]["hidden"] == 32
    assert record["versions"]["torch"] == torch.__version__
    assert 0 < record["final_loss"] < 10
    assert not list(built.parent.glob("*.state.*"))


def test_two_builds_are_the_same_bytes(built, tmp_path):
    build("tiny", tmp_path / "again", RECIPE)
    for name in ("model.safetensors", "config.json", "tokenizer.json", "record.json"):
        assert (tmp_path / "again" / name).read_bytes() == (built / name).read_bytes()


@pytest.mark.parametrize("killed_at", [1, 3, 4])
def test_a_killed_build_continues_to_the_same_bytes(built, tmp_path, monkeypatch, killed_at):
    class Killed(BaseException):
        pass

    update = base.Progress.update

    def killed(self, done, note=""):
        if done == killed_at:
            raise Killed
        update(self, done, note)

    folder = tmp_path / "tiny"
    with monkeypatch.context() as patch:
        patch.setattr(base.Progress, "update", killed)
        with pytest.raises(Killed):
            build("tiny", folder, RECIPE, save_every=2)
    assert not folder.exists()
    build("tiny", folder, RECIPE, save_every=2)
    assert (folder / "model.safetensors").read_bytes() == (built / "model.safetensors").read_bytes()


def test_a_state_of_another_recipe_is_not_continued(built, tmp_path):
    torch.save({"recipe": {"hidden": 64}, "step": 5}, tmp_path / "tiny.state.pt")
    build("tiny", tmp_path / "tiny", RECIPE)
    assert (tmp_path / "tiny" / "model.safetensors").read_bytes() == (built / "model.safetensors").read_bytes()


def test_batches_from_the_middle_are_the_last_ones_of_all():
    recipe = BaseRecipe(hidden=32, layers=1, intermediate=32, heads=2, steps=40, batch=2)
    whole = list(batches(recipe))
    for start in (3, 32, 35):
        for (ids, weights), (other, other_weights) in zip(batches(recipe, start), whole[start:], strict=True):
            assert torch.equal(ids, other)
            assert torch.equal(weights, other_weights)


def test_responses_weigh_one_prompts_little_and_padding_nothing():
    ids, weights = next(batches(RECIPE))
    assert ids.shape == weights.shape
    assert ids[:, 0].tolist() == [1] * 4
    for row, weight in zip(ids.tolist(), weights.tolist(), strict=True):
        end = row.index(2) + 1
        kinds = [round(w, 6) for w in weight]
        prompt = kinds.count(0.1)
        assert kinds == [0.1] * prompt + [1.0] * (end - prompt) + [0.0] * (len(row) - end)
        assert 1 < prompt < end


@pytest.mark.parametrize("size", RECIPES)
def test_shipped_recipes_make_models_of_about_their_size(size):
    millions = sum(p.numel() for p in new_model(RECIPES[size], 250).parameters()) / 1e6
    low, high = {"nano": (0.8, 1.6), "micro": (3.5, 5.5)}[size]
    assert low < millions < high
