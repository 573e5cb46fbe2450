"""What is measured of the built-in model, and that nothing is measured twice."""

import json
from pathlib import Path

import pytest

import azr
from azr.arms import BASE
from azr.config import Profile, load_profile, override
from azr.errors import UserError
from azr.problems import load_problems
from azr.prompts.compact import CompactStyle
from azr.runs import Run, write_json
from azr.study import measures, subject
from azr.study.measures import RESPONSES, evaluate_sets, fixed_prompts, measure
from azr.study.subject import Subject, subject_of
from azr.tasks import Role

TINY = {
    "problems": 2, "final_samples": 4, "samples": 4, "validation_problems": 1, "validation_samples": 2,
    "entropy_prompts": 1,
}  # fmt: skip


@pytest.fixture
def profile() -> Profile:
    changes = {f"evaluation.{name}": value for name, value in TINY.items()}
    return override(load_profile("smoke"), changes | {"rollout.max_new_tokens": 32})


def test_the_fixed_prompts_are_of_both_roles_and_never_the_same():
    prompts = fixed_prompts(CompactStyle(), 3, references=2)
    assert len({text for _, _, text in prompts}) == len(prompts) == 2 * 3 * 3
    assert {(role, task_type) for role, task_type, _ in prompts} == {(r, t) for r in Role for _, t, _ in prompts}
    assert prompts == fixed_prompts(CompactStyle(), 3, references=2)


def test_the_base_is_measured_once_and_a_killed_measurement_goes_on(profile, tmp_path, monkeypatch):
    folder = tmp_path / "base-seed1"
    run, subject = Run(folder), Subject(Run(folder), profile, BASE, 1)
    counted, count = [], measures.count

    def counting(subject, name, *arguments):
        counted.append(name)
        return count(subject, name, *arguments)

    def killed(subject, step):
        raise KeyboardInterrupt

    monkeypatch.setattr(measures, "count", counting)
    with monkeypatch.context() as patch:
        patch.setitem(measures.MEASURES, "entropy", killed)
        with pytest.raises(KeyboardInterrupt):
            measure(subject)
    assert counted == ["world/test", "world/arithmetic", "world/validation"]
    measure(subject)
    assert len(counted) == 3
    assert all(subject.is_measured(name) for name in ("test", "validation", "entropy"))
    test = run.measure("test")
    assert set(test["group"]) == {"deduction", "abduction", "induction", "arithmetic"}
    assert (test["n"] == 4).all()
    assert (test["sampling_seed"] == 1).all()
    entropy = run.measure("entropy")
    assert len(entropy) == 6
    assert (entropy["tokens"] >= RESPONSES).all()
    assert (entropy["entropy"] >= 0).all()
    assert entropy.loc[entropy["role"] == "proposer", "answer_entropy"].isna().all()
    assert not list((folder / "measures").glob("*.jsonl"))
    assert not Subject(run, profile, BASE, 2).is_measured("test")
    assert not Subject(run, override(profile, {"evaluation.problems": 3}), BASE, 1).is_measured("test")


def test_any_problem_set_is_counted_and_written(profile, tmp_path, capsys):
    out = tmp_path / "table.csv"
    subject = Subject(Run(tmp_path / "base-seed0"), profile, BASE)
    frame = evaluate_sets(subject, ["world/arithmetic"], out=out)
    assert frame["set"].tolist() == ["world/arithmetic"] * 2
    assert "world/arithmetic, arithmetic: 0." in capsys.readouterr().out
    assert len(out.read_text().splitlines()) == 3


def test_several_sets_are_evaluated_with_settings_of_ones_own(tmp_path, monkeypatch):
    monkeypatch.setattr(subject, "RUNS", tmp_path)
    sets = ["world/arithmetic", "sums/test"]
    frame = azr.evaluate("nano", sets, 2, 1, settings={"evaluation.max_new_tokens": 1})
    assert frame["set"].tolist() == sets
    assert (frame["length"] == 1).all()


def test_a_corrected_answer_is_measured_anew_finished_or_not(profile, tmp_path, monkeypatch):
    own, subject = tmp_path / "mine.jsonl", Subject(Run(tmp_path / "base-seed0"), profile, BASE)
    tasks = [problem.task.to_json() for problem in load_problems("world/test", 4).problems[:4]]

    def right(**changes: object) -> int:
        own.write_text("".join(json.dumps(task | changes) + "\n" for task in tasks))
        return int(evaluate_sets(subject, [str(own)])["c"].sum())

    assert right(outputs=["'none'"]) == 0
    assert not list(tmp_path.rglob("*mine*step*.jsonl"))
    with monkeypatch.context() as patch:
        patch.setattr(measures.pd, "concat", interrupted)  # once all is counted
        with pytest.raises(KeyboardInterrupt):
            right(outputs=["'none'"])
    assert list(tmp_path.rglob("*mine*step*.jsonl"))
    assert right() > 0


def interrupted(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_steps_are_those_whose_weights_were_kept_and_more_samples_go_to_the_arms_that_are_drawn(profile, tmp_path):
    for step in (0, 2, 4):
        (tmp_path / "adapters" / f"step-{step}").mkdir(parents=True)
    subject = Subject(Run(Path(tmp_path)), profile, "selfplay")
    assert subject.steps("test") == [2, 4]
    assert subject.steps("validation") == [4]
    more = override(profile, {"evaluation.final_samples": 99})
    sampled = {arm: Subject(Run(tmp_path), more, arm).samples(4) for arm in ("selfplay", "frozen")}
    assert sampled == {"selfplay": 99, "frozen": 4}
    assert Subject(Run(tmp_path), more, "selfplay").samples(2) == 4


def test_a_target_is_a_finished_run_with_its_own_settings_or_a_model_with_those_of_a_profile(profile, tmp_path):
    few = {"evaluation.samples": 2}
    assert subject_of("nano", None, few, 3).run.folder.parts[-3:] == ("laptop", "nano", "base-seed3")
    assert subject_of("someone/model", None, few).profile.name == "gpu"
    settings = override(profile, {"train.steps": 2}).model_dump(mode="json")
    write_json(tmp_path / "run.json", {"arm": "half", "seed": 4, "settings": settings})
    with pytest.raises(UserError):
        subject_of(tmp_path, None, few)
    write_json(tmp_path / "done.json", {})
    (tmp_path / "adapter").mkdir()
    found = subject_of(tmp_path, None, few)
    assert (found.arm, found.seed, found.last, found.profile.evaluation.samples) == ("half", 4, 2, 2)
    with pytest.raises(UserError):
        subject_of(tmp_path, "laptop", few)
