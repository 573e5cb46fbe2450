"""Update sparsity: every definition by hand and by a slow obvious version, norms, the null, folders, adapters."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from azr.cli import main
from azr.errors import UserError
from azr.metrics import sparsity_report, sparsity_table, update_sparsity
from azr.metrics.sparsity import DEFINITIONS
from azr.models.loading import checkpoint

from .test_checkpoints import adapted, llama, lora

BASE = torch.tensor([1.0, 1.0, 1.0, 1.0, 0.0, 0.0])
TRAINED = torch.tensor([1.0, 1.0 + 5e-6, 1.001, 1.1, 1e-6, 0.0])


def counts(before, after) -> list[int]:
    """Unchanged elements by definition, over all tensors."""
    return update_sparsity(before, after).groupby(["dtype", "tolerance"], sort=False)["unchanged"].sum().tolist()


def test_the_definitions_by_hand():
    frame = update_sparsity({"w": BASE}, {"w": TRAINED})
    assert list(zip(frame["dtype"], frame["tolerance"], strict=True)) == list(DEFINITIONS)
    # float32: equal; also the small change and the one from zero; also 0.001, but nothing is small beside zero.
    # bfloat16: 1.001 is 1, 1e-6 is not 0; with the tolerance 1e-6 is.
    assert frame["unchanged"].tolist() == [2, 4, 4, 4, 5]
    assert frame["parameters"].unique() == [6]


def slowly(x: float, y: float, dtype: str, tolerance: str) -> bool:
    if dtype == "bfloat16":
        x, y = (float(torch.tensor(value).bfloat16()) for value in (x, y))
    change = abs(float(torch.tensor(y) - torch.tensor(x)))  # in float32, as the definition says
    if tolerance == "relative":
        return change == 0 or change < abs(x) / 256
    return change <= {"exact": 0.0, "1e-05": float(torch.tensor(1e-5))}[tolerance]


FLOATS = st.floats(-4, 4, width=32, allow_subnormal=False).filter(lambda x: x == 0 or abs(x) > 1e-30)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(FLOATS, st.sampled_from([0.0, 1e-6, 1e-5, 1e-3, 2**-8, 0.3])), min_size=1, max_size=30),
    st.sampled_from(["float32", "bfloat16", "float16", "float64"]),
    st.sampled_from(["float32", "bfloat16", "float16", "float64"]),
)
def test_equals_the_slow_version_in_all_stored_types(pairs, before, after):
    base = torch.tensor([x for x, _ in pairs]).to(getattr(torch, before))
    trained = torch.tensor([x - (x or 1.0) * shift for x, shift in pairs]).to(getattr(torch, after))
    values = list(zip(base.float().tolist(), trained.float().tolist(), strict=True))
    expected = [sum(slowly(x, y, *definition) for x, y in values) for definition in DEFINITIONS]
    assert counts({"w": base}, {"w": trained}) == expected


def test_blocks_do_not_matter(monkeypatch):
    torch.manual_seed(0)
    base = {"w": torch.randn(370, 110), "v": torch.randn(5), "half": torch.randn(500, 100).bfloat16()}
    trained = {name: weight + 1e-3 * torch.randn(weight.shape).to(weight.dtype) for name, weight in base.items()}
    threads = torch.get_num_threads()
    whole = update_sparsity(base, trained)
    assert torch.get_num_threads() == threads
    monkeypatch.setattr("azr.metrics.sparsity._BLOCK", 1000)
    parts = update_sparsity(base, trained)
    assert parts["unchanged"].equals(whole["unchanged"])
    assert parts["norm"].to_numpy() == pytest.approx(whole["norm"].to_numpy())
    exact = [float((trained[name].double() - base[name].double()).norm()) for name in base for _ in DEFINITIONS]
    assert whole["norm"].to_numpy() == pytest.approx(exact, rel=1e-6)


@pytest.mark.parametrize("stored", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", [(100, 40), (700, 300)])
def test_the_null_is_what_a_gaussian_update_of_that_norm_leaves(stored, size):
    torch.manual_seed(0)
    base = 0.02 * torch.randn(size)
    moved = (base + 3e-5 * torch.randn(size) * (torch.rand(size) < 0.3)).to(stored)
    frame = update_sparsity({"w": base.to(stored)}, {"w": moved})
    norm = float((moved.float() - base.to(stored).float()).norm())
    gaussian = torch.randn(size)
    gaussian = (base.to(stored).float() + gaussian * norm / gaussian.norm()).to(stored)
    expected = counts({"w": base.to(stored)}, {"w": gaussian})
    assert frame["null"].tolist() == pytest.approx(expected, abs=0.02 * base.numel())
    assert frame["unchanged"].iloc[3] > frame["null"].iloc[3]  # a sparse update leaves more than chance


def test_tables_weigh_by_parameters():
    sizes = {"embed_tokens.weight": 4, "layers.0.q_proj.weight": 2, "layers.10.q_proj.bias": 1, "lm_head.weight": 4}
    base = {name: torch.ones(n) for name, n in sizes.items()}
    trained = base | {"layers.0.q_proj.weight": torch.tensor([1.0, 2.0]), "lm_head.weight": torch.full((4,), 2.0)}
    frame = update_sparsity(base, trained).query("dtype == 'float32' and tolerance == 'exact'")
    (row,) = sparsity_table(frame).to_dict("records")
    assert (row["sparsity"], row["parameters"]) == pytest.approx((6 / 11, 11))
    assert row["norm"] == pytest.approx(math.sqrt(5))
    layers = sparsity_table(frame, "layer").set_index("layer")["sparsity"]
    assert layers.to_dict() == {"outside": 0.5, "0": 0.5, "10": 1.0}
    modules = sparsity_table(frame, "module").set_index("module")["sparsity"]
    assert modules.to_dict() == pytest.approx({"embed_tokens": 1.0, "q_proj": 2 / 3, "lm_head": 0.0})
    runs = sparsity_table(frame.assign(method="rlvr", seed=3))
    assert runs[["method", "seed"]].values.tolist() == [["rlvr", 3]]


def test_what_cannot_be_compared_is_named():
    base = {"same": torch.ones(3), "gone": torch.ones(2), "shape": torch.ones(4), "ids": torch.arange(5)}
    base |= {"none": torch.ones(0), "nan": torch.tensor([1.0, np.nan])}
    frame = update_sparsity(base, base | {"shape": torch.ones(5), "new": torch.ones(7)} | {"gone": torch.arange(2)})
    assert set(frame["tensor"]) == {"same"}
    assert set(frame.attrs["skipped"]) == {"gone", "shape", "ids", "none", "nan", "new"}
    assert frame.attrs["skipped"]["shape"] == "has another shape, [4] -> [5]"


def test_tied_weights_count_once():
    model = llama(tie_word_embeddings=True)
    frame = update_sparsity(model.state_dict(), llama(tie_word_embeddings=True).state_dict())
    assert sparsity_table(frame)["parameters"].iloc[0] == sum(p.numel() for p in model.parameters())


def test_an_adapter_is_merged_and_said_to_be_one(tmp_path, capsys):
    merged = adapted(tmp_path, lora(target_modules=["q_proj", "up_proj"]))
    base, adapter = tmp_path / "base", tmp_path / "adapter"
    table, text = sparsity_report(base, checkpoint(str(adapter), str(base)), "module")
    keys = ["module", "dtype", "tolerance"]
    direct = sparsity_table(update_sparsity(llama().state_dict(), merged), "module").sort_values(keys)
    ours = table.sort_values(keys)
    assert ours["sparsity"].to_numpy() == pytest.approx(direct["sparsity"].to_numpy(), abs=2e-3)
    assert ours["norm"].to_numpy() == pytest.approx(direct["norm"].to_numpy(), rel=1e-4)
    assert "adapter" in text
    assert main(["sparsity", str(base), str(adapter), "--by", "module"]) == 0
    assert text in capsys.readouterr().out


def test_checkpoints_of_different_models_are_refused(tmp_path):
    save_file({"a": torch.ones(1)}, tmp_path / "a.safetensors")
    with pytest.raises(UserError, match="no comparable tensor in common"):
        update_sparsity(tmp_path / "a.safetensors", {"b": BASE})
