"""Samples on disk: the same whether a run was interrupted or not, and counted for pass@k."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from azr.benchmarks import BENCHMARKS, Problem, sampling
from azr.benchmarks.decoding import Decoding, Response, transformers_generate
from azr.benchmarks.sampling import count_samples, read_samples, sample_problems
from azr.errors import UserError
from azr.executor import Executor
from azr.metrics import pass_at_k
from azr.prompts.paper import PaperStyle
from azr.tasks import Task, TaskType

BENCHMARK = BENCHMARKS["cruxeval_o"]
PROBLEMS = [
    Problem(
        "cruxeval_o", str(n), task=Task(TaskType.DEDUCTION, "def f(x):\n    return x % 2", (str(n),), (str(n % 2),))
    )
    for n in range(3)
]
CHANGED = Task(TaskType.DEDUCTION, "def f(x):\n    return x % 3", ("0",), ("0",))
DECODING = Decoding()
ROWS = 4


class Coin:
    """A model that answers 0 or 1 by its seed, and fails when its patience is over."""

    def __init__(self, patience: int = 10**9):
        self.patience, self.seeds = patience, []

    def __call__(self, prompts, seeds):
        assert len(prompts) == len(seeds) <= ROWS
        self.patience -= 1
        if self.patience < 0:
            raise KeyboardInterrupt
        self.seeds += seeds
        text = "so</think><answer>```output\n{}\n```</answer>"
        return [Response(text.format(seed % 2), 10 + seed % 2, seed % 3 > 0) for seed in seeds]


@pytest.fixture(scope="module")
def executor():
    with Executor(workers=1) as pool:
        yield pool


@pytest.fixture
def draw(tmp_path, executor):
    def drawn(folder, generate=None, num_samples=6, decoding=DECODING, problems=PROBLEMS, **more):
        more = {"weights": "coin", "rows": ROWS, "grader": executor} | more
        where = tmp_path / folder
        model = generate or Coin()
        return sample_problems(
            BENCHMARK, problems, PaperStyle(), model, decoding, where, num_samples=num_samples, **more
        )

    return drawn


def files(folder):
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_every_sample_is_on_disk_graded_and_counted(draw, tmp_path):
    counts = draw("run")
    samples = list(read_samples(tmp_path / "run" / "samples.jsonl"))
    assert {(row["problem"], row["sample"]) for row in samples} == {(str(p), n) for p in range(3) for n in range(6)}
    assert all(row["correct"] == (f"\n{int(row['problem']) % 2}\n" in row["text"]) for row in samples)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "run" / "problems.csv", dtype={"problem": str}), counts)
    assert counts["task_type"].unique().tolist() == ["cruxeval_o"]
    assert counts["problem"].tolist() == ["0", "1", "2"]
    for row in counts.itertuples():
        of_problem = [sample for sample in samples if sample["problem"] == row.problem]
        assert row.n == len(of_problem) == 6
        assert row.c == sum(sample["correct"] for sample in of_problem)
        assert row.cut == sum(not sample["ended"] for sample in of_problem)
        assert row.length == pytest.approx(np.mean([sample["tokens"] for sample in of_problem]))
    assert pass_at_k(counts["n"], counts["c"], 1).shape == (3,)


def test_the_record_tells_how_it_was_decoded(draw, tmp_path):
    draw("run", decoding=Decoding(temperature=0.6, top_p=0.95, seed=3), notes={"model": "a coin"})
    record = json.loads((tmp_path / "run" / "record.json").read_text())
    assert (record["model"], record["weights"], record["benchmark"]) == ("a coin", "coin", "cruxeval_o")
    assert record["decoding"] == {
        "temperature": 0.6,
        "top_p": 0.95,
        "top_k": 0,
        "max_new_tokens": 2048,
        "seed": 3,
        "stop": [],
    }
    assert (record["prompt_style"], record["num_problems"], record["num_samples"]) == ("paper", 3, 6)
    (versions,) = record["versions"]
    assert {"python", "torch", "transformers", "tokenizers", "math-verify", "azr"} <= set(versions)


def test_the_fingerprint_names_what_the_result_depends_on(draw, tmp_path):
    def fingerprint(folder, **changes):
        draw(folder, **changes)
        return json.loads((tmp_path / folder / "record.json").read_text())["fingerprint"]

    first = fingerprint("a")
    assert fingerprint("b", notes={"model": "renamed"}, rows=2) == first
    others = [{"num_samples": 2}, {"weights": "b"}, {"decoding": Decoding(seed=1)}, {"problems": PROBLEMS[:2]}]
    assert first not in [fingerprint(f"other{n}", **changes) for n, changes in enumerate(others)]


def test_versions_are_those_under_which_samples_were_drawn(draw, tmp_path, monkeypatch):
    draw("run")
    monkeypatch.setattr(sampling.platform, "python_version", lambda: "9.9")
    for num_samples, expected in ((6, 1), (7, 2), (8, 2)):
        draw("run", num_samples=num_samples)
        assert len(json.loads((tmp_path / "run" / "record.json").read_text())["versions"]) == expected


@pytest.mark.parametrize("patience", [0, 1, 3, 5])
def test_an_interrupted_run_ends_with_the_same_files(draw, tmp_path, patience):
    draw("whole")
    with pytest.raises(KeyboardInterrupt):
        draw("cut", Coin(patience))
    draw("cut")
    assert files(tmp_path / "cut") == files(tmp_path / "whole")


@pytest.mark.parametrize("kept", [1, 2, 5, 17])
def test_a_run_killed_after_any_sample_ends_with_the_same_files(draw, tmp_path, kept):
    draw("whole")
    draw("cut")
    for name in ("problems.csv", "record.json"):
        (tmp_path / "cut" / name).unlink()
    path = tmp_path / "cut" / "samples.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:kept]))
    draw("cut")
    assert files(tmp_path / "cut") == files(tmp_path / "whole")


def test_a_line_cut_off_by_a_kill_is_drawn_again(draw, tmp_path):
    draw("whole")
    draw("cut")
    path = tmp_path / "cut" / "samples.jsonl"
    path.write_bytes(path.read_bytes()[:-7])
    coin = Coin()
    draw("cut", coin)
    assert files(tmp_path / "cut") == files(tmp_path / "whole")
    assert len(coin.seeds) == 3


def test_more_samples_later_are_those_of_a_longer_run(draw, tmp_path):
    draw("long", num_samples=9)
    coin = Coin()
    for num_samples in (1, 5, 9):
        counts = draw("grown", coin, num_samples=num_samples)
        assert counts["n"].tolist() == [num_samples] * 3
    assert files(tmp_path / "grown") == files(tmp_path / "long")
    assert len(coin.seeds) == 27


def test_few_problems_are_asked_several_times_side_by_side(draw, tmp_path):
    coin = Coin()
    draw("few", coin, num_samples=3, problems=PROBLEMS[:2])
    assert len(coin.seeds) == 8  # two problems, two samples of each, twice
    assert len(list(read_samples(tmp_path / "few" / "samples.jsonl"))) == 6
    draw("few", coin, num_samples=4)
    assert len(list(read_samples(tmp_path / "few" / "samples.jsonl"))) == 12


def test_a_finished_run_draws_nothing_and_fewer_may_be_counted(draw, tmp_path):
    draw("run")
    coin = Coin()
    counts = draw("run", coin, num_samples=2)
    assert coin.seeds == []
    pd.testing.assert_frame_equal(counts, count_samples(tmp_path / "run" / "samples.jsonl", PROBLEMS, 2))
    assert counts["n"].tolist() == [2] * 3


def test_progress_is_told(draw):
    heard = []
    draw("run", on_progress=lambda done, total: heard.append((done, total)))
    assert (heard[0], heard[-1]) == ((0, 18), (18, 18))
    assert heard == sorted(heard)
    heard.clear()
    draw("run", num_samples=7, on_progress=lambda done, total: heard.append((done, total)))
    assert (heard[0], heard[-1]) == ((18, 21), (21, 21))


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"decoding": Decoding(temperature=0.5)}, "samples with another decoding: choose another folder by --out"),
        ({"weights": "other"}, "samples with another weights"),
        ({"num_samples": 0}, "number of samples is 0"),
        ({"decoding": Decoding(temperature=0)}, "greedy decoding gives the same response"),
        ({"problems": [replace(PROBLEMS[0], task=CHANGED)]}, "samples of problem 0 with another wording or gold"),
    ],
)
def test_what_does_not_fit_together_is_refused(draw, settings, sentence):
    draw("run")
    with pytest.raises(UserError, match=sentence):
        draw("run", **settings)


@pytest.mark.parametrize("bad", [{"temperature": -1}, {"top_p": 0}, {"top_k": -1}, {"max_new_tokens": 0}])
def test_impossible_decoding_is_refused(bad):
    with pytest.raises(UserError, match="decoding needs"):
        Decoding(**bad)


@pytest.fixture(scope="module")
def tiny():
    words = {"<pad>": 0, "<eos>": 1, "<unk>": 2} | {chr(97 + n): n + 3 for n in range(26)}
    fast = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    fast.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=fast, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>")
    torch.manual_seed(0)
    size = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = LlamaConfig(vocab_size=len(words), eos_token_id=1, pad_token_id=0, bos_token_id=None, **size)
    model = LlamaForCausalLM(config).eval()
    with torch.no_grad():
        model.lm_head.weight.mul_(20)
    return model, tokenizer


def test_a_sample_depends_on_its_seed_and_not_on_its_batch_or_the_global_state(tiny):
    generate = transformers_generate(*tiny, Decoding(max_new_tokens=12))
    together = generate(["a b c"] * 5, [1, 2, 3, 4, 1])
    torch.manual_seed(99)
    assert [generate(["a b c"], [seed])[0] for seed in (1, 2, 3, 4)] == together[:4]
    assert {response.ended for response in together} == {True, False}
    assert all(response.tokens == 12 for response in together if not response.ended)
    assert together[0] == together[4]
    assert len(set(together)) > 1
    padded = generate(["a b c", "a b c d e f"], [1, 2])
    assert padded[0] == together[0]


def test_draws_follow_the_models_distribution(tiny):
    model, tokenizer = tiny
    for decoding in (Decoding(max_new_tokens=1), Decoding(temperature=2.0, top_k=4, max_new_tokens=1)):
        drawn = [r.text for r in transformers_generate(model, tokenizer, decoding)(["a b c"] * 4000, range(4000))]
        with torch.no_grad():
            logits = model(**tokenizer("a b c", return_tensors="pt")).logits[0, -1] / decoding.temperature
        if decoding.top_k:
            logits[logits < logits.topk(decoding.top_k).values[-1]] = -torch.inf
        expected = logits.softmax(-1).numpy()
        ids = [tokenizer.convert_tokens_to_ids(text) if text else -1 for text in drawn]
        shares = np.array([np.mean([i == token for i in ids]) for token in range(3, 29)])
        assert np.abs(shares - expected[3:29]).max() < 4 * 0.5 / np.sqrt(4000)


def test_greedy_decoding_and_stop_texts(tiny):
    model, tokenizer = tiny
    greedy = transformers_generate(model, tokenizer, Decoding(temperature=0, max_new_tokens=8))(["a b c"], [5])[0].text
    with torch.no_grad():
        ids = tokenizer("a b c", return_tensors="pt")["input_ids"]
        for _ in range(8):
            ids = torch.cat([ids, model(ids).logits[:, -1:].argmax(-1)], 1)
    assert greedy == tokenizer.decode(ids[0, 3:], skip_special_tokens=True).strip()
    letter = greedy.split()[2]
    stopping = Decoding(temperature=0, max_new_tokens=8, stop=(letter,))
    response = transformers_generate(model, tokenizer, stopping)(["a b c"], [5])[0]
    assert response.text.split() == greedy.split()[: response.tokens]
    assert response.text.split()[-1] == letter
    assert response.ended
