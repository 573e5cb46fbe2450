"""Self-play with a scripted model: what becomes of proposals, what they earn, and what is drawn when."""

from __future__ import annotations

from collections import Counter

import pytest

from azr.buffer import TaskBuffer
from azr.config import RolloutConfig
from azr.errors import UserError
from azr.executor import Executor
from azr.models.sampling import Completion
from azr.prompts.base import ParsedProposal
from azr.prompts.compact import PROPOSE, CompactStyle
from azr.selfplay import IDENTITY, TYPES, SelfPlay
from azr.tasks import Role, Task, TaskType

D, A, I = TaskType.DEDUCTION, TaskType.ABDUCTION, TaskType.INDUCTION  # noqa: E741
GROUPS = [f"{task_type}/{role}" for task_type in TYPES for role in Role]
CONFIG = RolloutConfig(batch=4, references=2, rollouts=4, seed_factor=2)
SIX = "".join(f"input {n}\n" for n in range(6))
WORDS = "['a', 'bb', 'ccc', 'dddd', 'eeeee', 'ffffff']"


@pytest.fixture(scope="module")
def executor():
    with Executor(workers=1) as executor:
        yield executor


class Scripted:
    """A model whose proposals are a script, one list a task type, and whose answers depend on how often it is asked.

    ``right`` of every four attempts at a task are right: those at problems of the solver too.
    """

    def __init__(self, proposals: dict[TaskType, list[str]], answers: dict[str, str], right: int = 4) -> None:
        self.proposals = {task_type: iter(texts) for task_type, texts in proposals.items()}
        self.answers, self.right = answers, right
        self.calls: list[list[str]] = []
        self.streams: list[tuple[int, ...]] = []

    def __call__(self, prompts, stream):
        self.calls.append(list(prompts))
        self.streams.append(stream)
        asked: Counter[str] = Counter()
        completions = []
        for prompt in prompts:
            task_type = next((t for t, head in PROPOSE.items() if prompt.startswith(head)), None)
            if task_type is not None:
                text = next(self.proposals[task_type])
            else:
                asked[prompt] += 1
                text = self.answers.get(prompt, "output 'wrong'") if asked[prompt] <= self.right else "nonsense"
            completions.append(Completion([1], [7] * (len(text) + 1), text, True))
        return completions


def seeded() -> TaskBuffer:
    """Two tasks of each type from step 0, which nobody can mistake for others."""
    buffer = TaskBuffer()
    for n in (100, 200):
        for task_type in (D, A):
            buffer.add(Task(task_type, f"def f(x):\n    return x + {n}", ("1",), (str(n + 1),)), 0)
        inputs = tuple(map(str, range(6)))
        outputs = tuple(str(k * n) for k in range(6))
        buffer.add(Task(I, f"def f(x):\n    return x * {n}", inputs, outputs, f"times {n}"), 0)
    return buffer


def source(executor, seed: int = 0, style: CompactStyle | None = None, **settings) -> SelfPlay:
    return SelfPlay(CONFIG, style or CompactStyle(), executor, seed, buffer=seeded(), **settings)


def rows_of(result, group: str):
    return [row for row in result.rows if row.group == group]


def pair(body: str, given: str) -> str:
    return f"def f(x):\n    {body}\ninput {given}"


PROPOSALS = {
    D: [pair("return x + 1", "2"), "nonsense", pair("return 1 // x", "0"), pair("return list(set(x))", WORDS)],
    A: [pair("return x * 3", "4"), pair("return x +", "4"), pair("import os", "4"), pair("return x", "a b")],
    I: [f"{SIX}hint more", f"{SIX}input 6\nhint more", SIX.replace("5", "'five'") + "hint more", "hint"],
}  # fmt: skip
EXPECTED = {
    D: ["valid", "malformed", "exception", "non-deterministic"],
    A: ["valid", "syntax error", "rejected", "bad input"],
    I: ["valid", "malformed", "exception", "malformed"],
}
STYLE = CompactStyle()
DEDUCTION = Task(D, "def f(x):\n    return x + 1", ("2",), ("3",))
ABDUCTION = Task(A, "def f(x):\n    return x * 3", ("4",), ("12",))
ANSWERS = {STYLE.solve(DEDUCTION): "think 3\noutput 3", STYLE.solve(ABDUCTION): "input 4"}


