"""A larger model grown from a smaller one computes the same, and can learn with all that is new."""

import pytest
import torch

from azr.world.base import BaseRecipe, new_model
from azr.world.growth import grow

SMALL = BaseRecipe(hidden=16, layers=1, intermediate=24, heads=2, steps=1)
LARGE = BaseRecipe(hidden=32, layers=2, intermediate=40, heads=4, steps=1, seed=1)
IDS = torch.randint(3, 60, (4, 20), generator=torch.Generator().manual_seed(0))


def models():
    return new_model(SMALL, 60), new_model(LARGE, 60)


def test_it_says_the_same_before_any_training():
    small, large = models()
    before = large(IDS).logits
    grow(small, large)
    torch.testing.assert_close(large(IDS).logits, small(IDS).logits, atol=1e-3, rtol=0)  # a norm has its epsilon
    assert not torch.allclose(before, large(IDS).logits, atol=1e-2)


def test_two_steps_of_training_reach_every_new_weight():
    small, large = models()
    grow(small, large)
    start = {name: weight.detach().clone() for name, weight in large.named_parameters()}
    optimizer = torch.optim.Adam(large.parameters(), lr=1e-3)
    for _ in range(2):  # the first step opens what writes, the second trains what reads
        large(IDS, labels=IDS).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    for name, weight in large.named_parameters():
        if "embed" not in name:  # words that do not occur have no gradient
            assert (weight != start[name]).float().mean() > 0.95, name


def test_heads_of_another_width_are_refused():
    with pytest.raises(ValueError, match="heads are 8 and 16 wide"):
        grow(new_model(SMALL, 60), new_model(BaseRecipe(hidden=32, layers=2, intermediate=40, heads=2, steps=1), 60))
