"""Reinforcement learning with verifiable rewards on a fixed problem set, in two ways.

``rlvr_trainer`` is the field's: TRL's GRPOTrainer with a grader as its reward function. ``FixedProblems`` is the
solver's half of self-play, a source of rows for ``azr.training.trainer.SelfPlayTrainer``: TRR++ on the same problems
tells the estimator from the data. Both take the solver's rewards, 1, -0.5 and -1, and as many responses a step as
self-play. Left out: choosing the problems (``azr.problems``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from trl import GRPOConfig, GRPOTrainer

from azr.config import Profile
from azr.problems import Graded, Problem, ProblemSet
from azr.prompts.base import PromptStyle
from azr.rewards import solver_rewards
from azr.selfplay import Clock, Generate, Row, StepResult
from azr.tasks import Role
from azr.training.policy import Policy
from azr.training.settings import lora_config, micro_batches, shared_settings, vllm_settings

Grade = Callable[[Sequence[tuple[Problem, str]]], list[Graded]]
"""Pairs of a problem and a response to what became of each."""


def rewards_of(graded: Sequence[Graded]) -> np.ndarray:
    """The solver's rewards, shape (n,)."""
    return solver_rewards(np.array([g.correct for g in graded]), np.array([g.well_formed for g in graded]))


def rlvr_trainer(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    problem_set: ProblemSet,
    style: PromptStyle,
    grade: Grade,
    profile: Profile,
    seed: int,
    folder: Path,
) -> GRPOTrainer:
    """GRPO on ``problem_set``, ``train.group`` responses a problem.

    All that makes the loss is TRL's default: rewards divided by their group's standard deviation, ``loss_type="dapo"``,
    no KL term, one update for each batch.
    """
    problems = problem_set.problems

    def reward(completions: list[str], problem: list[int], log_metric: Callable, **_: Any) -> list[float]:
        rewards = rewards_of(grade([(problems[i], text) for i, text in zip(problem, completions, strict=True)]))
        groups = np.array([problems[i].group for i in problem])
        for group in np.unique(groups):
            log_metric(f"{group}/{Role.SOLVER}/reward", float(rewards[groups == group].mean()))
        return rewards.tolist()

    args = GRPOConfig(
        **shared_settings(profile, seed, folder),
        **micro_batches(profile),
        **engine_settings(profile),
        num_generations=profile.train.group,
        max_completion_length=profile.rollout.max_new_tokens,
        temperature=profile.rollout.temperature,
    )
    prompts = [{"prompt": problem_set.prompt(p, style), "problem": i} for i, p in enumerate(problems)]
    return GRPOTrainer(
        model=model,
        reward_funcs=reward,
        args=args,
        train_dataset=Dataset.from_list(prompts),
        processing_class=tokenizer,
        peft_config=lora_config(profile.model),
        rollout_func=None if args.use_vllm else rollouts(profile, seed),
    )


def rollouts(profile: Profile, seed: int) -> Callable[[list[str], GRPOTrainer], dict[str, Any]]:
    """TRL's ``rollout_func``: our sampler in place of TRL's, which reads a prompt anew for each of its responses."""

    def roll_out(prompts: list[str], trainer: GRPOTrainer) -> dict[str, Any]:
        drawn = Policy(trainer, profile, seed).own_share(prompts, (trainer.state.global_step + 1,))
        ids = {"prompt_ids": [c.prompt_ids for c in drawn], "completion_ids": [c.ids for c in drawn]}
        return ids | {"logprobs": None}

    return roll_out


def engine_settings(profile: Profile) -> dict[str, Any]:
    """GRPOConfig's names for vLLM beside training."""
    if profile.engine.name != "vllm":
        return {}
    return {"use_vllm": True} | {f"vllm_{name}": value for name, value in vllm_settings(profile.engine).items()}


def epochs(count: int, size: int, step: int, stream: tuple[int, ...]) -> np.ndarray:
    """Which ``count`` of ``size`` items step number ``step`` (from 1) works on: epoch after epoch, each shuffled anew.

    >>> sorted(np.concatenate([epochs(2, 4, 1, (0,)), epochs(2, 4, 2, (0,))]).tolist())
    [0, 1, 2, 3]
    """
    at = np.arange((step - 1) * count, step * count)
    order = {e: np.random.default_rng([*stream, e]).permutation(size) for e in np.unique(at // size).tolist()}
    return np.array([order[i // size][i % size] for i in at.tolist()])


class FixedProblems:
    """A source of the solver's responses to a problem set, equally many for each of its groups in every step."""

    def __init__(self, problem_set: ProblemSet, style: PromptStyle, grade: Grade, rows: int, seed: int) -> None:
        self.problem_set, self.style, self.grade, self.rows, self.seed = problem_set, style, grade, rows, seed
        self.groups: dict[str, list[Problem]] = {}
        for problem in problem_set.problems:
            self.groups.setdefault(problem.group, []).append(problem)

    def step(self, step: int, generate: Generate, generate_from_base: Generate | None = None) -> StepResult:
        """Solve the problems of step number ``step`` (from 1), which depend on it and the seed alone."""
        clock, problems = Clock(), []
        shares = np.array_split(np.arange(self.rows), len(self.groups))
        for number, (own, share) in enumerate(zip(self.groups.values(), shares, strict=True)):
            problems += [own[i] for i in epochs(len(share), len(own), step, (self.seed, 2, number))]
        with clock("solve"):
            solved = generate([self.problem_set.prompt(problem, self.style) for problem in problems], (step, 0))
        with clock("execute"):
            graded = self.grade([(problem, c.text) for problem, c in zip(problems, solved, strict=True)])
        answers = zip(problems, solved, rewards_of(graded), strict=True)
        rows = [Row(f"{p.group}/{Role.SOLVER}", completion, float(reward)) for p, completion, reward in answers]
        tasks = {
            group: {
                "accuracy": float(
                    np.mean([g.correct for g, p in zip(graded, problems, strict=True) if p.group == group])
                ),
                "well_formed": float(
                    np.mean([g.well_formed for g, p in zip(graded, problems, strict=True) if p.group == group])
                ),
            }
            for group in self.groups
        }
        tokens = {"solved": sum(len(completion.ids) for completion in solved)}
        return StepResult(rows, [], {"tasks": tasks, "seconds": dict(clock.seconds), "tokens": tokens})
