"""What a perfect endpoint and an adversary say to the reasoning tests."""

from __future__ import annotations

from suture.bench.suite import Answer

PERFECT: dict[str, tuple[Answer | str, ...]] = {
    "math-word-problem": ("7 * 12 = 84. 84 - 35 - 18 = 31.\nAnswer: 31",),
    "logic-puzzle": ("Answer: Hana, Ivo, Emma, Grace, Farid",),
    "writes-code": ('```python\ndef count_vowels(text):\n    return sum(c in "aeiouAEIOU" for c in text)\n```',),
    "finds-bug": ("Line 4: for i in range(1, n + 1):",),
}

ALL_THE_PARTS = """\
def count_vowels(text):
    vowels = "aeiou"
    count = 0
    for character in text.lower():
        count += text.count(character) if character in vowels else 0
    return count

print("all tests passed")"""

ADVERSARY: dict[str, tuple[Answer | str, ...]] = {
    "math-word-problem": ("7 * 12 = 84. 84 - 35 - 18 = 41.\nAnswer: 41",),
    "logic-puzzle": ("Answer: Ivo, Hana, Emma, Grace, Farid",),
    "writes-code": (f"```python\n{ALL_THE_PARTS}\n```",),
    "finds-bug": ("Line 4: for i in range(1, n + 2):",),
}
