"""The files beside the weights of a merge, and what its config says of the tokens: of one source each, none stale.

tokenizer            the vocabulary's source; files that know its tokens only, and not those of a union, are left out
chat template        the source that the recipe names, else the tokenizer's
generation config    the base; ids of tokens as the tokenizer has them
everything else      the base: licence, image processor
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

from pydantic import JsonValue

from suture.checkpoint.companions import is_companion
from suture.checkpoint.layers import text_section
from suture.checkpoint.strict_json import read_json_object
from suture.checkpoint.tokenizer import TOKENIZER, TOKENIZER_CONFIG, Object, Tokenizer, read_tokenizer
from suture.errors import SourceError
from suture.merge.fit import Layouts
from suture.merge.vocabulary import Folders, MergedVocabulary
from suture.recipe.merge import Blend, Passthrough

Files = dict[str, Path | bytes]
"""File name -> the file that it is a copy of, or its content."""

GENERATION = "generation_config.json"

_OLDER = ("added_tokens.json", "vocab.json", "vocab.txt", "merges.txt")
_OLDER_SUFFIXES = (".model", ".tiktoken")
"""Files that hold the vocabulary again, in other forms."""
_TOKENIZER_FILES = (TOKENIZER, TOKENIZER_CONFIG, "special_tokens_map.json", *_OLDER)
_ID = re.compile(r"(?:^|_)token_(?:id|ids|index)$|^(?:begin_)?suppress_tokens$")
"""Config fields that name tokens by their ids."""
_MAY_BE_NONE = ("bos_token_id", "eos_token_id", "pad_token_id", "sep_token_id", "decoder_start_token_id")


def companion_files(
    merge: Blend | Passthrough, layouts: Layouts, folders: Folders, vocabulary: MergedVocabulary | None
) -> Files:
    """Return every file of the result beside its weights and config.json.

    Args:
        merge: What the recipe asks for.
        layouts: The sources in use, by name.
        folders: Where their small files are.
        vocabulary: What `merge_vocabulary` returned, if the merge has a vocabulary of its own.

    Raises:
        SourceError: When the source of the chat template has none, or it uses tokens that the result lacks.
        CheckpointError: When one of the files is malformed.
    """
    source = vocabulary.source if vocabulary else merge.base
    speaker = merge.chat_template or source

    def taken(name: str) -> Files:
        return {file: folders[name] / file for file in layouts[name].files if is_companion(file)}

    files = {file: path for file, path in taken(merge.base).items() if not (_of_tokenizer(file) or _of_chat(file))}
    files |= {file: path for file, path in taken(source).items() if _of_tokenizer(file)}
    files |= {file: path for file, path in taken(speaker).items() if _of_chat(file)}
    if vocabulary and vocabulary.is_extended:
        files = {file: path for file, path in files.items() if not _is_older(file)} | vocabulary.tokenizer.content
    if speaker != source:
        result = vocabulary.tokenizer if vocabulary else read_tokenizer(folders[source], source)
        templates = _Templates(read_tokenizer(folders[speaker], speaker), layouts, folders)
        templates.check(result)
        files |= templates.put_into(result)
        files |= _generation(merge, layouts, folders, vocabulary, ends=templates.ends(result))
    elif source != merge.base:
        files |= _generation(merge, layouts, folders, vocabulary)
    return files


def write_companions(files: Mapping[str, Path | bytes], target: Path) -> None:
    """Write what `companion_files` returned into the new checkpoint's folder."""
    for file, made in files.items():
        (target / file).write_bytes(made if isinstance(made, bytes) else made.read_bytes())


def vocabulary_config(
    config: Mapping[str, JsonValue], merge: Blend | Passthrough, layouts: Layouts, vocabulary: MergedVocabulary
) -> dict[str, JsonValue]:
    """Return a merge's config with the number of rows and the ids of tokens that its vocabulary has.

    Args:
        config: The config, with the base's vocabulary.
        merge: What the recipe asks for.
        layouts: The sources in use, by name.
        vocabulary: What `merge_vocabulary` returned.

    Raises:
        SourceError: When the config names a token that the vocabulary lacks, such as that of an image.
    """
    changed = copy.deepcopy(dict(config))
    if vocabulary.source != merge.base:
        changed = _Ids(vocabulary).follow(changed, layouts[vocabulary.source].config)
    before = vocabulary.tensors[merge.base].rows
    if vocabulary.rows != before:
        section = cast("Object", text_section(changed))
        for table in (changed, section):
            table |= {key: vocabulary.rows for key in table if "vocab_size" in key and table[key] == before}
        section["vocab_size"] = vocabulary.rows
    return changed


def _of_tokenizer(file: str) -> bool:
    return file in _TOKENIZER_FILES or file.endswith(_OLDER_SUFFIXES)


def _of_chat(file: str) -> bool:
    return file == "chat_template.json" or file.endswith(".jinja")


def _is_older(file: str) -> bool:
    return file in _OLDER or file.endswith(_OLDER_SUFFIXES)


