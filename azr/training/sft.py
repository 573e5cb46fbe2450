"""Supervised fine-tuning: TRL's SFTTrainer on the worked answers of a problem set.

The loss is the mean over the response tokens of a step; a step has as many responses as one of self-play. Left out:
packing, and chat templates other than the prompt style's.
"""

from __future__ import annotations

from pathlib import Path

from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from trl import SFTConfig, SFTTrainer

from azr.config import Profile
from azr.errors import UserError
from azr.models.sampling import encode_prompt
from azr.problems import ProblemSet
from azr.prompts.base import PromptStyle
from azr.training.settings import lora_config, micro_batches, shared_settings


def worked_rows(problem_set: ProblemSet, style: PromptStyle, tokenizer: PreTrainedTokenizerBase) -> Dataset:
    """``input_ids`` of prompt and worked answer with its end token, and ``completion_mask``, 1 on the answer.

    Raises UserError where a problem has no worked answer.
    """
    rows = []
    for problem in problem_set.problems:
        answer = problem_set.worked(problem, style)
        if answer is None:
            raise UserError(
                f"{problem_set.name} has no worked answers to imitate: set problems.train to gsm8k or math."
            )
        prompt = encode_prompt(tokenizer, problem_set.prompt(problem, style))
        response = [*tokenizer(answer, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
        rows.append({"input_ids": prompt + response, "completion_mask": [0] * len(prompt) + [1] * len(response)})
    return Dataset.from_list(rows)


def sft_trainer(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    problem_set: ProblemSet,
    style: PromptStyle,
    profile: Profile,
    seed: int,
    folder: Path,
) -> SFTTrainer:
    """A trainer that imitates the worked answers of ``problem_set``, shuffled anew in each epoch."""
    args = SFTConfig(
        **shared_settings(profile, seed, folder),
        **micro_batches(profile),
        completion_only_loss=True,
        max_length=None,
    )
    return SFTTrainer(
        model=model,
        args=args,
        train_dataset=worked_rows(problem_set, style, tokenizer),
        processing_class=tokenizer,
        peft_config=lora_config(profile.model),
    )
