from __future__ import annotations

import pytest

from suture.bench.suite.reading import code_blocks, final_answer, numbers, template_leak


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
        ("  ```py\n  a\n  ```", ["  a"]),
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
