"""Text to train on and to measure on, pinned by content and split so that no training sees what is measured.

The built-in texts are made of what every Python installation carries, and therefore depend on its version:

    builtin:code     the modules of the standard library that are one file each; split by file
    builtin:prose    the language reference (`pydoc_data.topics`), split by topic, and the English dialogues of
                     the PyPI package chatterbot-corpus (BSD licence), split by the question that opens them

A user's file is a .txt (passages, cut at blank lines) or a .jsonl (one object with a "text" per line), split by the
hash of each document: equal documents fall on one side, wherever they stand. One document in eight is held out.
For training, a .jsonl may hold conversations instead, one per line (see conversations.py).
"""

from __future__ import annotations

import hashlib
import json
import sys
import sysconfig
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import yaml
from pydantic import Field, JsonValue

from suture.conversations import EXPECTED, ChatFormat, Message, read_conversation, recognise
from suture.errors import DataError
from suture.packages import Package, fetch_package
from suture.recipe import Data, Part, Text
from suture.store import canonical_json, durable

PASSAGE_CHARACTERS = 2000
"""Length of a held-out passage, at most where blank lines allow: about one chunk of a perplexity measurement."""

_HELD_OUT_ONE_IN = 8
_CUT = 1
"""Part of the built-in texts' digest; raised when the code below cuts or splits them otherwise."""

_DIALOGUES = Package(
    name="chatterbot-corpus",
    version="1.3.3",
    file="chatterbot_corpus-1.3.3-py2.py3-none-any.whl",
    sha256="86de5300afb9a80826386339d3bec79c0a72eb0358abb8327e2ecef5ae0ce154",
)
_DIALOGUES_FOLDER = "chatterbot_corpus/data/english/"

TextPart = Literal["train", "heldout", "all"]


class PinnedText(Part):
    """A text as a step's spec holds it: known by content."""

    name: str
    """`builtin:code`, `builtin:prose`, or the file's name."""

    part: TextPart
    """Which documents: those for training, those held out, or all (a file that is used for one purpose only)."""

    sha256: str
    """Digest of the whole text, both parts: of the file, or of what a built-in text is made of."""

    weight: float = Field(gt=0)
    """Its share of the blend, relative to the other weights."""

    path: Path | None = Field(default=None, exclude=True)
    """Where the file lies; None for a built-in text."""


class PinnedConversations(PinnedText):
    """Conversations to train on."""

    format: ChatFormat
    """The form in which each line holds one."""


class NumberedConversation(NamedTuple):
    """A conversation and where it stands."""

    where: str
    messages: list[Message]


class Document(NamedTuple):
    """One document; documents of one `group` are never divided between the parts."""

    group: str
    text: str


