"""Each figure is drawn from its table, over the reference study, and of a study that is small or lacks arms."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from azr.errors import UserError
from azr.figures import catalogue, style
from tests.tables.synthetic import synthetic_claims, synthetic_study


@pytest.fixture(scope="module")
def frames() -> dict[str, pd.DataFrame]:
    return synthetic_study(seeds=2, problems=8, samples=8) | {"claims": synthetic_claims()}


@pytest.fixture(scope="module")
def small(frames) -> dict[str, pd.DataFrame]:
    """One model, one seed, two arms."""
    kept = "model == 'nano' and method in ('base', 'sft', 'selfplay', 'selfplay-full')"
    one_seed = "(seed == 0 or (method == 'base' and seed == 1))"
    return {name: frame.query(f"{kept} and {one_seed}") for name, frame in frames.items() if name != "claims"}


def smallest_text(figure: plt.Figure) -> float:
    texts = [text for text in figure.findobj(plt.Text) if text.get_text().strip() and text.get_visible()]
    return min(text.get_fontsize() for text in texts)


@pytest.mark.parametrize(
    "name", sorted(catalogue.FIGURES.keys() - {"fig02_rlvr"})
)  # which is fig01_sft with other arms
def test_every_figure_fits_a_page_and_can_be_read(name, frames):
    figure, frame = catalogue.draw(name, frames)
    assert not frame.empty
    assert figure.get_figwidth() <= 7
    assert figure.get_figheight() <= 9
    assert smallest_text(figure) >= 7
    assert min(plt.rcParams["xtick.labelsize"], plt.rcParams["ytick.labelsize"]) >= 7
    for ax in figure.axes:
        assert ax.has_data() or not ax.axison, "no empty panels"
    plt.close(figure)


@pytest.mark.parametrize("name", ["fig01_sft", "fig03_selfplay", "fig05_curriculum", "fig07_sparsity", "fig08_arms"])
def test_a_small_study_is_drawn_over_the_reference(name, small, frames):
    figure, _ = catalogue.draw(name, small, frames)
    assert "micro" not in {ax.get_title() for ax in figure.axes}, "only the reader's own models"
    plt.close(figure)


@pytest.mark.parametrize("name", ["fig00_base", "fig01_sft", "fig02_rlvr", "fig04_passk"])
def test_a_problem_set_without_the_worlds_groups_is_drawn(name, frames):
    test = frames["test"].query("group == 'arithmetic'").assign(group="math500")
    figure, frame = catalogue.draw(name, {"test": test})
    assert set(frame["group"]) <= {"all", "math500"}
    assert sum("all" in text.get_text() for text in figure.findobj(plt.Text)) == 0, "the one set is not drawn twice"
    assert all(ax.has_data() for ax in figure.axes)
    plt.close(figure)


@pytest.mark.parametrize("name", ["fig02_rlvr", "fig04_leash", "fig06_entropy"])
def test_a_model_with_some_of_the_arms_stands_beside_one_with_all(name, frames):
    keep = "model == 'nano' or method in ('base', 'selfplay', 'selfplay-full')"
    some = {key: frame.query(keep) for key, frame in frames.items() if key != "claims"}
    figure, frame = catalogue.draw(name, some)
    assert all(ax.has_data() or not ax.axison for ax in figure.axes)
    shows_selfplay = "selfplay" in catalogue.FIGURES[name].methods
    assert ("micro" in set(frame["model"])) == shows_selfplay, "no row of the base alone"
    plt.close(figure)


def test_a_study_too_small_for_a_figure_says_so(small):
    with pytest.raises(UserError, match="too few arms or seeds for fig04_leash"):
        catalogue.draw("fig04_leash", small)


def test_a_reference_without_a_figures_frames_is_left_out(frames):
    figure, _ = catalogue.draw("fig01_sft", frames, {"log": frames["log"]})
    assert "reference study" not in {text.get_text() for text in figure.findobj(plt.Text)}
    plt.close(figure)


def test_an_arm_of_ones_own_is_shown_beside_the_figures_arms(frames):
    own = frames["test"][frames["test"]["method"] == "selfplay"].assign(method="mine")
    table = catalogue.table("fig01_sft", {"test": pd.concat([frames["test"], own])})
    assert set(table["method"]) == {"base", "sft", "mine"}


def test_a_colour_means_one_arm_in_every_figure(frames):
    figure, _ = catalogue.draw("fig08_arms", frames)
    colours = {to_hex(line.get_color()).upper() for ax in figure.axes for line in ax.get_lines()}
    assert colours <= {style.PALETTE[m].upper() for m in ("base", "selfplay", "frozen", "base-proposer", "half")} | {
        style.GREY
    }
    plt.close(figure)
    assert len({colour.upper() for colour in style.PALETTE.values()}) == len(style.PALETTE)


def test_a_claim_is_drawn_with_its_own_sign_and_the_bases_number_beside_it():
    claims = synthetic_claims(("nano",))
    figure, _ = catalogue.draw("fig09_claims", {"claims": claims})
    entropy = next(ax for ax in figure.axes if ax.get_xlabel() == "nats a token")
    points = {float(x) for line in entropy.get_lines() for x in np.atleast_1d(line.get_xdata())}
    assert {-0.11, 0.001} <= points, "a fall of entropy stands left of 0"
    plt.close(figure)


def test_a_claim_without_a_side_has_no_shade_and_a_base_far_away_is_a_number():
    claims = synthetic_claims(("nano",)).query("id == 'E2'").assign(base=9.0)
    figure, _ = catalogue.draw("fig09_claims", {"claims": claims})
    ax = figure.axes[0]
    assert len(ax.patches) == 1
    assert ax.get_xlim()[1] < 9
    assert any("9.00" in text.get_text() for text in ax.texts)
    plt.close(figure)
    figure, _ = catalogue.draw("fig09_claims", {"claims": claims.assign(side_low=-np.inf)})
    assert not figure.axes[0].patches
    plt.close(figure)
