"""The second domain: short arithmetic questions in words, on which self-play never trains (transfer, RQ1).

A question is a start and one to four changes; the trace is the running total. The answer is an integer.
"""

import random
from dataclasses import dataclass

from azr.world.grammar import MAX_INT, Perturb, Split, split_of

NAMES = ("Ann", "Bob", "Eva", "Max")
THINGS = ("coins", "books", "cards", "pears")
_CHANGES = {
    " gets ": lambda v, c: v + c,
    " finds ": lambda v, c: v + c,
    " loses ": lambda v, c: v - c,
    " gives ": lambda v, c: v - c,
    " doubles ": lambda v, c: v * 2,
    " triples ": lambda v, c: v * 3,
}
_BARE = (" doubles ", " triples ")
WORDS = ("question ", " has ", *_CHANGES, " then", "how many\n", "answer ", *NAMES, *THINGS)


@dataclass(frozen=True)
class Question:
    """An arithmetic question; ``changes`` are (word, amount) pairs, the amount None for doubling and tripling."""

    name: str
    thing: str
    start: int
    changes: tuple[tuple[str, int | None], ...]

    @property
    def text(self) -> str:
        """The prompt."""
        said = "".join(f" then{word}{'' if amount is None else amount}" for word, amount in self.changes)
        return f"question {self.name} has {self.start} {self.thing}{said}\nhow many\n"

    def trace(self, perturb: Perturb | None = None) -> list[int]:
        """The running total after each change."""
        totals = [self.start]
        for step, (word, amount) in enumerate(self.changes):
            right = _CHANGES[word](totals[-1], amount)
            totals.append(perturb(step, right) if perturb else right)
        return totals[1:]

    @property
    def answer(self) -> int:
        return self.trace()[-1]


def draw_question(rng: random.Random, split: Split = "train") -> Question:
    """A question of the given split whose totals stay in 0..MAX_INT."""
    while True:
        words = rng.choices(list(_CHANGES), weights=(4, 4, 4, 4, 1, 1), k=rng.randint(1, 4))
        changes = tuple((word, None if word in _BARE else rng.randint(1, 20)) for word in words)
        question = Question(rng.choice(NAMES), rng.choice(THINGS), rng.randint(1, 40), changes)
        if split_of(question.text) == split and all(0 <= v <= MAX_INT for v in question.trace()):
            return question
