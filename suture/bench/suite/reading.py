"""How scorers read an answer: the part that counts, the code in it, what should not be there."""

from __future__ import annotations

import ast
import re
import threading
import warnings
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Fence:
    """A fenced code block.

    Attributes:
        language: What stands after its opening fence, in lower case: `python`, `js`; empty without.
        code: What it holds, without the indentation that its fence has.
        closed: Whether its end is there too.
    """

    language: str
    code: str
    closed: bool


def fences(text: str) -> list[Fence]:
    """Return the fenced code blocks, in order; one left open reaches the end.

    Beyond CommonMark, a fence may open at the end of a line of prose, or deep within a list, and the last one may
    close at the end of a line of code: models write such, and everybody can read it.
    """
    blocks: list[Fence] = []
    opening: re.Match[str] | None = None
    lines: list[str] = []
    for line in text.splitlines():
        if opening is None:
            opening = _opens(line)
            lines = []
        elif _closes(line, opening):
            blocks.append(_fence(opening, lines, closed=True))
            opening = None
        else:
            lines.append(line)
    if opening is not None:
        rest = "\n".join(lines).rstrip()
        closed = rest.endswith(opening["mark"])
        lines = rest.rstrip(opening["mark"][0]).split("\n") if closed else lines
        blocks.append(_fence(opening, lines, closed=closed))
    return blocks


_OPENING = re.compile(  # in time linear in the line's length
    r"(?P<indent>[ \t]*+)(?P<prose>[^`~]*)(?P<mark>`{3,}|~{3,})[ \t]*+(?P<language>[^`\s]*+)[ \t]*+(?P<more>[^`]*+)"
)


def _opens(line: str) -> re.Match[str] | None:
    opening = _OPENING.fullmatch(line)
    return None if opening is None or (opening["prose"] and opening["more"]) else opening


def _closes(line: str, opening: re.Match[str]) -> bool:
    mark = line.strip()
    indent = len(line) - len(line.lstrip())
    # a deeper one stands in what the block quotes, such as the docstring of a function
    return mark.startswith(opening["mark"]) and not mark.strip(mark[0]) and indent <= len(opening["indent"]) + 3


def _fence(opening: re.Match[str], lines: list[str], *, closed: bool) -> Fence:
    indent = re.compile(f"[ \\t]{{0,{len(opening['indent'])}}}")
    return Fence(opening["language"].lower(), "\n".join(indent.sub("", line, count=1) for line in lines), closed)


def code_blocks(text: str) -> list[str]:
    """Return the contents of the fenced code blocks, whatever language they name; one left open reaches the end."""
    return [fence.code for fence in fences(text)]


_PARSING = threading.Lock()  # what warnings are caught is one setting for all threads


def parsed(source: str) -> ast.Module | None:
    """Return the tree of Python code; None where it is none."""
    with _PARSING, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of escapes that Python does not know, and the like
        try:
            return ast.parse(source)
        except (SyntaxError, ValueError, RecursionError, MemoryError):  # what ast.parse does with hostile text
            return None


def template_leak(text: str) -> str | None:
    """Return the first token of a chat template, or line that begins another turn, that stands in an answer."""
    token = _TEMPLATE_TOKEN.search(text)
    if token:
        return token[0]
    return next((line for line in text.splitlines() if _NEXT_TURN.match(line.strip().lower())), None)