class _Builtin(NamedTuple):
    """How a built-in text is pinned, without reading all of it, and read."""

    pin: Callable[[], JsonValue]
    read: Callable[[], Iterable[Document]]


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
    if text.text in _BUILTIN:
        return PinnedText(name=text.text, part=part, sha256=_builtin_sha256(text.text), weight=text.weight)
    path = Path(text.text)
    if text.text.startswith("builtin:") or path.suffix not in _READERS:
        raise DataError(
            "There is no such text.",
            where=text.text,
            expected=f"{', '.join(_BUILTIN)}, or a path that ends with {' or '.join(_READERS)}",
        )
    _read_file(path)
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
        DataError: As `pin_text` does; also when a line is not in the form of the first one, or of the one named.
    """
    path = Path(data.text)
    form = data.format
    if path.suffix == ".jsonl" and not data.text.startswith("builtin:"):
        number, first = next(iter(_read_objects(path)), (0, None))
        if first is None:
            raise DataError("The file holds no text.", where=path, expected="at least one line")
        form = recognise(first, f"{path}, line {number}") if form == "auto" else form
    elif form not in ("auto", "text"):
        raise DataError(
            "Only a .jsonl file holds conversations.",
            where=data.text,
            expected="format auto or text",
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
    read_conversations(pinned)
    return pinned


def read_conversations(pinned: PinnedConversations) -> list[NumberedConversation]:
    """Return the conversations of a file's part, each once.

    Raises:
        DataError: When the file is not what was pinned, a line is malformed, or the part is empty.
    """
    assert pinned.path is not None  # noqa: S101 -- there are no built-in conversations
    found: dict[str, NumberedConversation] = {}
    for number, row in _read_objects(pinned.path):
        where = f"{pinned.path}, line {number}"
        messages = read_conversation(row, pinned.format, where)
        found.setdefault(canonical_json([*messages]), NumberedConversation(where, messages))
    _check_unchanged(pinned, durable.sha256_file(pinned.path))
    chosen = [
        conversation
        for text, conversation in found.items()
        if pinned.part == "all" or not _is_held_out(Document(text, text))
    ]
    if not chosen:
        raise _empty_part(pinned)
    return chosen


def read_text(pinned: PinnedText) -> list[str]:
    """Return the documents of a text's part; held-out ones as passages, in an order that mixes their origins.

    Raises:
        DataError: When the text is not what was pinned, or the part is empty.
    """
    if pinned.path is None:
        found, documents = _builtin_sha256(pinned.name), _BUILTIN[pinned.name].read()
    else:
        documents = _read_file(pinned.path)
        found = durable.sha256_file(pinned.path)
    _check_unchanged(pinned, found)
    chosen = [row for row in documents if pinned.part == "all" or _is_held_out(row) == (pinned.part == "heldout")]
    if not chosen:
        raise _empty_part(pinned)
    return _mixed_passages(chosen) if pinned.part == "heldout" else [row.text for row in chosen]


def cut_passages(text: str, characters: int) -> list[str]:
    """Cut a text at blank lines into passages of at most `characters`, where its paragraphs are not longer."""
    passages: list[str] = []
    for paragraph in text.split("\n\n"):
        if passages and len(passages[-1]) + 2 + len(paragraph) <= characters:
            passages[-1] += "\n\n" + paragraph
        else:
            passages.append(paragraph)
    return [passage.strip("\n") for passage in passages if passage.strip()]


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
        expected=f"about one document in {_HELD_OUT_ONE_IN} held out, the others for training",
        way_out="Give more text, or one file to train on and another to measure on.",
    )


def _is_held_out(document: Document) -> bool:
    return int.from_bytes(_hash(document.group)[:4]) % _HELD_OUT_ONE_IN == 0


def _mixed_passages(documents: Iterable[Document]) -> list[str]:
    """Return passages ordered by hash: the first few are a sample of everything, not the first document."""
    passages = {piece for document in documents for piece in cut_passages(document.text, PASSAGE_CHARACTERS)}
    return sorted(passages, key=_hash)


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


# -- built-in texts -------------------------------------------------------------------------------------------


def _builtin_sha256(name: str) -> str:
    content: JsonValue = {"cut": _CUT, "text": name, "content": _BUILTIN[name].pin()}
    return hashlib.sha256(canonical_json(content).encode()).hexdigest()


def _library_files() -> list[Path]:
    """Return the standard library's one-file modules; not what a distribution puts beside them."""
    folder = Path(sysconfig.get_path("stdlib"))
    files = sorted(path for path in folder.glob("*.py") if path.stem in sys.stdlib_module_names)
    if not files:
        raise DataError(
            "This Python comes without the sources of its standard library.",
            where=folder,
            expected="files such as argparse.py",
            way_out="Use a Python installation with sources, or train and measure on a file of your own.",
        )
    return files


def _pin_code() -> JsonValue:
    return [[path.name, durable.sha256_file(path)] for path in _library_files()]


def _read_code() -> Iterator[Document]:
    for path in _library_files():
        yield Document(path.name, path.read_text(encoding="utf-8"))


