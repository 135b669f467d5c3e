"""How a text is cut into passages, and documents are divided into those for training and those held out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from suture.corpus.form import Document

PASSAGE_CHARACTERS = 2000
"""Length of a held-out passage, at most where blank lines allow: about one chunk of a perplexity measurement."""

HELD_OUT_ONE_IN = 8


def cut_passages(text: str, characters: int) -> list[str]:
    """Cut a text at blank lines into passages of at most `characters`, where its paragraphs are not longer."""
    passages: list[str] = []
    for paragraph in text.split("\n\n"):
        if passages and len(passages[-1]) + 2 + len(paragraph) <= characters:
            passages[-1] += "\n\n" + paragraph
        else:
            passages.append(paragraph)
    return [passage.strip("\n") for passage in passages if passage.strip()]


def is_held_out(group: str) -> bool:
    """Return whether the documents of a group are kept from every training."""
    return int.from_bytes(digest_of(group)[:4]) % HELD_OUT_ONE_IN == 0


def mixed_passages(documents: Iterable[Document]) -> list[str]:
    """Return passages ordered by hash: the first few are a sample of everything, not the first document."""
    passages = {piece for document in documents for piece in cut_passages(document.text, PASSAGE_CHARACTERS)}
    return sorted(passages, key=digest_of)


def digest_of(text: str) -> bytes:
    """Return the sha256 of a text."""
    return hashlib.sha256(text.encode()).digest()
