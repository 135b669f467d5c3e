"""Pinning: a recipe's text, known by its content."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from suture.conversations import recognise
from suture.corpus.builtin import BUILTIN, builtin_sha256
from suture.corpus.form import PinnedConversations, PinnedText
from suture.corpus.read import PLAIN, documents_of, read_conversations
from suture.corpus.rows import READERS, read_rows
from suture.errors import DataError
from suture.recipe import Data, Text
from suture.store import durable


def pin_text(text: Text, part: Literal["train", "heldout"], *, alone: bool = False) -> PinnedText:
    """Pin a recipe's text by its content.

    Args:
        text: As the recipe has it.
        part: What it is for.
        alone: The recipe uses this file for nothing else, so that all of it can be used. A built-in text always
            keeps its held-out part.

    Raises:
        DataError: When there is no such text, or the file is empty, malformed or not UTF-8.
    """
    if text.text in BUILTIN:
        return PinnedText(name=text.text, part=part, sha256=builtin_sha256(text.text), weight=text.weight)
    path = Path(text.text)
    if text.text.startswith("builtin:") or path.suffix not in (PLAIN, *READERS):
        raise DataError(
            "There is no such text.",
            where=text.text,
            expected=f"{', '.join(BUILTIN)}, or a path that ends with {', '.join((PLAIN, *READERS))}",
        )
    documents_of(path)
    return PinnedText(
        name=path.name,
        part="all" if alone else part,
        sha256=durable.sha256_file(path),
        weight=text.weight,
        path=path,
    )


def pin_data(data: Data, *, alone: bool) -> PinnedText | PinnedConversations:
    """Pin what a training reads, like `pin_text`; of a file of conversations with the form they are in.

    Raises:
        DataError: As `pin_text` does; also when a row is not in the form of the first one, or of the one named.
    """
    path = Path(data.text)
    form = data.format
    if path.suffix in READERS and not data.text.startswith("builtin:"):
        if form == "auto":
            form = _recognised(path)
    elif form not in ("auto", "text"):
        raise DataError(
            "This text holds no conversations.",
            where=data.text,
            expected=f"format auto or text; conversations are in {', '.join(READERS)} files",
            found=form,
        )
    if form in ("auto", "text"):
        return pin_text(data, "train", alone=alone)
    pinned = PinnedConversations(
        name=path.name,
        part="all" if alone else "train",
        sha256=durable.sha256_file(path),
        weight=data.weight,
        path=path,
        format=form,
    )
    for _ in read_conversations(pinned):
        pass
    return pinned


def _recognised(path: Path) -> Literal["text", "messages", "sharegpt", "alpaca", "prompt_completion"]:
    first = next(read_rows(path, str(path)), None)
    if first is None:
        raise DataError("The file holds no text.", where=path, expected="at least one row")
    return recognise(first.fields, first.where)
