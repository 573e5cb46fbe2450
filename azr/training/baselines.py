"""The baselines on a fixed problem set: SFT and RLVR as the field has them, and RLVR by self-play's estimator.

``sft_trainer`` is TRL's SFTTrainer on worked answers, ``rlvr_trainer`` TRL's GRPOTrainer with a grader as its reward
function. ``FixedProblems`` is the solver's half of self-play, a source of rows for
``azr.training.trainer.SelfPlayTrainer``: TRR++ on the same problems tells the estimator from the data. All have as many
responses a step as self-play; rewards are the solver's, 1, -0.5 and -1. Left out: packing, and choosing the problems.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from trl import GRPOConfig, GRPOTrainer, SFTConfig, SFTTrainer

from azr.config import Profile
from azr.errors import UserError
from azr.models.sampling import encode_prompt, end_tokens
from azr.problems import Graded, Problem, ProblemSet
from azr.prompts.base import PromptStyle
from azr.rewards import solver_rewards
from azr.selfplay import Clock, Generate, Row, StepResult
from azr.training.policy import Policy, kept_weights
from azr.training.settings import OneDevice, lora_config, micro_batches, shared_settings, vllm_settings

Grade = Callable[[Sequence[tuple[Problem, str]]], list[Graded]]
"""Pairs of a problem and a response to what became of each."""


class SFTArguments(OneDevice, SFTConfig):
    """Of TRL's SFTTrainer."""


class GRPOArguments(OneDevice, GRPOConfig):
    """Of TRL's GRPOTrainer."""


def worked_rows(problem_set: ProblemSet, style: PromptStyle, tokenizer: PreTrainedTokenizerBase) -> Dataset:
    """``input_ids`` of prompt and worked answer with its end token, and ``completion_mask``, 1 on the answer.

    Raises UserError where a problem has no worked answer.
    """
    rows = []
    for problem in problem_set.problems:
        answer = problem_set.worked(problem, style)
        if answer is None:
            raise UserError(f"{problem_set.name} has no worked answers: take another problems.train, as gsm8k or math.")
        prompt = encode_prompt(tokenizer, problem_set.prompt(problem, style))
        response = [*tokenizer(answer, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
        rows.append({"input_ids": prompt + response, "completion_mask": [0] * len(prompt) + [1] * len(response)})
    return Dataset.from_list(rows)


def sft_trainer(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Dataset,
    profile: Profile,
    seed: int,
    folder: Path,
) -> SFTTrainer:
    """Supervised fine-tuning on ``worked_rows``: the mean of -log p over the response tokens of a step."""
    settings = shared_settings(profile, seed, folder) | micro_batches(profile)
    return SFTTrainer(
        model=model,
        args=SFTArguments(**settings, completion_only_loss=True, max_length=None),
        train_dataset=rows,
        processing_class=tokenizer,
        peft_config=lora_config(profile.model),
    )


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
    """GRPO, ``train.group`` responses a problem. What makes its loss is TRL's default: rewards centred and divided by
    their group's standard deviation, a mean over the tokens of a step (``loss_type="dapo"``), no KL term, one update.
    """
    settings = shared_settings(profile, seed, folder) | micro_batches(profile)
    if profile.engine.name == "vllm":
        settings |= {"use_vllm": True} | {f"vllm_{k}": value for k, value in vllm_settings(profile.engine).items()}
        settings["generation_kwargs"] = {"stop_token_ids": sorted(end_tokens(model, tokenizer))}
    rollout, group = profile.rollout, profile.train.group
    settings |= {"num_generations": group, "max_completion_length": rollout.max_new_tokens}
    prompts = [{"prompt": problem_set.prompt(p, style), "problem": i} for i, p in enumerate(problem_set.problems)]
    trainer = GRPOTrainer(
        model=model,
        reward_funcs=reward_function(problem_set, grade),
        args=GRPOArguments(**settings, temperature=rollout.temperature),
        train_dataset=Dataset.from_list(prompts),
        processing_class=tokenizer,
        peft_config=lora_config(profile.model),
        rollout_func=None if profile.engine.name == "vllm" else sampler(profile, seed),
    )
    if profile.engine.name == "vllm":
        vllm = trainer.vllm_generation
        vllm.sync_weights = kept_weights(vllm.model)(vllm.sync_weights)
    return trainer


def reward_function(problem_set: ProblemSet, grade: Grade) -> Callable[..., list[float]]:
    """TRL's reward function, which logs the mean of each group of problems as ``deduction/solver/reward``."""

    def reward(completions: list[str], problem: list[int], log_metric: Callable[..., None], **_: Any) -> list[float]:
        problems = [problem_set.problems[i] for i in problem]
        rewards = rewards_of(grade(list(zip(problems, completions, strict=True))))
        groups = np.array([p.group for p in problems])
        for group in np.unique(groups):
            log_metric(f"{group}/solver/reward", float(rewards[groups == group].mean()))
        return rewards.tolist()

    return reward


def rewards_of(graded: Sequence[Graded]) -> np.ndarray:
    return solver_rewards(np.array([g.correct for g in graded]), np.array([g.well_formed for g in graded]))


def sampler(profile: Profile, seed: int) -> Callable[[list[str], GRPOTrainer], dict[str, Any]]:
    """TRL's ``rollout_func``: our sampler in place of TRL's, which reads a prompt anew for each response to it."""

    def roll_out(prompts: list[str], trainer: GRPOTrainer) -> dict[str, Any]:
        drawn = Policy(trainer, profile, seed).of_share(prompts, (trainer.state.global_step + 1,))
        ids = {"prompt_ids": [c.prompt_ids for c in drawn], "completion_ids": [c.ids for c in drawn]}
        return ids | {"logprobs": None}

    return roll_out


class FixedProblems:
    """A source of the solver's responses, ``rows`` a step, equally many to each group of problems.

    A step's problems depend on its number and the seed; within a step none comes twice before all have come once.
    """

    def __init__(self, problem_set: ProblemSet, style: PromptStyle, grade: Grade, rows: int, seed: int) -> None:
        self.problem_set, self.style, self.grade, self.rows, self.seed = problem_set, style, grade, rows, seed
        self.groups: dict[str, list[Problem]] = {}
        for problem in problem_set.problems:
            self.groups.setdefault(problem.group, []).append(problem)

    def step(self, step: int, generate: Generate, generate_from_base: Generate | None = None) -> StepResult:
        clock, problems = Clock(), []
        rng = np.random.default_rng([self.seed, 2, step])
        for own, share in zip(self.groups.values(), np.array_split(range(self.rows), len(self.groups)), strict=True):
            problems += [own[i] for i in np.resize(rng.permutation(len(own)), len(share))]
        with clock("solve"):
            solved = generate([self.problem_set.prompt(problem, self.style) for problem in problems], (step, 0))
        with clock("execute"):
            graded = self.grade([(problem, c.text) for problem, c in zip(problems, solved, strict=True)])
        answers = zip(problems, solved, rewards_of(graded), strict=True)
        rows = [Row(f"{problem.group}/solver", completion, float(reward)) for problem, completion, reward in answers]
        tasks = {}
        for group in self.groups:
            own = [(g.correct, g.well_formed) for g, p in zip(graded, problems, strict=True) if p.group == group]
            tasks[group] = dict(zip(("accuracy", "well_formed"), np.mean(own, axis=0).tolist(), strict=True))
        tokens = {"solved": sum(len(completion.ids) for completion in solved)}
        return StepResult(rows, [], {"tasks": tasks, "seconds": dict(clock.seconds), "tokens": tokens})
