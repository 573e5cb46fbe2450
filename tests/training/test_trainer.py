"""The trainer's update: REINFORCE with TRR++ advantages, each group of the same weight, and nothing else."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable
from typing import ClassVar

import numpy as np
import pytest
import torch
import transformers

from azr.sampling import Completion, encode_prompt
from azr.selfplay import GROUPS, Row, StepResult
from azr.tasks import Role, TaskType
from azr.training.trainer import SelfPlayTrainer, grpo_config, sampling_policy

from .tiny import TOKENIZER, assert_drawn_from, probabilities_after, tiny_model, tiny_profile


def random_rows(per_group: int = 2, seed: int = 0) -> list[Row]:
    """Rows of every group in order, with prompts, responses and rewards of all sizes."""
    rng = np.random.default_rng(seed)

    def ids(low: int, high: int) -> list[int]:
        return rng.integers(4, len(TOKENIZER), size=rng.integers(low, high)).tolist()

    return [
        Row(task_type, role, Completion(ids(1, 20), ids(1, 12), ""), float(rng.choice([-1, -0.5, 0.25, 1])))
        for task_type, role in GROUPS
        for _ in range(per_group)
    ]


class Fixed:
    """A source that gives the same rows at every step."""

    def __init__(self, rows: list[Row]) -> None:
        self.rows = rows

    @property
    def rows_per_step(self) -> int:
        return len(self.rows)

    def step(self, step, generate, generate_from_base) -> StepResult:
        return StepResult(self.rows, metrics={"tokens": {}, "seconds": {}})


def trained(source, folder, trainer_class=SelfPlayTrainer, changes=None, **profile_changes):
    """The trainer after its steps of plain gradient descent, so that weights move by minus rate times gradient."""
    profile = tiny_profile(
        "none", **({"train__steps": 1, "train__learning_rate": 0.5, "train__full_learning_rate": 0.5} | profile_changes)
    )
    transformers.set_seed(0)
    plain = {"optim": "sgd", "max_grad_norm": 1e9} if changes is None else changes
    args = grpo_config(profile, source.rows_per_step, 0, folder, **({"save_strategy": "no"} | plain))
    trainer = trainer_class(tiny_model(), TOKENIZER, source, profile, args, folder / "log.jsonl")
    trainer.train()
    return trainer


def weights(trainer) -> dict[str, torch.Tensor]:
    return {name: p.detach() for name, p in trainer.model.named_parameters() if p.requires_grad}


def log_probs(model, row: Row) -> torch.Tensor:
    """Of each response token, without any padding; shape (tokens,)."""
    prompt, response = row.completion.prompt_ids, row.completion.ids
    logits = model(torch.tensor([prompt + response])).logits[0, len(prompt) - 1 : -1]
    return torch.log_softmax(logits, -1)[torch.arange(len(response)), response]


def reinforce_loss(model, rows: list[Row], groups: Iterable[int] = range(6)) -> torch.Tensor:
    """Mean over groups of the token mean of -A log p, the advantages whitened over the tokens of the group."""
    losses = []
    for group in groups:
        own = [row for row in rows if row.group == group]
        rewards = torch.tensor([row.reward for row in own for _ in row.completion.ids])
        logps = torch.cat([log_probs(model, row) for row in own])
        advantages = (rewards - rewards.mean()) / (rewards.var() + 1e-8).sqrt()
        losses.append((-advantages * logps).mean())
    return torch.stack(losses).mean()


def assert_moved_down(trainer, loss_of) -> None:
    model = tiny_model().train()
    loss_of(model).backward()
    largest = 0.0
    for name, parameter in model.named_parameters():
        moved = trainer.model.state_dict()[name] - parameter.detach()
        torch.testing.assert_close(moved, -0.5 * parameter.grad, atol=2e-6, rtol=1e-4)
        largest = max(largest, moved.abs().max().item())
    assert largest > 0.01


@pytest.mark.parametrize("micro_batch", [2, 4, 12])
def test_one_step_follows_the_gradient_of_reinforce(tmp_path, micro_batch):
    rows = random_rows()
    trainer = trained(Fixed(rows), tmp_path, model__full=True, train__micro_batch=micro_batch)
    assert_moved_down(trainer, lambda model: reinforce_loss(model, rows))


def test_a_frozen_proposer_leaves_the_mean_over_the_solvers_groups(tmp_path):
    rows = random_rows()
    trainer = trained(Fixed(rows), tmp_path, model__full=True, train__proposer="frozen")
    solvers = [index for index, (_, role) in enumerate(GROUPS) if role is Role.SOLVER]
    assert_moved_down(trainer, lambda model: reinforce_loss(model, rows, solvers))


def test_rewards_of_a_frozen_proposer_change_nothing(tmp_path):
    rows = random_rows()
    others = [Row(r.task_type, r.role, r.completion, -r.reward if r.role is Role.PROPOSER else r.reward) for r in rows]
    ends = []
    for number, (source_rows, proposer) in enumerate([(rows, "frozen"), (others, "frozen"), (others, "trained")]):
        (tmp_path / str(number)).mkdir()
        trainer = trained(Fixed(source_rows), tmp_path / str(number), train__proposer=proposer, train__steps=2)
        ends.append(weights(trainer))
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])
    assert any(not torch.equal(ends[0][name], ends[2][name]) for name in ends[0])


def test_the_size_of_micro_batches_does_not_matter_to_an_adapter(tmp_path):
    ends = []
    for size in (2, 12):
        (tmp_path / str(size)).mkdir()
        trainer = trained(Fixed(random_rows()), tmp_path / str(size), train__micro_batch=size, train__steps=3)
        ends.append(weights(trainer))
    assert ends[0].keys() == ends[1].keys()
    assert all("lora_" in name for name in ends[0])
    for name, weight in ends[0].items():
        torch.testing.assert_close(weight, ends[1][name], atol=1e-5, rtol=0)
    assert max(weight.abs().max() for name, weight in ends[0].items() if "lora_B" in name) > 1e-3


def test_micro_batches_hold_one_group_and_no_column_of_padding(tmp_path):
    class Spy(SelfPlayTrainer):
        seen: ClassVar[list] = []

        def _compute_loss(self, model, inputs):
            self.seen.append(inputs)
            return super()._compute_loss(model, inputs)

    rows = random_rows()
    trainer = trained(Fixed(rows), tmp_path, Spy, train__micro_batch=2)
    assert [inputs["group"].unique().tolist() for inputs in trainer.seen] == [[group] for group in range(6)]
    for inputs, start in zip(trainer.seen, range(0, 12, 2), strict=True):
        for kind, of_row in (("prompt", "prompt_ids"), ("completion", "ids")):
            mask = inputs[f"{kind}_mask"].bool()
            assert mask.any(0).all()
            found = [ids[m].tolist() for ids, m in zip(inputs[f"{kind}_ids"], mask, strict=True)]
            assert found == [getattr(row.completion, of_row) for row in rows[start : start + 2]]


def test_equal_rewards_move_nothing(tmp_path):
    rows = [Row(r.task_type, r.role, r.completion, -1.0) for r in random_rows()]
    trainer = trained(Fixed(rows), tmp_path, model__full=True, train__steps=2)
    for name, parameter in tiny_model().named_parameters():
        assert torch.equal(trainer.model.state_dict()[name], parameter), name
    (first, _) = map(json.loads, (tmp_path / "log.jsonl").read_text().splitlines())
    assert {group["zero_advantage"] for group in first["groups"].values()} == {1.0}


def test_the_log_has_both_entropies_of_each_group_before_the_update(tmp_path):
    rows = random_rows()
    trained(Fixed(rows), tmp_path)
    record = json.loads((tmp_path / "log.jsonl").read_text())
    assert record["step"] == 1
    model = tiny_model()
    for index, (task_type, role) in enumerate(GROUPS):
        own = [row for row in rows if row.group == index]
        logged = record["groups"][f"{task_type}/{role}"]
        with torch.no_grad():
            nll = -torch.cat([log_probs(model, row) for row in own]).mean().item()
            entropies = []
            for row in own:
                ids = torch.tensor([row.completion.prompt_ids + row.completion.ids])
                logits = model(ids).logits[0, len(row.completion.prompt_ids) - 1 : -1]
                entropies.append(torch.distributions.Categorical(logits=logits).entropy())
        assert logged["entropy_nll"] == pytest.approx(nll, rel=1e-4)
        assert logged["entropy_full"] == pytest.approx(torch.cat(entropies).mean().item(), rel=1e-4)
        assert logged["reward"] == pytest.approx(np.mean([row.reward for row in own]))
        assert logged["tokens"] == sum(len(row.completion.ids) for row in own)
        assert logged["length"] == pytest.approx(logged["tokens"] / len(own))
    assert record["tokens"]["trained"] == sum(len(row.completion.ids) for row in rows)
    assert record["gradient_norm"] > 0


class Digits:
    """Asks for digits: a completion's reward is the share of its tokens that are one."""

    rows_per_step = 16
    digits = frozenset(TOKENIZER.convert_tokens_to_ids(list("0123456789")))

    def __init__(self) -> None:
        self.means: list[float] = []

    def step(self, step, generate, generate_from_base) -> StepResult:
        completions = generate(["input 1\n"] * self.rows_per_step)
        rewards = [sum(token in self.digits for token in c.ids) / len(c.ids) for c in completions]
        self.means.append(float(np.mean(rewards)))
        rows = [
            Row(TaskType.DEDUCTION, Role.SOLVER, completion, reward)
            for completion, reward in zip(completions, rewards, strict=True)
        ]
        return StepResult(rows, metrics={"tokens": {}, "seconds": {}})