@pytest.mark.parametrize("right", [0, 1, 3, 4])
def test_fates_solve_rates_and_rewards(executor, right):
    model = Scripted(PROPOSALS, ANSWERS, right)
    play = source(executor)
    result = play.step(1, model)
    fates = {task_type: [f for f in result.fates if f.task_type is task_type] for task_type in TaskType}
    assert {task_type: [f.fate for f in own] for task_type, own in fates.items()} == EXPECTED
    assert [f.detail for f in fates[D][2:3]] == ["ZeroDivisionError"]
    assert fates[D][1].detail == "not a program followed by an input"
    rate = right / 4
    paid = -0.5 if right in (0, 4) else 1 - rate
    for task_type, task in ((D, DEDUCTION), (A, ABDUCTION)):
        assert (fates[task_type][0].task, fates[task_type][0].solve_rate) == (task, rate)
        assert [f.reward for f in fates[task_type]] == [paid, -1, -1, -1]
    assert fates[I][0].solve_rate == 0  # the script does not know its answer
    assert all((f.task is None) == (f.solve_rate is None) for f in result.fates)
    assert [f.tokens for f in fates[D]] == [len(text) + 1 for text in PROPOSALS[D]]
    assert play.buffer.tasks(D)[-1] == DEDUCTION
    assert play.buffer.sizes() == {"deduction": 3, "abduction": 3, "induction": 3}
    log = result.metrics["tasks"]["deduction"]
    assert log["solve_rate_histogram"] == [int(n == right) for n in range(5)]
    assert log["rejected"] == {"malformed": 1, "exception": 1, "non-deterministic": 1}
    assert (log["valid"], log["buffer"], log["distinct_programs"]) == (0.25, 3, 3)


def test_rows_of_every_group_come_with_their_rewards(executor):
    hundred = seeded().tasks(D)[0]
    model = Scripted(PROPOSALS, ANSWERS | {STYLE.solve(hundred): "output 101"})
    result = source(executor).step(1, model)
    assert Counter(row.group for row in result.rows) == dict.fromkeys(GROUPS, 4)
    assert [row.completion.text for row in rows_of(result, "deduction/proposer")] == PROPOSALS[D]
    for row in result.rows:
        if row.group.endswith("solver"):
            right, wrong = row.completion.text == "output 101", row.completion.text.startswith("output")
            assert row.reward == (1 if right else -0.5 if wrong and row.group == "deduction/solver" else -1)
    deduction = rows_of(result, "deduction/solver")
    assert {row.reward for row in deduction} == {1, -0.5}
    accuracy = sum(row.reward == 1 for row in deduction) / 4
    assert result.metrics["tasks"]["deduction"]["accuracy"] == accuracy
    assert result.metrics["tasks"]["abduction"]["well_formed"] == 0


def test_the_solver_gets_what_the_step_before_proposed(executor):
    model = Scripted({t: texts * 2 for t, texts in PROPOSALS.items()}, ANSWERS, right=99)
    play = source(executor)
    first = play.step(1, model)
    proposed, attempts = model.calls
    assert len(proposed) == 12
    assert attempts.count(STYLE.solve(DEDUCTION)) == 4  # the estimate of its solve rate
    assert STYLE.solve(DEDUCTION) not in attempts[-12:]
    assert first.metrics["tasks"]["deduction"]["problem_age"] == 1
    second = play.step(2, model)
    solved = model.calls[-1][-12:]
    assert STYLE.solve(DEDUCTION) in solved
    assert STYLE.solve(ABDUCTION) in solved
    assert len(set(model.streams)) == 4
    assert rows_of(second, "deduction/solver")[0].reward == 1
    ages = second.metrics["tasks"]["deduction"]["problem_age"] * 4
    assert 4 < ages < 8  # one new at least, the rest drawn from all three


def test_references_are_of_the_type_and_inductions_of_the_other_two(executor):
    model = Scripted(PROPOSALS, ANSWERS)
    source(executor).step(1, model)
    for prompt in model.calls[0]:
        if prompt.startswith(PROPOSE[I]):
            assert prompt.count("def f(x)") == 1
            assert " + " in prompt  # induction's own programs multiply
        else:
            assert prompt.count("def f(x)") == 2


def test_draws_repeat_with_the_seed(executor):
    calls = []
    for seed in (0, 0, 1):
        model = Scripted(PROPOSALS, ANSWERS)
        source(executor, seed).step(1, model)
        calls.append(model.calls)
    assert calls[0] == calls[1] != calls[2]


def test_a_step_without_any_valid_proposal_still_solves(executor):
    model = Scripted({task_type: ["nonsense"] * 4 for task_type in TaskType}, {})
    result = source(executor).step(1, model)
    assert len(result.rows) == 24
    assert {fate.reward for fate in result.fates} == {-1}
    assert result.metrics["tokens"]["estimated"] == 0
    assert result.metrics["tasks"]["abduction"]["solve_rate_histogram"] == [0] * 5


