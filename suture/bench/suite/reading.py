"""How scorers read an answer: the part that counts, the code in it, what should not be there."""

from __future__ import annotations

import re

_MARKUP = re.compile(r"\*\*|__|[`$]|\\boxed|\\[()\[\]]")
_ANSWER = re.compile(r"\banswer(?:\s*:|\s+is\b\s*:?)\s*", re.IGNORECASE)
_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:,\d{3})*(?:\.\d+)?")

_TEMPLATE_TOKEN = re.compile(
    r"<[|\uff5c][^<>|\uff5c\n]{1,40}[|\uff5c]>"  # <|im_end|>, <|eot_id|> ...; DeepSeek's bars are full-width
    r"|</?s>|<(?:bos|eos|pad|unk)>"
    r"|\[/?INST\]|<</?SYS>>"
    r"|<(?:start|end)_of_turn>"
)
_NEXT_TURN = re.compile(r"^(?:#+ *)?(?:user|human|assistant|system|instruction|response)\b *:?$|^(?:user|human): ")


def final_answer(text: str) -> str | None:
    """Return the rest of the line, without markup, after the last `Answer:` or `answer is`; None without either."""
    marks = list(_ANSWER.finditer(plain(text)))
    if not marks:
        return None
    lines = plain(text)[marks[-1].end() :].splitlines()
    return lines[0].strip() if lines else ""


def plain(text: str) -> str:
    """Return the text without the markup of emphasis, code and formulas."""
    return _MARKUP.sub("", text)


def numbers(text: str) -> list[float]:
    """Return the numbers in a text; commas between groups of three digits are passed over."""
    return [float(match.replace(",", "")) for match in _NUMBER.findall(plain(text))]


def code_blocks(text: str) -> list[str]:
    """Return the contents of the fenced code blocks, whatever language they name; one left open reaches the end."""
    blocks: list[list[str]] = []
    fence = ""
    for line in text.splitlines():
        mark = re.match(r" {0,3}(`{3,}|~{3,})(.*)", line)
        if fence and mark and mark[1].startswith(fence) and not mark[2].strip():
            fence = ""
        elif fence:
            blocks[-1].append(line)
        elif mark:
            fence = mark[1]
            blocks.append([])
    return ["\n".join(lines) for lines in blocks]


def template_leak(text: str) -> str | None:
    """Return the first token of a chat template, or line that begins another turn, that stands in an answer."""
    token = _TEMPLATE_TOKEN.search(text)
    if token:
        return token[0]
    return next((line for line in text.splitlines() if _NEXT_TURN.match(line.strip().lower())), None)
