from __future__ import annotations

import time

import pytest

from suture.bench.suite.reading import Fence, code_blocks, fences, final_answer, numbers, parsed, template_leak


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Answer: 31", "31"),
        ("first\n**Answer:** 31 pens.\nBye", "31 pens."),
        ("Answer: 7\nNo. Answer: 31", "31"),
        ("**Answer**:\n\n31", "31"),
        ("So the answer is 31.", "31."),
        ("The final answer is: $\\boxed{31}$", "{31}"),
        ("Answer:", ""),
        ("31", None),
        ("I answered", None),
    ],
)
def test_final_answer(text: str, answer: str | None) -> None:
    assert final_answer(text) == answer


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("7 * 12 = 84", [7, 12, 84]),
        ("84-53=31", [84, 53, 31]),
        ("-5 and -0.5", [-5, -0.5]),
        ("1,234 and 12,34", [1234, 12, 34]),
        ("**31**.", [31]),
        ("x31 3.5.", [3.5]),
        ("none", []),
    ],
)
def test_numbers(text: str, found: list[float]) -> None:
    assert numbers(text) == found


@pytest.mark.parametrize(
    ("text", "blocks"),
    [
        ("```python\na\nb\n```", ["a\nb"]),
        ("Here:\n```\na\n```\nand\n~~~js\nb\n~~~\n", ["a", "b"]),
        ("````md\n```\na\n```\n````", ["```\na\n```"]),
        ("  ```py\n  a\n  ```", ["a"]),
        ("```python\na", ["a"]),  # left open
        ("```python\na\n```python\nb\n```", ["a\n```python\nb"]),  # a fence with a language opens none inside
        ("`a` and ``b``", []),
        ("", []),
    ],
)
def test_code_blocks(text: str, blocks: list[str]) -> None:
    assert code_blocks(text) == blocks


@pytest.mark.parametrize(
    ("text", "leak"),
    [
        ("A vehicle.<|im_end|>", "<|im_end|>"),
        ("A vehicle.<|im_start|>user\nAnd a car?", "<|im_start|>"),
        ("A vehicle.<|eot_id|>", "<|eot_id|>"),
        ("A vehicle.<\uff5cend\u2581of\u2581sentence\uff5c>", "<\uff5cend\u2581of\u2581sentence\uff5c>"),
        ("A vehicle.</s>", "</s>"),
        ("A vehicle. [INST] And a car? [/INST]", "[INST]"),
        ("A vehicle.<end_of_turn>", "<end_of_turn>"),
        ("A vehicle.\nuser\nAnd a car?", "user"),
        ("A vehicle.\nUser: And a car?", "User: And a car?"),
        ("A vehicle.\n### Instruction:\nAnd a car?", "### Instruction:"),
        ("A vehicle for one user: the rider.", None),
        ("It has |two| wheels <and> a user.", None),
        ("Assistants ride it.", None),
    ],
)
def test_template_leak(text: str, leak: str | None) -> None:
    assert template_leak(text) == leak


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("```Python\na\n```", [Fence("python", "a", closed=True)]),
        ("```js title=x\na\n```", [Fence("js", "a", closed=True)]),
        ("```\na", [Fence("", "a", closed=False)]),
        (
            "1. Like so:\n\n       ```py\n       if a:\n           b\n       ```",
            [Fence("py", "if a:\n    b", closed=True)],
        ),
        ("The code: ```python\na\n```", [Fence("python", "a", closed=True)]),  # opens in a line of prose
        ("Write ``` before the code", []),
        ("```python\na\nb```", [Fence("python", "a\nb", closed=True)]),  # closes in a line of code
        (
            '```py\ndef f():\n    """\n    ```\n    """\n```',
            [Fence("py", 'def f():\n    """\n    ```\n    """', closed=True)],
        ),
        ("```a``` and ```b```", []),
    ],
)
def test_fences(text: str, found: list[Fence]) -> None:
    assert fences(text) == found


def test_fences_are_found_in_time_linear_in_the_text() -> None:
    text = "\n".join([" " * 100_000, "`" * 100_000 + "x`", "a" * 100_000 + "``", "```" + "b " * 50_000 + "`"])
    start = time.monotonic()
    fences(text)
    assert time.monotonic() - start < 1


@pytest.mark.parametrize("source", ["def f(:", "x = " + "(" * 5000, "def\0", "  return 1", "1 " * 10])
def test_what_is_no_python(source: str) -> None:
    assert parsed(source) is None


def test_what_python_would_warn_of_is_python() -> None:
    assert parsed(r"pattern = '\d'") is not None
