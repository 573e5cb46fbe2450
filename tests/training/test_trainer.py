"""The trainer's update: REINFORCE with TRR++ advantages, each group of the same weight, and nothing else."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

import numpy as np
import pytest
import torch
import transformers

from azr.models.sampling import Completion
from azr.runs import Run, read_lines
from azr.selfplay import TYPES, Row, StepResult
from azr.tasks import Role
from azr.training.policy import Policy, merged_adapter
from azr.training.record import RecordCallback
from azr.training.trainer import SelfPlayTrainer, policy_loss

from .tiny import TOKENIZER, tiny_model, tiny_profile

GROUPS = [f"{task_type}/{role}" for task_type in TYPES for role in Role]


def random_rows(per_group: int = 2, seed: int = 0, frozen: str = "-") -> list[Row]:
    """Rows of every group in order, with prompts, responses and rewards of all sizes."""
    rng = np.random.default_rng(seed)

    def ids(low: int, high: int) -> list[int]:
        return rng.integers(4, len(TOKENIZER), size=rng.integers(low, high)).tolist()

    return [
        Row(
            group,
            Completion(ids(1, 20), ids(1, 12), "", True),
            float(rng.choice([-1, -0.5, 0.25, 1])),
            frozen not in group,
        )
        for group in GROUPS
        for _ in range(per_group)
    ]


class Fixed:
    """A source that gives the same rows at every step."""

    def __init__(self, rows: list[Row]) -> None:
        self.rows = rows

    def step(self, step, generate, generate_from_base) -> StepResult:
        return StepResult(self.rows, metrics={"tokens": {}, "seconds": {}})


def trained(source, folder, changes=None, **profile_changes):
    """The trainer after its steps of plain gradient descent, so that weights move by minus rate times gradient."""
    settings = {"train__steps": 1, "train__learning_rate": 0.5, "train__full_learning_rate": 0.5}
    settings |= {"train__max_grad_norm": 1e9} if changes is None else {}
    profile = tiny_profile(**(settings | profile_changes))
    transformers.set_seed(0)
    trainer = SelfPlayTrainer(tiny_model(), TOKENIZER, source, profile, 0, folder)
    trainer.args.set_save(strategy="no")
    if changes is None:
        trainer.args.set_optimizer("sgd", learning_rate=0.5)
    folder.mkdir(parents=True, exist_ok=True)
    trainer.add_callback(RecordCallback(Run(folder), trainer.compose, (), watch=None))
    trainer.train()
    return trainer


def weights(trainer) -> dict[str, torch.Tensor]:
    return {name: p.detach() for name, p in trainer.model.named_parameters() if p.requires_grad}


def logits_of(model, row: Row) -> torch.Tensor:
    """Of each response token, without any padding; shape (tokens, vocabulary)."""
    prompt, response = row.completion.prompt_ids, row.completion.ids
    return model(torch.tensor([prompt + response])).logits[0, len(prompt) - 1 : -1]


def log_probs(model, row: Row) -> torch.Tensor:
    """Of each response token; shape (tokens,)."""
    response = row.completion.ids
    return torch.log_softmax(logits_of(model, row), -1)[torch.arange(len(response)), response]


def reinforce_loss(model, rows: list[Row], groups: Iterable[str] = GROUPS) -> torch.Tensor:
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
    loss = loss_of(model)
    loss.backward()
    assert trainer.record["loss"] == pytest.approx(loss.item(), abs=1e-5)
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
    rows = random_rows(frozen="proposer")
    trainer = trained(Fixed(rows), tmp_path, model__full=True)
    solvers = [group for group in GROUPS if group.endswith("solver")]
    assert_moved_down(trainer, lambda model: reinforce_loss(model, rows, solvers))
    groups = trainer.record["groups"]
    assert {name for name, group in groups.items() if "entropy_full" in group} == set(solvers)
    assert all("reward" in group for group in groups.values())


def test_the_loss_is_the_formula_of_the_module():
    log_p = torch.tensor([-1.0, -2.0, -3.0])
    loss = policy_loss(log_p, torch.tensor([0, 0, 1]), torch.tensor([2.0, -1.0]), torch.tensor([0.5, 0.25]))
    assert loss.item() == pytest.approx(-(0.5 * 2 * (-1 - 2) + 0.25 * -1 * -3))


def test_the_size_of_micro_batches_does_not_matter_to_an_adapter(tmp_path):
    ends = [
        weights(trained(Fixed(random_rows()), tmp_path / str(size), train__micro_batch=size, train__steps=3))
        for size in (2, 12)
    ]
    assert ends[0].keys() == ends[1].keys()
    assert all("lora_" in name for name in ends[0])
    for name, weight in ends[0].items():
        torch.testing.assert_close(weight, ends[1][name], atol=1e-5, rtol=0)
    assert max(weight.abs().max() for name, weight in ends[0].items() if "lora_B" in name) > 1e-3


def test_equal_rewards_move_nothing_and_are_logged(tmp_path):
    rows = [Row(row.group, row.completion, -1.0) for row in random_rows()]
    trainer = trained(Fixed(rows), tmp_path, model__full=True, train__steps=2)
    for name, parameter in tiny_model().named_parameters():
        assert torch.equal(trainer.model.state_dict()[name], parameter), name
    first, _ = read_lines(tmp_path / "log.jsonl")
    assert {group["zero_advantage"] for group in first["groups"].values()} == {1.0}
    assert all(group["entropy_full"] > 0 for group in first["groups"].values())


def test_the_log_has_both_entropies_of_each_group_before_the_update(tmp_path):
    rows = random_rows()
    trained(Fixed(rows), tmp_path)
    (record,) = read_lines(tmp_path / "log.jsonl")
    model = tiny_model()
    for group in GROUPS:
        own, logged = [row for row in rows if row.group == group], record["groups"][group]
        with torch.no_grad():
            nll = -torch.cat([log_probs(model, row) for row in own]).mean().item()
            logits = torch.cat([logits_of(model, row) for row in own])
            entropy = torch.distributions.Categorical(logits=logits).entropy().mean().item()
        assert logged["entropy_nll"] == pytest.approx(nll, rel=1e-4)
        assert logged["entropy_full"] == pytest.approx(entropy, rel=1e-4)
        assert logged["reward"] == pytest.approx(np.mean([row.reward for row in own]))
        assert logged["tokens"] == sum(len(row.completion.ids) for row in own)
        assert logged["length"] == pytest.approx(logged["tokens"] / len(own))
    assert record["step"] == 1
    assert record["tokens"]["trained"] == sum(len(row.completion.ids) for row in rows)
    assert record["gradient_norm"] > 0
    assert record["learning_rate"] == 0.5


class Digits:
    """Asks for digits: a completion's reward is the share of its tokens that are one."""

    digits = frozenset(TOKENIZER.convert_tokens_to_ids(list("0123456789")))

    def __init__(self) -> None:
        self.means: list[float] = []

    def step(self, step, generate, generate_from_base) -> StepResult:
        completions = generate(["input 1\n"] * 16, (step, 0))
        rewards = [sum(token in self.digits for token in c.ids) / len(c.ids) for c in completions]
        self.means.append(float(np.mean(rewards)))
        rows = [Row("deduction/solver", c, reward) for c, reward in zip(completions, rewards, strict=True)]
        return StepResult(rows, metrics={"tokens": {}, "seconds": {}})


