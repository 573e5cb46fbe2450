"""``azr sparsity``: what it prints of two folders, of a run, of an adapter, and of what cannot be compared."""

import json

import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from azr import cli
from azr.metrics import update_sparsity

from .test_checkpoints import adapted, llama

BASE = {"layers.0.q_proj.weight": torch.ones(4, 2), "layers.1.q_proj.weight": torch.ones(4, 2)}


@pytest.fixture
def folders(tmp_path):
    """A base and a trained folder: a change of 0.001, which bfloat16 does not see, and one of 1."""
    moved = torch.tensor([[0.0, 0.001], [0.0, 1.0], [0.0, 0.0], [0.0, 0.0]])
    trained = {"layers.0.q_proj.weight": BASE["layers.0.q_proj.weight"] + moved}
    trained["layers.1.q_proj.weight"] = BASE["layers.1.q_proj.weight"].clone()
    for name, tensors in (("base", BASE), ("trained", trained)):
        (tmp_path / name).mkdir()
        save_file(tensors, tmp_path / name / "model.safetensors")
    return str(tmp_path / "base"), str(tmp_path / "trained")


def lines(capsys) -> list[str]:
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]


def test_without_options_every_definition_stands_beside_its_number(folders, capsys):
    assert cli.main(["sparsity", *folders]) == 0
    printed = lines(capsys)
    assert "compared 16 parameters in 2 tensors, stored float32 -> float32 (2)" in printed
    assert sum("share of" in line for line in printed) == 12
    assert "0.8750 share of elements with w1 = w0 in float32" in printed
    assert "0.9375 share of elements with w1 = w0 in bfloat16" in printed
    assert "0.5000 share of parameters in tensors of which every element has |w1 - w0| <= 1e-05 in bfloat16" in printed


def test_options_choose_one_definition_any_tolerance_and_groups(folders, capsys, tmp_path):
    chosen = ["--dtype", "float32", "--atol", "0.01", "--granularity", "element"]
    table = tmp_path / "table.csv"
    assert cli.main(["sparsity", *folders, *chosen, "--by", "layer", "--csv", str(table)]) == 0
    printed = lines(capsys)
    assert "share of elements with |w1 - w0| <= 0.01 in float32, by layer" in printed
    assert "0.8750 0 8 parameters" in printed
    frame = pd.read_csv(table)
    assert list(frame) == ["dtype", "tolerance", "granularity", "layer", "sparsity", "parameters", "definition"]
    assert frame["sparsity"].tolist() == [0.875, 1.0]
    assert frame["definition"].nunique() == 1


def test_what_cannot_be_compared_is_named_and_counted(folders, capsys, tmp_path):
    changed = BASE | {"layers.1.q_proj.weight": torch.ones(3), "head.weight": torch.ones(7)}
    save_file(changed, tmp_path / "other.safetensors")
    assert cli.main(["sparsity", folders[0], str(tmp_path / "other.safetensors")]) == 0
    printed = lines(capsys)
    assert "not compared, only in the trained: 1 tensor with 7 parameters (head.weight)" in printed
    assert "not compared, of another shape: 1 tensor (layers.1.q_proj.weight [4, 2] -> [3])" in printed


def test_an_adapter_of_a_run_is_merged_and_told_apart_from_full_fine_tuning(capsys, tmp_path):
    adapted(llama(), tmp_path, target_modules=["q_proj", "up_proj"])
    run = tmp_path / "run-seed0"
    run.mkdir()
    (run / "log.jsonl").touch()
    assert cli.main(["sparsity", str(tmp_path / "base"), str(run)]) == 2
    assert "has no final weights yet" in capsys.readouterr().err
    (tmp_path / "adapter").rename(run / "adapter")
    assert cli.main(["sparsity", str(tmp_path / "base"), str(run)]) == 0
    printed = lines(capsys)
    start = next(i for i, line in enumerate(printed) if line.startswith("This is a LoRA adapter"))
    lora = update_sparsity(tmp_path / "base", run / "adapter").lora
    assert printed[start + 1].startswith(f"{lora.untouched_share:.4f} share of parameters untouched by construction")
    assert sum("of the adapted weights alone, once merged" in line for line in printed[start:]) == 6
    assert any(line.startswith(f"{lora.effective_rank:.2f} effective rank") for line in printed[start:])


def test_the_built_in_model_is_known_by_its_name(capsys):
    assert cli.main(["sparsity", "nano", "nano", "--dtype", "bfloat16", "--atol", "0"]) == 0
    assert "1.0000 share of elements with w1 = w0 in bfloat16" in lines(capsys)


@pytest.mark.parametrize(
    ("trained", "options", "said"),
    [
        ("nowhere", [], "There are no weights"),
        ("empty", [], "holds no .safetensors file"),
        ("strange", [], "no comparable tensor in common"),
        ("reshaped", [], "none of the same shape"),
        ("deeper", [], "have tensors of the same names, but none of the same shape: give two models of one size"),
        ("base", ["--atol", "close"], "--atol cannot be 'close'"),
        ("base", ["--dtype", "int8"], "--dtype"),
        ("base", ["--csv", "nowhere/table.csv"], "There is no folder nowhere"),
    ],
)
def test_mistakes_get_one_sentence_and_exit_code_2(folders, tmp_path, capsys, trained, options, said):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "config.json").write_text(json.dumps({}))
    wider = {n: torch.ones(3) for n in BASE}
    deeper = wider | {"layers.2.q_proj.weight": torch.ones(3)}
    for name, tensors in (("strange", {"a": torch.ones(1)}), ("reshaped", wider), ("deeper", deeper)):
        (tmp_path / name).mkdir()
        save_file(tensors, tmp_path / name / "model.safetensors")
    assert cli.main(["sparsity", folders[0], str(tmp_path / trained), *options]) == 2
    printed = capsys.readouterr()
    assert said in printed.err
    assert printed.err.count("\n") == 1
    assert printed.out == ""
