"""The histogram of relative changes: its bins, its ends, and that it agrees with update sparsity."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from azr.metrics import update_sparsity
from azr.metrics.changes import EDGES, change_histogram


def test_changes_fall_into_half_octaves_of_their_relative_size():
    base = torch.tensor([1.0, 2.0, -4.0, 1.0])
    trained = torch.tensor([1.0 + 2**-8, 2.0 + 2**-7, -4.0 - 2**-3, 1.0])
    frame = change_histogram({"w": base}, {"w": trained}).set_index("low")
    assert frame.loc[2.0**-8, "share"] == 0.5
    assert frame.loc[2.0**-5, "share"] == 0.25
    assert frame["share"].sum() == 1


def test_equal_tiny_and_unbounded_changes_have_rows_of_their_own():
    base = torch.tensor([1.0, 1.0, 0.0, 0.0, 1.0])
    trained = torch.tensor([1.0, 1.0 + 2**-23, 0.0, 1.0, float("nan")])
    small = change_histogram({"w": base.double()}, {"w": trained.double()})
    assert small.iloc[0].tolist() == [0, 0, 0.4]
    assert small.iloc[-1].tolist() == [EDGES[-1], np.inf, 0.4]
    tiny = change_histogram({"w": torch.tensor([1e-3])}, {"w": torch.tensor([1e-3]).nextafter(torch.tensor(1.0))})
    assert tiny["share"].iloc[[0, 1]].sum() + tiny["share"].iloc[2:5].sum() == 1


def test_it_adds_up_to_the_share_that_the_relative_tolerance_leaves_unchanged():
    torch.manual_seed(0)
    base = {"a": torch.randn(50, 50), "b": torch.randn(7), "ids": torch.arange(3)}
    trained = {"a": base["a"] * (1 + 0.01 * torch.randn(50, 50)), "b": base["b"].clone(), "ids": torch.arange(3)}
    frame = change_histogram(base, trained)
    report = update_sparsity(base, trained, dtype="float32", atol="relative")
    assert frame.loc[frame["high"] <= 2.0**-8, "share"].sum() == pytest.approx(report.overall)


def test_folders_are_read_and_what_has_no_partner_is_left_out(tmp_path):
    for name, tensors in (
        ("base", {"w": torch.ones(4), "old": torch.ones(9)}),
        ("trained", {"w": torch.full((4,), 2.0)}),
    ):
        (tmp_path / name).mkdir()
        save_file(tensors, tmp_path / name / "model.safetensors")
    frame = change_histogram(tmp_path / "base", tmp_path / "trained")
    assert frame.loc[frame["low"] == 1.0, "share"].tolist() == [1.0]