def test_it_learns_what_is_rewarded(tmp_path):
    source = Digits()
    trained(source, tmp_path, changes={}, train__steps=15, train__learning_rate=0.03, rollout__max_new_tokens=8)
    assert len(source.means) == 15
    assert np.mean(source.means[-3:]) > np.mean(source.means[:3]) + 0.3


@pytest.fixture
def adapted(tmp_path):
    """A trainer whose adapter changes the model."""
    profile = tiny_profile("none", train__steps=1, rollout__chunk=5000, rollout__max_new_tokens=1)
    args = grpo_config(profile, 12, 0, tmp_path, save_strategy="no")
    trainer = SelfPlayTrainer(tiny_model(), TOKENIZER, Fixed(random_rows()), profile, args, tmp_path / "log.jsonl")
    torch.manual_seed(1)
    with torch.no_grad():
        for name, weight in trainer.model.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.2)
    return trainer


def test_a_merged_adapter_says_the_same_and_leaves_no_trace(adapted):
    model, ids = adapted.model.eval(), torch.tensor([[1, 8, 20, 33]])
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    apart = model(ids).logits
    with contextlib.suppress(KeyboardInterrupt), sampling_policy(adapted):
        together = model(ids).logits
        assert any(not torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
        raise KeyboardInterrupt
    torch.testing.assert_close(together, apart, atol=1e-4, rtol=1e-4)
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
    assert torch.equal(model(ids).logits, apart)


def test_rollouts_are_drawn_from_the_policy_with_its_adapter(adapted):
    prompts = ["find an input\n"] * 3000 + ["a longer prompt, beside which the others are padded\n"]
    with sampling_policy(adapted):
        completions = adapted.generate(prompts)
    counts = np.bincount([c.ids[0] for c in completions[:3000]], minlength=len(TOKENIZER))
    expected = probabilities_after(adapted.model.eval(), completions[0].prompt_ids)
    assert_drawn_from(counts, expected)
    assert np.abs(expected - probabilities_after(tiny_model(), completions[0].prompt_ids)).sum() > 0.2


class Both:
    """Samples the first token of one prompt often, from the policy and from the base."""

    rows_per_step = 12

    def __init__(self) -> None:
        self.first: list[dict[str, np.ndarray]] = []

    def step(self, step, generate, generate_from_base) -> StepResult:
        drawn = {}
        for name, sampler in (("policy", generate), ("base", generate_from_base)):
            tokens = [completion.ids[0] for completion in sampler(["x"] * 3000)]
            drawn[name] = np.bincount(tokens, minlength=len(TOKENIZER))
        self.first.append(drawn)
        return StepResult(random_rows(), metrics={"tokens": {}, "seconds": {}})


def test_the_base_is_sampled_with_the_adapter_off_and_the_policy_with_it_on(tmp_path):
    source = Both()
    changes = {"train__steps": 3, "rollout__max_new_tokens": 1, "rollout__chunk": 3000, "train__learning_rate": 0.3}
    trainer = trained(source, tmp_path, changes={}, **changes)
    before = probabilities_after(tiny_model(), encode_prompt(TOKENIZER, "x"))
    assert_drawn_from(source.first[-1]["base"], before)
    policy = source.first[-1]["policy"] / 3000
    assert np.abs(policy - before).sum() / 2 > 0.2
    unchanged = dict(tiny_model().named_parameters())
    for name, weight in trainer.model.named_parameters():
        if "lora_" not in name:
            plain = name.replace("base_model.model.", "").replace(".base_layer", "")
            assert torch.equal(weight, unchanged[plain]), name
