"""Update sparsity: the order of the methods (claim C12), and what the figures hold."""

import pandas as pd
import pytest

from azr.figures.sparsity import CLAIM, sparsity_order


def whole(values: dict[str, list[float]], training: str = "full", **definition: str) -> pd.DataFrame:
    """Rows of ``azr.updates.update_matrix``: of each method a value a seed."""
    about = {"training": training} | CLAIM | definition
    rows = [about | {"method": m, "seed": s, "sparsity": v} for m, own in values.items() for s, v in enumerate(own)]
    return pd.DataFrame(rows)


def test_selfplay_is_between_where_one_is_above_and_the_other_below():
    frame = whole({"sft": [0.1, 0.5, 0.9], "rlvr": [0.8, 0.6, 0.2], "selfplay": [0.4, 0.7, 0.5]})
    order = sparsity_order(frame)
    assert list(order) == ["seed", "sft", "rlvr", "selfplay", "between"]
    assert order["between"].tolist() == [True, False, True]
    assert order.loc[2, ["sft", "rlvr", "selfplay"]].tolist() == [0.9, 0.2, 0.5]


def test_equal_to_both_is_not_between_but_equal_to_one_is_told_apart_from_it():
    order = sparsity_order(whole({"sft": [0.5, 0.5], "rlvr": [0.5, 0.7], "selfplay": [0.5, 0.5]}))
    assert order["between"].tolist() == [False, True]


def test_only_full_training_and_the_claims_definition_count():
    wanted = {"sft": [0.1], "rlvr": [0.3], "selfplay": [0.2]}
    other = {"sft": [0.9], "rlvr": [0.9], "selfplay": [0.1]}
    frames = [whole(wanted), whole(other, "lora"), whole(other, dtype="float32"), whole(other, granularity="tensor")]
    assert sparsity_order(pd.concat(frames, ignore_index=True)).iloc[0].tolist() == [0, 0.1, 0.3, 0.2, True]


def test_seeds_that_lack_a_method_are_left_out():
    frame = whole({"sft": [0.1, 0.1], "rlvr": [0.3], "selfplay": [0.2, 0.2]})
    assert sparsity_order(frame)["seed"].tolist() == [0]
    with pytest.raises(ValueError, match="No seed has"):
        sparsity_order(whole({"sft": [0.1]}))
