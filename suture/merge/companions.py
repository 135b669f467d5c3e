"""The files beside the weights of a merge, and what its config says of the tokens: of one source each, none stale.

tokenizer            the vocabulary's source; files that know its tokens only, and not those of a union, are left out
chat template        the source that the recipe names, or the recipe itself, else the tokenizer's
generation config    the base; ids of tokens as the tokenizer has them
everything else      the base: licence, image processor
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from pydantic import JsonValue

from suture.checkpoint.companions import is_companion
from suture.checkpoint.layers import text_section
from suture.checkpoint.tokenizer import TOKENIZER, TOKENIZER_CONFIG, Object, Tokenizer, read_tokenizer
from suture.errors import SourceError
from suture.merge.chat import (
    GENERATION,
    Chat,
    as_list,
    chat_of_recipe,
    chat_of_source,
    is_of_chat,
    is_token_id,
    most_common_speaker,
    read_generation,
    token_ids,
)
from suture.merge.fit import Layouts
from suture.merge.vocabulary import Folders, MergedVocabulary
from suture.recipe import Blend, Passthrough

Files = dict[str, Path | bytes]
"""File name -> the file that it is a copy of, or its content."""

_OLDER = ("added_tokens.json", "vocab.json", "vocab.txt", "merges.txt")
_OLDER_SUFFIXES = (".model", ".tiktoken")
"""Files that hold the vocabulary again, in other forms."""
_TOKENIZER_FILES = (TOKENIZER, TOKENIZER_CONFIG, "special_tokens_map.json", *_OLDER)
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

    def taken(name: str) -> Files:
        return {file: folders[name] / file for file in layouts[name].files if is_companion(file)}

    files = {file: path for file, path in taken(merge.base).items() if not (_of_tokenizer(file) or is_of_chat(file))}
    files |= {file: path for file, path in taken(source).items() if _of_tokenizer(file)}
    if vocabulary and vocabulary.is_extended:
        files = {file: path for file, path in files.items() if not _is_older(file)} | vocabulary.tokenizer.content
    chat = None
    if merge.chat_template not in (None, source):
        result = vocabulary.tokenizer if vocabulary else read_tokenizer(folders[source], source)
        chat = _other_chat(merge, source, layouts, folders, result)
    files |= chat.files if chat else {file: path for file, path in taken(source).items() if is_of_chat(file)}
    if chat or source != merge.base:
        files |= _generation(merge, layouts, folders, vocabulary, ends=chat.ends if chat else ())
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


def _other_chat(
    merge: Blend | Passthrough, source: str, layouts: Layouts, folders: Folders, result: Tokenizer
) -> Chat | None:
    """Return the chat template that the recipe asks for; None if it comes with the tokenizer after all."""
    speaker = merge.chat_template
    if not isinstance(speaker, str):
        if speaker is None or speaker.format != "auto":
            return chat_of_recipe(speaker, result) if speaker else None
        speaker = most_common_speaker(merge.sources, source, layouts, folders, result)
    return None if speaker == source else chat_of_source(speaker, layouts, folders, result)


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
    settings = read_generation(folders[merge.base])
    if vocabulary and vocabulary.source != merge.base:
        source = vocabulary.source
        donor = read_generation(folders[source]) or token_ids(layouts[source].config)
        settings = _Ids(vocabulary).follow(settings, donor)
    else:
        donor = settings or token_ids(layouts[merge.base].config)
    known = as_list(settings.get("eos_token_id", donor.get("eos_token_id")))
    if new := [number for number in ends if number not in known]:
        settings = settings | {"eos_token_id": [*known, *new]}
    return {GENERATION: f"{json.dumps(settings, indent=2)}\n".encode()} if settings else {}


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
            elif is_token_id(key):
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