def test_another_shape_of_the_proposers_reward(executor):
    result = source(executor, proposer_reward="half").step(1, Scripted(PROPOSALS, ANSWERS, right=1))
    assert [fate.reward for fate in result.fates if fate.task_type is D] == [0.5, -1, -1, -1]


def test_a_valid_program_in_the_wrong_form_is_kept_and_paid_as_malformed(executor):
    class Strict(CompactStyle):
        def parse_proposal(self, task_type, response, references):
            parsed = super().parse_proposal(task_type, response, references)
            return ParsedProposal(parsed.proposal, False, "no thoughts")

    play = source(executor, style=Strict())
    result = play.step(1, Scripted(PROPOSALS, ANSWERS, right=2))
    first = next(fate for fate in result.fates if fate.task_type is D)
    assert (first.fate, first.solve_rate, first.reward) == ("valid", 0.5, -1)
    assert play.buffer.tasks(D)[-1] == DEDUCTION


def fresh(executor) -> SelfPlay:
    return SelfPlay(CONFIG, CompactStyle(), executor, seed=0)


def test_seeding_grows_from_the_identity(executor):
    texts = [pair(f"return x + {n // 2}", str(n % 2)) for n in range(40)]
    model = Scripted({D: texts[:20], A: texts[20:], I: [f"{SIX}hint {n}" for n in range(40)]}, {})
    play = fresh(executor)
    play.seed_buffer(model)
    assert play.buffer.sizes() == {"deduction": 8, "abduction": 8, "induction": 8}
    deduction, abduction = play.buffer.tasks(D), play.buffer.tasks(A)
    assert deduction[0] == IDENTITY
    assert abduction == [Task(A, task.program, task.inputs, task.outputs) for task in deduction]
    assert len(set(deduction)) == 8
    programs = {task.program for task in deduction}
    assert all(len(t.inputs) == 6 and t.message for t in play.buffer.tasks(I))
    assert {task.program for task in play.buffer.tasks(I)} <= programs | {t.partition("\ninput")[0] for t in texts}
    only_identity = STYLE.propose(A, [Task(A, IDENTITY.program, IDENTITY.inputs, IDENTITY.outputs)])
    assert model.calls[0] == [only_identity] * 4


@pytest.mark.parametrize("text", ["nonsense", pair("return 1 // x", "0"), pair("return x + 1", "2")])
def test_a_model_that_finds_too_few_different_tasks_cannot_be_seeded(executor, text, monkeypatch):
    monkeypatch.setattr("azr.selfplay.SEEDING_ROUNDS", 3)
    monkeypatch.setattr("azr.selfplay.FIRST_ROUNDS", 3)
    model = Scripted({D: [text] * 99, A: [text] * 99}, {})
    with pytest.raises(UserError, match=r"only [12] valid deduction tasks in 3 rounds of 4 \(100% ") as refused:
        fresh(executor).seed_buffer(model)
    assert repr(text) in str(refused.value)


def test_a_model_that_proposes_nothing_is_stopped_early(executor, monkeypatch):
    monkeypatch.setattr("azr.selfplay.BARREN_STEPS", 2)
    model = Scripted({task_type: ["nonsense"] * 99 for task_type in TaskType}, {})
    with pytest.raises(UserError, match="6 rounds of 4"):
        fresh(executor).seed_buffer(model)
    play = source(executor)
    play.step(1, model)
    with pytest.raises(UserError, match="No proposal was valid in 2 steps"):
        play.step(2, model)


def test_the_base_proposes_and_the_policy_estimates_and_solves(executor):
    policy, base = Scripted({}, ANSWERS), Scripted(PROPOSALS, {})
    source(executor, proposer="base").step(1, policy, base)
    assert len(base.calls) == 1
    assert all(prompt.startswith(tuple(PROPOSE.values())) for prompt in base.calls[0])
    assert len(policy.calls) == 1
    own = Scripted(PROPOSALS, ANSWERS)
    frozen = source(executor, proposer="frozen").step(1, own, base)
    assert (len(own.calls), len(base.calls)) == (2, 1)
    assert {row.group for row in frozen.rows if not row.trained} == {g for g in GROUPS if g.endswith("proposer")}


def test_the_solver_can_work_on_more_problems_than_are_proposed(executor):
    config = RolloutConfig(batch=4, references=2, rollouts=4, solves=6)
    play = SelfPlay(config, STYLE, executor, 0, buffer=seeded())
    result = play.step(1, Scripted(PROPOSALS, ANSWERS))
    assert Counter(row.group.partition("/")[2] for row in result.rows) == {"proposer": 12, "solver": 18}
    assert len(result.rows) == config.rows == 30
    assert RolloutConfig(batch=4).rows == 24
