"""A pinned text as the file that llama.cpp's tools read."""

from __future__ import annotations

from pathlib import Path

from suture.corpus import PinnedText, read_text

_CHARACTERS_PER_TOKEN = 16
"""More than any tokenizer packs into a token on average: what lies beyond is never measured, so it is not read."""


def write_text(text: PinnedText, tokens: int, file: Path) -> Path:
    """Write as much of a text as surely holds so many tokens, if it has that much.

    Returns:
        The file.

    Raises:
        DataError: When the text is not what was pinned, or the part is empty.
    """
    joined = "\n\n".join(read_text(text))
    file.write_text(joined[: tokens * _CHARACTERS_PER_TOKEN], encoding="utf-8")
    return file