def _generation(
    merge: Blend | Passthrough,
    layouts: Layouts,
    folders: Folders,
    vocabulary: MergedVocabulary | None,
    *,
    ends: tuple[int, ...] = (),
) -> Files:
    """Return the generation config with the vocabulary's ids, and further tokens that end an answer."""
    settings = _read_generation(folders[merge.base])
    if vocabulary and vocabulary.source != merge.base:
        source = vocabulary.source
        donor = _read_generation(folders[source]) or _token_ids(layouts[source].config)
        settings = _Ids(vocabulary).follow(settings, donor)
    else:
        donor = settings or _token_ids(layouts[merge.base].config)
    known = _as_list(settings.get("eos_token_id", donor.get("eos_token_id")))
    if new := [number for number in ends if number not in known]:
        settings = settings | {"eos_token_id": [*known, *new]}
    return {GENERATION: f"{json.dumps(settings, indent=2)}\n".encode()} if settings else {}


def _read_generation(folder: Path) -> Object:
    path = folder / GENERATION
    return read_json_object(path) if path.is_file() else {}


def _token_ids(config: Mapping[str, JsonValue]) -> Object:
    """Return the ids of tokens in a config, wherever they stand in it."""
    tables = (config, text_section(config))
    return {key: value for table in tables for key, value in table.items() if _ID.search(key) and value is not None}


def _as_list(value: JsonValue) -> list[JsonValue]:
    return value if isinstance(value, list) else [] if value is None else [value]


class _Ids:
    """Turns ids of the base's tokens into those that another source's tokenizer has."""

    def __init__(self, vocabulary: MergedVocabulary) -> None:
        self._tokens = vocabulary.tokenizers[vocabulary.base].tokens
        self._ids = vocabulary.tokenizer.ids
        self._source = vocabulary.source

    def follow(self, table: Object, donor: Mapping[str, JsonValue]) -> Object:
        """Return a config of the base with the ids that the source's config has, else those of the same tokens."""
        changed: Object = {}
        for key, value in table.items():
            if isinstance(value, dict):
                inner = donor.get(key)
                changed[key] = self.follow(value, inner if isinstance(inner, dict) else {})
            elif _ID.search(key):
                changed[key] = donor[key] if key in donor else self._turn(key, value)
            else:
                changed[key] = value
        return changed

    def _turn(self, key: str, value: JsonValue) -> JsonValue:
        if isinstance(value, list):
            return [number for entry in value if (number := self._turn_one(entry)) is not None]
        if isinstance(value, int) and value < 0:  # a placeholder that is no token
            return value
        number = self._turn_one(value)
        if number is None and value is not None and key not in _MAY_BE_NONE:
            raise SourceError(
                f"The tokenizer of {self._source} lacks a token that the config needs.",
                where=f"{key} in config.json",
                expected=self._tokens.get(value, f"token {value}") if isinstance(value, int) else value,
                way_out="Set `vocabulary: {union: true}`, or take the tokenizer of another source.",
            )
        return number

    def _turn_one(self, number: JsonValue) -> JsonValue:
        token = self._tokens.get(number) if isinstance(number, int) else None
        return None if token is None else self._ids.get(token)


class _Templates:
    """The chat template of another source than the tokenizer's."""

    def __init__(self, speaker: Tokenizer, layouts: Layouts, folders: Folders) -> None:
        self._speaker = speaker
        self._field = speaker.config.get("chat_template")
        self._layout = layouts[speaker.name]
        self._folder = folders[speaker.name]

    def check(self, result: Tokenizer) -> None:
        """Refuse a template whose marks, such as the end of a turn, would be cut into pieces."""
        texts = list(self._texts())
        name = self._speaker.name
        if not texts:
            raise SourceError(f"{name} has no chat template.", where=self._folder, expected="chat_template.jinja")
        marks = [token for token, entry in self._speaker.added.items() if entry["special"]]
        missing = [mark for mark in marks if mark not in result.ids and any(mark in text for text in texts)]
        if missing:
            raise SourceError(
                f"The chat template of {name} uses tokens that the result lacks.",
                where="chat_template",
                expected=", ".join(missing),
                found=f"the tokenizer of {result.name}",
                way_out="Set `vocabulary: {union: true}`, or take tokenizer and template from one source.",
            )

    def put_into(self, result: Tokenizer) -> Files:
        """Return the tokenizer's config with this template instead of its own."""
        own = {key: value for key, value in result.config.items() if key != "chat_template"}
        given = {} if self._field is None else {"chat_template": self._field}
        return {TOKENIZER_CONFIG: f"{json.dumps(own | given, indent=2, ensure_ascii=False)}\n".encode()}

    def ends(self, result: Tokenizer) -> tuple[int, ...]:
        """Return the tokens that end an answer in the speaker's chats, by the result's ids."""
        settings = _token_ids(self._layout.config) | _read_generation(self._folder)
        tokens = [
            self._speaker.tokens.get(number)
            for number in _as_list(settings.get("eos_token_id"))
            if isinstance(number, int)
        ]
        return tuple(result.ids[token] for token in tokens if token in result.ids)

    def _texts(self) -> Iterator[str]:
        for file in filter(_of_chat, self._layout.files):
            yield (self._folder / file).read_text()
        match self._field:
            case str():
                yield self._field
            case list():  # one for tools, one for everything else
                yield json.dumps(self._field, ensure_ascii=False)
            case _:
                pass