def _topics() -> dict[str, str]:
    from pydoc_data.topics import topics

    return topics


def _pin_prose() -> JsonValue:
    return [dict(_topics()), _DIALOGUES.sha256]


def _read_prose() -> Iterator[Document]:
    yield from _distinct_topics()
    with zipfile.ZipFile(fetch_package(_DIALOGUES)) as wheel:
        for name in sorted(wheel.namelist()):
            if name.startswith(_DIALOGUES_FOLDER) and name.endswith(".yml"):
                yield from _dialogues(wheel.read(name))


def _distinct_topics() -> Iterator[Document]:
    """Yield the topics, longest first, without paragraphs that stood in an earlier one.

    Many topics repeat parts of others (`class` is all in `compound`): split as they are, the held-out topics would
    be found among those for training.
    """
    seen: set[str] = set()
    for name, text in sorted(_topics().items(), key=lambda item: (-len(item[1]), item[0])):
        paragraphs = [paragraph for paragraph in text.strip("\n").split("\n\n") if paragraph not in seen]
        seen.update(paragraphs)
        if len(paragraphs) > 1:  # more than its heading
            yield Document(name, "\n\n".join(paragraphs))


def _dialogues(content: bytes) -> Iterator[Document]:
    """Yield the conversations of one file, those that open with the same question in one group."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    for turns in yaml.load(content, Loader=loader)["conversations"]:  # noqa: S506 -- both are safe loaders
        lines = [str(turn) for turn in turns]
        yield Document(lines[0].strip().lower(), "\n".join(lines))


_BUILTIN = {
    "builtin:code": _Builtin(_pin_code, _read_code),
    "builtin:prose": _Builtin(_pin_prose, _read_prose),
}

# -- files of the user ----------------------------------------------------------------------------------------


def _read_file(path: Path) -> list[Document]:
    """Return a file's documents, each in a group with its equals."""
    texts = [text for text in _READERS[path.suffix](path, _decode(path)) if text.strip()]
    if not texts:
        raise DataError("The file holds no text.", where=path, expected="at least one document")
    return [Document(text, text) for text in texts]


def _decode(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(
            "The text cannot be read.", where=path, expected="a readable file", found=error.strerror
        ) from error
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(
            "The text is not UTF-8.",
            where=f"{path}, line {line}",
            expected="UTF-8",
            found=f"byte 0x{content[error.start]:02x}: {error.reason}",
            way_out="Convert the file, for instance with iconv.",
        ) from error


def _read_plain(_path: Path, content: str) -> list[str]:
    return cut_passages(content, PASSAGE_CHARACTERS)


def _read_jsonl(path: Path, content: str) -> Iterator[str]:
    for number, line in enumerate(content.split("\n"), start=1):
        if line.strip():
            yield _text_of(line, f"{path}, line {number}")


def _read_objects(path: Path) -> Iterator[tuple[int, dict[str, JsonValue]]]:
    """Yield the lines of a .jsonl file that are not empty, with their numbers."""
    for number, line in enumerate(_decode(path).split("\n"), start=1):
        if line.strip():
            where = f"{path}, line {number}"
            row = _parse(line, where, "one JSON object")
            if not isinstance(row, dict):
                raise DataError("The line is no JSON object.", where=where, expected=EXPECTED, found=line[:200])
            yield number, row


def _parse(line: str, where: str, expected: str) -> JsonValue:
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError("The line is not JSON.", where=where, expected=expected, found=str(error)) from error


def _text_of(line: str, where: str) -> str:
    expected = 'one JSON object with a "text", such as {"text": "..."}'
    row = _parse(line, where, expected)
    text = row.get("text") if isinstance(row, dict) else None
    if not isinstance(text, str):
        raise DataError("The line has no text.", where=where, expected=expected, found=line[:200])
    return text


_READERS: dict[str, Callable[[Path, str], Iterable[str]]] = {".txt": _read_plain, ".jsonl": _read_jsonl}