def test_it_learns_what_is_rewarded(tmp_path):
    source = Digits()
    trained(source, tmp_path, changes={}, train__steps=15, train__learning_rate=0.03, rollout__max_new_tokens=8)
    assert len(source.means) == 15
    assert np.mean(source.means[-3:]) > np.mean(source.means[:3]) + 0.3


@pytest.fixture
def adapted(tmp_path):
    """A trainer whose adapter changes the model."""
    trainer = SelfPlayTrainer(tiny_model(), TOKENIZER, Fixed(random_rows()), tiny_profile(), 0, tmp_path)
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
    with contextlib.suppress(KeyboardInterrupt), merged_adapter(model):
        torch.testing.assert_close(model(ids).logits, apart, atol=1e-4, rtol=1e-4)
        assert any(not torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
        raise KeyboardInterrupt
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())


def test_in_bfloat16_sampling_sees_of_an_adapter_what_the_update_sees(tmp_path):
    """Changes of less than half a step of a weight count, which merging would drop."""
    profile, ids = tiny_profile(model__dtype="bfloat16"), torch.arange(4, 124).view(2, 60)
    model = SelfPlayTrainer(tiny_model().bfloat16(), TOKENIZER, Fixed([]), profile, 0, tmp_path).model.eval()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.fill_(2e-4)
        updated = model(ids).logits
        with merged_adapter(model):
            assert torch.equal(model(ids).logits, updated)
        with model.disable_adapter():
            assert not torch.equal(model(ids).logits, updated)
        model.merge_adapter()
        assert not torch.equal(model(ids).logits, updated)


