"""Reading: the documents or conversations of a pinned text."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from suture.conversations import ChatFormat, Message, read_conversation, recognise
from suture.corpus.builtin import BUILTIN, builtin_sha256
from suture.corpus.form import Document, NumberedConversation, PinnedConversations, PinnedDataset, PinnedText
from suture.corpus.passages import (
    HELD_OUT_ONE_IN,
    PASSAGE_CHARACTERS,
    cut_passages,
    digest_of,
    is_held_out,
    mixed_passages,
)
from suture.corpus.rows import Row, decode, read_rows
from suture.errors import DataError
from suture.store import durable

PLAIN = ".txt"


def form_of(pinned: PinnedText) -> ChatFormat | Literal["text"]:
    """Return what the rows of a text hold; of a data set that names no form, by its first row.

    Raises:
        DataError: When the data set is empty, or its first row has none of the known forms.
    """
    if isinstance(pinned, PinnedConversations):
        return pinned.format
    if not isinstance(pinned, PinnedDataset):
        return "text"
    if pinned.format != "auto":
        return pinned.format
    first = next(_rows_of(pinned), None)
    if first is None:
        raise DataError("The data set is empty.", where=pinned.name, expected="at least one row")
    return recognise(first.fields, first.where)


def read_conversations(pinned: PinnedText) -> Iterator[NumberedConversation]:
    """Yield the conversations of a text's part, each once, in the order of its files.

    Raises:
        DataError: When a row is malformed; at the end, when the file is not what was pinned, or the part is empty.
    """
    form = form_of(pinned)
    assert form != "text"  # noqa: S101 -- the caller has asked
    seen: set[bytes] = set()
    chosen = 0
    for row in _rows_of(pinned):
        messages = read_conversation(row.fields, form, row.where)
        text = _one_text_of(messages)
        digest = digest_of(text)
        if digest not in seen and (pinned.part == "all" or not is_held_out(text)):
            chosen += 1
            yield NumberedConversation(row.where, messages, digest)
        seen.add(digest)
    if not isinstance(pinned, PinnedDataset):
        _check_unchanged(pinned, durable.sha256_file(_file_of(pinned)))
    if not chosen:
        raise _empty_part(pinned)


def read_text(pinned: PinnedText) -> list[str]:
    """Return the documents of a text's part; held-out ones as passages, in an order that mixes their origins.

    Raises:
        DataError: When the text is not what was pinned, or the part is empty.
    """
    documents = _documents(pinned)
    chosen = [
        row for row in documents if pinned.part == "all" or is_held_out(row.group) == (pinned.part == "heldout")
    ]
    if not chosen:
        raise _empty_part(pinned)
    return mixed_passages(chosen) if pinned.part == "heldout" else [row.text for row in chosen]


def documents_of(path: Path) -> list[Document]:
    """Return a file's documents, each in a group with its equals.

    Raises:
        DataError: When the file is empty, malformed or not UTF-8.
    """
    texts = _plain(path) if path.suffix == PLAIN else map(_text_of, read_rows(path, str(path)))
    found = [Document(text, text) for text in texts if text.strip()]
    if not found:
        raise DataError("The file holds no text.", where=path, expected="at least one document")
    return found


def _documents(pinned: PinnedText) -> Iterable[Document]:
    if isinstance(pinned, PinnedDataset):
        return [Document(text, text) for text in map(_text_of, _rows_of(pinned)) if text.strip()]
    if pinned.path is None:
        found, documents = builtin_sha256(pinned.name), BUILTIN[pinned.name].read()
    else:
        documents = documents_of(pinned.path)
        found = durable.sha256_file(pinned.path)
    _check_unchanged(pinned, found)
    return documents


def _rows_of(pinned: PinnedText) -> Iterator[Row]:
    file = _file_of(pinned)
    if isinstance(pinned, PinnedDataset):
        for name in pinned.files:
            yield from read_rows(file / name, f"{pinned.name}: {name}")
    else:
        yield from read_rows(file, str(file))


def _one_text_of(messages: list[Message]) -> str:
    """Return the same text for equal conversations; a NaN beside what is said does no harm."""
    return json.dumps(messages, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _file_of(pinned: PinnedText) -> Path:
    assert pinned.path is not None  # noqa: S101 -- built-in texts have no rows, and a data set is fetched by now
    return pinned.path


def _plain(path: Path) -> list[str]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(
            "The text cannot be read.", where=path, expected="a readable file", found=error.strerror
        ) from error
    return cut_passages(decode(content, str(path)).replace("\r\n", "\n"), PASSAGE_CHARACTERS)


def _text_of(row: Row) -> str:
    text = row.fields.get("text")
    if not isinstance(text, str):
        raise DataError(
            "The row has no text.",
            where=row.where,
            expected='a "text", such as {"text": "..."}',
            found=f"fields {', '.join(row.fields) or 'none'}" if text is None else f"text is {type(text).__name__}",
        )
    return text


def _check_unchanged(pinned: PinnedText, found: str) -> None:
    if found != pinned.sha256:
        raise DataError(
            "The text has changed since it was pinned.",
            where=pinned.path or pinned.name,
            expected=pinned.sha256,
            found=found,
            way_out="Run the recipe again: what depends on this text is made anew.",
        )


def _empty_part(pinned: PinnedText) -> DataError:
    return DataError(
        f"No document of this text falls into its {pinned.part} part.",
        where=pinned.path or pinned.name,
        expected=f"about one document in {HELD_OUT_ONE_IN} held out, the others for training",
        way_out="Give more text, or one file to train on and another to measure on.",
    )
