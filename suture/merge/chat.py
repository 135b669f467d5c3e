"""The chat template of a merge, where it does not come with the tokenizer: of another source, or of the recipe."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from suture.checkpoint.companions import is_companion
from suture.checkpoint.layers import text_section
from suture.checkpoint.strict_json import read_json_object
from suture.checkpoint.tokenizer import TOKENIZER, TOKENIZER_CONFIG, Object, Tokenizer, read_tokenizer
from suture.errors import SourceError
from suture.merge.fit import Layouts
from suture.merge.templates import FORMATS, read_format
from suture.merge.vocabulary import Folders
from suture.recipe import ChatTemplate

TEMPLATE = "chat_template.jinja"
GENERATION = "generation_config.json"

_ID = re.compile(r"(?:^|_)token_(?:id|ids|index)$|^(?:begin_)?suppress_tokens$")
"""Config fields that name tokens by their ids."""
_MARK = re.compile(r"<\|[\w.-]+\|>")
"""What in a template is meant to be a token and nothing else."""
_UNION = "Set `vocabulary: {union: true}`"


@dataclass(frozen=True)
class Chat:
    """A chat template and what goes with it.

    Attributes:
        files: File name -> the file that it is a copy of, or its content.
        ends: Tokens that end an answer, by the result's ids.
    """

    files: dict[str, Path | bytes]
    ends: tuple[int, ...]


def is_of_chat(file: str) -> bool:
    """Return whether a file holds a chat template."""
    return file == "chat_template.json" or file.endswith(".jinja")


def is_token_id(field: str) -> bool:
    """Return whether a field of a config names tokens by their ids."""
    return _ID.search(field) is not None


def token_ids(config: Mapping[str, JsonValue]) -> Object:
    """Return the ids of tokens in a config, wherever they stand in it."""
    tables = (config, text_section(config))
    return {key: value for table in tables for key, value in table.items() if is_token_id(key) and value is not None}


def read_generation(folder: Path) -> Object:
    """Return a checkpoint's generation config; empty if there is none."""
    path = folder / GENERATION
    return read_json_object(path) if path.is_file() else {}


def as_list(value: JsonValue) -> list[JsonValue]:
    """Return a list of one value, or of several or none."""
    return value if isinstance(value, list) else [] if value is None else [value]


def chat_of_source(name: str, layouts: Layouts, folders: Folders, result: Tokenizer) -> Chat:
    """Return the chat template of a source other than the tokenizer's.

    Args:
        name: The source.
        layouts: The sources in use, by name.
        folders: Where their small files are.
        result: The result's tokenizer.

    Raises:
        SourceError: When the source has no template, or its marks would be cut into pieces.
    """
    speaker = _Speaker(name, layouts, folders)
    if not speaker.texts:
        raise SourceError(f"{name} has no chat template.", where=folders[name], expected=TEMPLATE)
    if missing := speaker.missing(result):
        way_out = f"{_UNION}, or take tokenizer and template from one source."
        raise _cut_into_pieces(f"The chat template of {name}", missing, result, way_out)
    files: dict[str, Path | bytes] = {
        file: folders[name] / file for file in layouts[name].files if is_companion(file) and is_of_chat(file)
    }
    return Chat(files | _tokenizer_config(result, speaker.field), speaker.ends(result))


def chat_of_recipe(template: ChatTemplate, result: Tokenizer) -> Chat:
    """Return the chat template that a recipe spells out or names by its format.

    Raises:
        SourceError: When the marks of the format would be cut into pieces.
    """
    if template.jinja is not None:
        text, ends = template.jinja, [_end_of_text(result)]
    else:
        name = str(template.format)
        text, form = read_format(name), FORMATS[name]
        if missing := [mark for mark in form.marks if mark not in result.added]:
            way_out = f"{_UNION} if a source has them, list them in `vocabulary.tokens`, or choose another template."
            raise _cut_into_pieces(f"The chat template {name}", missing, result, way_out)
        ends = [form.end or _end_of_text(result)]
    known = tuple(result.ids[end] for end in ends if end in result.ids)
    return Chat({TEMPLATE: text.encode(), **_tokenizer_config(result, None)}, known)


