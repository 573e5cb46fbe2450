"""Self-play at the shape of a published model, with random weights: seconds a step, tokens a second, peak of memory.

    python benchmarks/gpu.py --shape 0.5B --set rollout.chunk=64
    python benchmarks/gpu.py --shape tiny --set rollout.max_new_tokens=16     # on a CPU, to see that it runs

Makes a folder with Qwen2.5-Coder's configuration, random weights, and a byte-pair tokenizer trained on azr's own source
whose vocabulary is filled up to Qwen's size; nothing is downloaded. Responses of random weights end by no end token, so
all have the longest length: a step is the most expensive there is. Prints each step's seconds by phase and sampled
tokens a second, and the peak of memory beside what `azr doctor` predicts. The first step, which compiles and warms up,
is printed too. Left out: seeding (the seeds that ship are used), vLLM, and what a trained model would propose.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import tempfile
from pathlib import Path

import torch
import yaml
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast, Qwen2Config
from transformers.utils.logging import disable_progress_bar

from azr.config import Profile, load_profile, override
from azr.models.memory import costs
from azr.runs import PACKAGE, read_lines
from azr.training.run import train

SHAPES = {
    "tiny": {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4},
    "0.5B": {"hidden_size": 896, "intermediate_size": 4864, "num_hidden_layers": 24, "num_attention_heads": 14},
    "3B": {"hidden_size": 2048, "intermediate_size": 11008, "num_hidden_layers": 36, "num_attention_heads": 16},
}
"""Of Qwen2.5-Coder's configurations; all have 2 heads of keys and values and tied embeddings."""
WORDS = 151_936
END = "<|endoftext|>"


def tokenizer_of(words: int) -> PreTrainedTokenizerFast:
    """A tokenizer with ``words`` tokens: as many as azr's source teaches, the rest names of numbers."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    texts = [path.read_text(encoding="utf-8") for path in sorted(PACKAGE.rglob("*.py"))]
    tokenizer.train_from_iterator(
        texts,
        trainers.BpeTrainer(vocab_size=8000, special_tokens=[END], initial_alphabet=alphabet, show_progress=False),
    )
    learned = json.loads(tokenizer.to_str())
    vocabulary = learned["model"]["vocab"]
    vocabulary |= {f"word{i}": i for i in range(len(vocabulary), words)}
    full = Tokenizer.from_str(json.dumps(learned))
    return PreTrainedTokenizerFast(tokenizer_object=full, eos_token=END, pad_token=END)


def make(folder: Path, shape: str) -> None:
    """Write the model and its tokenizer."""
    tokenizer = tokenizer_of(WORDS)
    config = Qwen2Config(
        **SHAPES[shape],
        num_key_value_heads=2,
        vocab_size=WORDS,
        max_position_embeddings=32_768,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.eos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.eos_token_id,
    )
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def machine() -> str:
    """What it runs on."""
    if torch.cuda.is_available():
        return f"{torch.cuda.get_device_name()}, torch {torch.__version__}"
    return f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}"


def peak() -> int:
    """Bytes: of the device, with its context, or of the process."""
    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()  # the allocator gives nothing back: what is taken now was its most
        return total - free
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measured(profile: Profile) -> None:
    """Train some steps and print what they took."""
    with tempfile.TemporaryDirectory() as folder:
        run = train("selfplay", profile, 0, Path(folder) / "run", [PACKAGE / "problems" / "seeds.jsonl"])
        for row in read_lines(run.folder / "log.jsonl"):
            sampled = sum(row["tokens"][name] for name in ("proposed", "estimated", "solved"))
            seconds = row["seconds"]
            rate = sampled / (seconds["propose"] + seconds["solve"])
            phases = ", ".join(f"{name} {value:.1f} s" for name, value in seconds.items())
            print(f"step {row['step']} of {profile.steps}: {phases}; {sampled} tokens sampled, {rate:.0f} a second")


def main() -> None:
    """Print the machine, the steps, and memory beside the prediction."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=list(SHAPES), default="0.5B")
    parser.add_argument("--profile", choices=("gpu", "paper"), default="gpu")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="any setting of azr/config.py")
    args = parser.parse_args()
    own = {name: yaml.safe_load(value) for name, _, value in (text.partition("=") for text in args.set)}
    disable_progress_bar()
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder), args.shape)
        changes = {"model.name": folder, "train.steps": args.steps, "rollout.rollouts": 2, **own}
        profile = override(load_profile(args.profile), changes)
        predicted = costs(Qwen2Config.from_pretrained(folder), profile).peak
        measured(profile)
    print(f"memory: {peak() / 2**30:.2f} GiB at the peak, {predicted / 2**30:.2f} predicted")


if __name__ == "__main__":
    main()
