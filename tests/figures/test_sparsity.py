"""Update sparsity: the order of the methods (claim C12), and what the figures hold."""

import itertools

import pandas as pd
import pytest
import torch

from azr.figures.lora import plot_lora
from azr.figures.sparsity import CLAIM, plot_sparsity, sparsity_order
from azr.metrics.changes import change_histogram
from azr.metrics.sparsity import sparsity_matrix
from azr.updates import sparsity_steps


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


def every_view(seeds: int = 3, logged: bool = True) -> pd.DataFrame:
    """Rows of ``azr.updates.update_frame`` for three methods, by the real comparison of a small made-up model."""
    torch.manual_seed(0)
    names = ["model.embed_tokens", *(f"model.layers.{i}.{m}" for i in range(2) for m in ("q_proj", "up_proj"))]
    base = {f"{name}.weight": 0.02 * torch.randn(20, 20) for name in names}
    parts = []
    for size, method in ((1e-4, "sft"), (2e-5, "rlvr"), (5e-5, "selfplay")):
        for seed in range(seeds):
            trained = {name: w + (size * torch.randn(w.shape) if "q_proj" in name else 0) for name, w in base.items()}
            record = {"step": 6, "sparsity": {"bfloat16/1e-05": size * 1e3, "float32/1e-05": 0.0}}
            views = {"whole": sparsity_matrix(base, trained).assign(stored="float32 -> float32")}
            for by in ("layer", "module"):
                views[by] = sparsity_matrix(base, trained, by).rename(columns={by: "group"})
            views |= {"step": sparsity_steps([record] if logged else []), "change": change_histogram(base, trained)}
            about = {"training": "full", "method": method, "seed": seed}
            parts += [rows.assign(view=view, **about) for view, rows in views.items() if len(rows)]
    return pd.concat(parts, ignore_index=True)


def panel(fig, title: str):
    return next(ax for ax in fig.axes if ax.get_title(loc="left").startswith(title))


def test_each_panel_is_drawn_and_names_the_definition_of_its_numbers():
    fig = plot_sparsity(every_view(), note="tiny")
    for title in ("by definition", "over training", "relative size of changes", "by layer", "by module type"):
        ax = panel(fig, title)
        assert ax.lines
        assert ax.get_xlabel()
    assert [label.get_text() for label in panel(fig, "by definition").get_yticklabels()][3] == "bf16, w₁ = w₀"
    assert panel(fig, "by layer").get_ylabel() == "S: bf16, |Δw| ≤ 1e-5"
    assert panel(fig, "by module type").get_xlabel() == "S: bf16, |Δw| ≤ 1e-5"
    assert [label.get_text() for label in panel(fig, "by layer").get_xticklabels()] == ["0", "1", "rest"]
    assert "stored types, base and trained: float32 -> float32" in fig.get_supxlabel().replace("\n", " ")


def test_the_panel_of_definitions_has_the_mean_over_seeds():
    frame = every_view()
    ax = panel(plot_sparsity(frame), "by definition")
    shown = {round(float(line.get_xdata()[0]), 9) for line in ax.lines if len(line.get_xdata()) == 1}
    means = frame[frame["view"] == "whole"].groupby(["method", "dtype", "tolerance", "granularity"])["sparsity"].mean()
    assert set(means.round(9)) <= shown


def test_a_single_run_and_a_run_without_logged_sparsity_can_be_drawn():
    fig = plot_sparsity(every_view(seeds=1, logged=False))
    assert [text.get_text() for text in panel(fig, "over training").texts] == ["not logged"]
    assert "Single run" in fig.get_supxlabel()


def test_the_order_is_taken_from_the_whole_models_of_the_figures_frame():
    frame = every_view()
    whole_only = frame[frame["view"] == "whole"].drop(columns="view")
    assert sparsity_order(frame).equals(sparsity_order(whole_only))


def test_lora_has_a_figure_of_its_own_with_its_rank():
    rows = []
    for method, seed in itertools.product(("sft", "selfplay"), range(2)):
        about = {"training": "lora", "method": method, "seed": seed}
        for dtype in ("float32", "bfloat16"):
            shares = {"dtype": dtype, "tolerance": "exact", "sparsity": 0.3, "adapted": 0.2, "untouched": 0.125}
            rows.append(about | {"view": "whole"} | shares)
        for module in ("q_proj", "up_proj"):
            update = {"module": module, "rank": 4.0, "effective_rank": 2.0 + seed, "relative_norm": 0.01}
            rows.append(about | {"view": "weight"} | update)
    fig = plot_lora(pd.DataFrame(rows))
    shares = panel(fig, "unchanged")
    assert shares.get_yticklabels()[0].get_text() == "untouched by\nconstruction"
    assert 0.125 in {float(line.get_xdata()[0]) for line in shares.lines}
    assert 2.5 in {float(line.get_xdata()[0]) for line in panel(fig, "effective rank").lines}
    assert "not comparable with full fine-tuning" in fig.get_supxlabel().replace("\n", " ")