def most_common_speaker(
    names: Iterable[str], source: str, layouts: Layouts, folders: Folders, result: Tokenizer
) -> str:
    """Return the source whose chat template most sources have, of those whose marks the result has.

    Args:
        names: The sources.
        source: The tokenizer's source; it wins a tie, and is returned if no source has a template.
        layouts: The sources in use, by name.
        folders: Where their small files are.
        result: The result's tokenizer.
    """
    having: dict[str, list[str]] = {}
    for name in dict.fromkeys((source, *names)):
        if (text := _in_use(folders[name])) is not None:
            having.setdefault(text, []).append(name)
    for speakers in sorted(
        having.values(), key=len, reverse=True
    ):  # stable: in a tie the tokenizer's source is first
        name = speakers[0]
        if name == source or not _Speaker(name, layouts, folders).missing(result):
            return name
    return source


def chat_notes(template: ChatTemplate, result: Tokenizer) -> tuple[str, ...]:
    """Return what the user should know of a template of their own."""
    marks = dict.fromkeys(_MARK.findall(template.jinja or ""))
    missing = [mark for mark in marks if mark not in result.added]
    if not missing:
        return ()
    note = f"The chat template uses {', '.join(missing)}: no single tokens of the result, but text cut into pieces."
    return (note,)


class _Speaker:
    """A source that gives the chat template."""

    def __init__(self, name: str, layouts: Layouts, folders: Folders) -> None:
        self._tokenizer = read_tokenizer(folders[name], name)
        self._layout = layouts[name]
        self._folder = folders[name]
        self.field = self._tokenizer.config.get("chat_template")
        self.texts = list(self._texts())

    def missing(self, result: Tokenizer) -> list[str]:
        """Return the marks of the template, such as the end of a turn, that are no tokens of the result."""
        marks = [token for token, entry in self._tokenizer.added.items() if entry["special"]]
        return [mark for mark in marks if mark not in result.ids and any(mark in text for text in self.texts)]

    def ends(self, result: Tokenizer) -> tuple[int, ...]:
        """Return the tokens that end an answer in this source's chats, by the result's ids."""
        settings = token_ids(self._layout.config) | read_generation(self._folder)
        numbers = [number for number in as_list(settings.get("eos_token_id")) if isinstance(number, int)]
        tokens = [self._tokenizer.tokens.get(number) for number in numbers]
        return tuple(result.ids[token] for token in tokens if token in result.ids)

    def _texts(self) -> Iterator[str]:
        for file in filter(is_of_chat, self._layout.files):
            yield (self._folder / file).read_text()
        match self.field:
            case str():
                yield self.field
            case list():  # one for tools, one for everything else
                yield json.dumps(self.field, ensure_ascii=False)
            case _:
                pass


def _in_use(folder: Path) -> str | None:
    """Return the chat template of a source as it is used; a file goes before the tokenizer's config."""
    if not (folder / TOKENIZER).is_file():
        return None
    if (file := folder / TEMPLATE).is_file():
        return file.read_text().rstrip("\n")  # Jinja itself takes the last line's end away
    path = folder / TOKENIZER_CONFIG
    match read_json_object(path).get("chat_template") if path.is_file() else None:
        case str(text):
            return text.rstrip("\n")
        case list(templates):
            return json.dumps(templates)
        case _:
            return None


def _tokenizer_config(result: Tokenizer, field: JsonValue) -> dict[str, Path | bytes]:
    """Return the tokenizer's config with another template, or without any, instead of its own."""
    own = {key: value for key, value in result.config.items() if key != "chat_template"}
    given = {} if field is None else {"chat_template": field}
    return {TOKENIZER_CONFIG: f"{json.dumps(own | given, indent=2, ensure_ascii=False)}\n".encode()}


def _end_of_text(result: Tokenizer) -> str | None:
    match result.config.get("eos_token"):
        case str(token) | {"content": str(token)}:
            return token
        case _:
            return None


def _cut_into_pieces(what: str, missing: Iterable[str], result: Tokenizer, way_out: str) -> SourceError:
    return SourceError(
        f"{what} uses tokens that the result lacks.",
        where="chat_template",
        expected=", ".join(missing),
        found=f"the tokenizer of {result.name}",
        way_out=way_out,
    )
