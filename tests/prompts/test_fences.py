"""Fenced blocks: the lines that CommonMark takes, the kinds that their labels name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azr.prompts.fences import Block, blocks, fence


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("```output\n42\n```", [("output", "42", True)]),
        ("so: ```output\n42\n```", [("", "", False)]),  # in the middle of a line there is no fence
        ("a\n```python\nx\n```\nb\n```input\n1\n```", [("python", "x", True), ("input", "1", True)]),
        ("~~~output\n42\n~~~", [("output", "42", True)]),
        ("````output\n```\n````", [("output", "```", True)]),
        ("1. so\n   ```output\n   42\n   ```", [("output", "42", True)]),
        ("- so:\n    ```python\n    if x:\n        y\n    ```", [("python", "if x:\n    y", True)]),
        ("> ```output\n> 42\n> ```", [("output", "42", True)]),
        ("<answer>\n```output\n42\n```", [("output", "42", True)]),
        ("```output\r\n42\r\n```\r\n", [("output", "42", True)]),
        ("```python\n'''\n    ```\n'''\n```", [("python", "'''\n    ```\n'''", True)]),
        ("```output\n4", [("output", "4", False)]),
        ("```output\n42```", [("output", "42```", False)]),
        ("```", [("", "", False)]),
        ("```output\n```", [("output", "", True)]),
        ("no block, but `code` and ```x``` here", []),
    ],
)
def test_blocks(text, expected):
    assert blocks(text) == [Block(*block) for block in expected]


@pytest.mark.parametrize(
    ("label", "kind"),
    [("Python", "python"), ("py", "python"), ("python3", "python"), ("{python}", "python"), ("input_1", "input"),
     ("input 3", "input"), ("Output:", "output"), ("inputs", "input"), ("message", "message"), ("js", ""), ("", "")],
)  # fmt: skip
def test_labels(label, kind):
    assert blocks(f"```{label}\nx\n```")[0].kind == kind


@given(st.text("`~ ax\n", max_size=40))
def test_what_is_fenced_is_read_back_whatever_it_holds(body):
    assert blocks("before\n\n" + fence("input", body) + "\nafter") == [Block("input", body.strip("\n"), True)]
