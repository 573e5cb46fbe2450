"""Two measured models, paired by problem."""

import pandas as pd
import pytest

from azr.errors import UserError
from azr.metrics import t_interval
from azr.tables.pair import compare_counts, counts_of


def counts(right: list[int], first: int = 0) -> pd.DataFrame:
    problems = [f"p{first + i}" for i in range(len(right))]
    return pd.DataFrame({"set": "gsm8k", "group": "gsm8k", "problem": problems, "n": 4, "c": right})


def test_the_difference_is_paired_over_shared_problems(tmp_path):
    counts([9, 1, 2, 4], first=-1).assign(n=[9, 4, 4, 4]).to_csv(tmp_path / "base.csv", index=False)
    found = compare_counts(counts_of(tmp_path / "base.csv"), counts([2, 3, 4])).set_index("k")
    expected = t_interval([0.25, 0.25, 0.0])
    assert found.index.tolist() == [1, 2]
    assert found.loc[1, ["difference", "low", "high"]].tolist() == pytest.approx(list(vars(expected).values())[:3])
    assert found.loc[1, "problems"] == 3


def test_what_cannot_be_compared_is_said():
    with pytest.raises(UserError, match="different problems"):
        compare_counts(counts([1, 2]), counts([1, 2], first=5))
    with pytest.raises(UserError, match="smaller k"):
        compare_counts(counts([1, 2]), counts([1, 2]), [8])