def test_the_policy_samples_with_its_adapter_and_the_base_without(adapted, tmp_path):
    prompts = ["find an input\n"] * 8
    policy, base = adapted.policy(prompts, (1, 0)), adapted.policy.of_base(prompts, (1, 0))
    assert [c.ids for c in policy] == [c.ids for c in adapted.policy(prompts, (1, 0))]
    assert [c.ids for c in policy] != [c.ids for c in adapted.policy(prompts, (1, 1))]
    assert [c.ids for c in policy] != [c.ids for c in base]
    plain = SelfPlayTrainer(tiny_model(), TOKENIZER, Fixed([]), tiny_profile(), 0, tmp_path)
    assert [c.ids for c in base] == [c.ids for c in plain.policy(prompts, (1, 0))]


class FakeVLLM:
    """Merges and subtracts the adapter as TRL's does, and answers with two digits, the second time with an end."""

    def __init__(self, model, accelerator, tokenizer, generation_kwargs, **_) -> None:
        self.model, self.stops = model, generation_kwargs["stop_token_ids"]

    def sync_weights(self) -> None:
        self.model.merge_adapter()
        self.model.unmerge_adapter()

    def generate(self, prompts, **_) -> tuple:
        return prompts, [[20, 20], [20, *self.stops]]


def test_vllm_ends_where_our_sampler_does_and_its_weights_come_without_a_trace(adapted, monkeypatch):
    monkeypatch.setattr("azr.training.policy.VLLMGeneration", FakeVLLM)
    before = {name: weight.clone() for name, weight in adapted.model.state_dict().items()}
    policy = Policy(adapted, tiny_profile(engine__name="vllm", rollout__max_new_tokens=2), 0)
    drawn = policy(["a", "b"], (1, 0))
    assert [one.ended for one in drawn] == [False, True]
    assert drawn[1].ids == [20, TOKENIZER.eos_token_id]
    assert all(torch.equal(weight, before[name]) for name, weight in adapted.model.state_dict().items())


def test_a_tracker_is_told_what_the_record_has(tmp_path):
    trainer = trained(Fixed(random_rows()), tmp_path, train__steps=2)
    (record, _), told = read_lines(tmp_path / "log.jsonl"), trainer.state.log_history[0]
    assert told["groups/deduction/solver/reward"] == record["groups"]["deduction/solver"]["reward"]
    assert told["tokens/trained"] == record["tokens"]["trained"]
    assert told["loss"] == record["loss"]
    assert all(isinstance(value, int | float) for value in told.values())


@pytest.mark.parametrize(("schedule", "rates"), [("constant", [0, 0.1, 0.2, 0.2]), ("linear", [0, 0.1, 0.2, 0.1])])
def test_the_learning_rate_warms_up_and_stays_or_falls(tmp_path, schedule, rates):
    changes = {"train__steps": 4, "train__warmup": 0.5, "train__schedule": schedule, "train__learning_rate": 0.2}
    trained(Fixed(random_rows()), tmp_path, changes={}, **changes)
    found = [row["learning_rate"] for row in read_lines(tmp_path / "log.jsonl")]
    assert found == pytest.approx(rates)
