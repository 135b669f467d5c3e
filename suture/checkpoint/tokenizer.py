"""A tokenizer as its files have it: which token has which id. It is never run.

tokenizer.json          a model (BPE, Unigram, ...) with its vocabulary, and tokens added to it, which are found in a
                        text before the model sees it
tokenizer_config.json   may name further tokens; special_tokens_map.json and added_tokens.json did in older models

A token that is added and not in the model's vocabulary gets its id from the library that reads the file, whatever id
the file states: the next one after the vocabulary. So it is here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import cast

from pydantic import JsonValue

from suture.checkpoint.strict_json import read_json_object
from suture.errors import CheckpointError, SourceError

TOKENIZER = "tokenizer.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
_SPECIAL_TOKENS = "special_tokens_map.json"
_ADDED_TOKENS = "added_tokens.json"
READ = (TOKENIZER, TOKENIZER_CONFIG, _SPECIAL_TOKENS, _ADDED_TOKENS)
"""The files that tell which tokens there are."""

Object = dict[str, JsonValue]

_NAMED = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
_LISTED = ("extra_special_tokens", "additional_special_tokens")
_MAX_ID = 2**24  # the largest vocabularies have 2**18 tokens; an id decides how much memory is taken
_FLAGS = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
"""What an added token is if only its text is given."""


@dataclass(frozen=True)
class Tokenizer:
    """A tokenizer.

    Attributes:
        name: What errors call the model that it belongs to.
        table: Content of tokenizer.json.
        config: Content of tokenizer_config.json; empty if there is none.
        ids: Every token -> its id.
        added: The tokens among them that are found in a text before the model sees it -> how.
    """

    name: str
    table: Object = field(repr=False)
    config: Object = field(repr=False)
    ids: dict[str, int] = field(repr=False)
    added: dict[str, Object] = field(repr=False)

    @property
    def size(self) -> int:
        """The highest id and 1."""
        return max(self.ids.values(), default=-1) + 1

    @cached_property
    def tokens(self) -> dict[int, str]:
        """Id -> its token; some ids may have none."""
        return {number: token for token, number in reversed(self.ids.items())}

    @property
    def model(self) -> Object:
        """The part of tokenizer.json that has the vocabulary."""
        return cast("Object", self.table["model"])

    @cached_property
    def alphabet(self) -> str:
        """How tokens are written: the same text is another token in another alphabet."""
        parts = [self.table.get(part) for part in ("normalizer", "pre_tokenizer", "decoder")]
        text = json.dumps(parts, ensure_ascii=False)
        if '"ByteLevel"' in text:
            return "a character for each byte"
        return "▁ for a space" if "▁" in text or '"Metaspace"' in text else "plain text"

    @property
    def content(self) -> dict[str, bytes]:
        """Its two files."""
        tables = {TOKENIZER: json.dumps(self.table, ensure_ascii=False)}  # indented it would be twice as long
        tables[TOKENIZER_CONFIG] = json.dumps(self.config, ensure_ascii=False, indent=2)
        return {name: f"{text}\n".encode() for name, text in tables.items()}


def read_tokenizer(folder: Path, name: str) -> Tokenizer:
    """Read a tokenizer.

    Args:
        folder: The checkpoint's folder.
        name: What errors call the model.

    Raises:
        SourceError: When there is no tokenizer.json.
        CheckpointError: When one of the files is malformed.
    """
    path = folder / TOKENIZER
    if not path.is_file():
        raise SourceError(
            f"The tokenizer of {name} is missing.",
            where=folder,
            expected=TOKENIZER,
            way_out="A tokenizer of the older kind becomes a tokenizer.json by "
            "AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER).",
        )
    table = read_json_object(path)
    config = _read_optional(folder / TOKENIZER_CONFIG)
    ids, added = assign_ids(table, path, dict(_further_tokens(folder, config)))
    return Tokenizer(name, table, config, ids, added)


def special_token(token: str) -> Object:
    """Return what tokenizer.json says of a special token of which the text alone is known."""
    return _entry(token, {})


def assign_ids(
    table: Object, where: str | Path, further: Mapping[str, Object] | None = None
) -> tuple[dict[str, int], dict[str, Object]]:
    """Return the ids that the library which reads a tokenizer.json gives its tokens.

    Args:
        table: Content of tokenizer.json.
        where: What errors call it.
        further: Tokens that are added later, and what tokenizer.json would say of them.

    Returns:
        Token -> id; and those of them that are added, with what there is to say of them.

    Raises:
        CheckpointError: When the table is malformed.
    """
    vocabulary = _vocabulary(table.get("model"), where)
    ids = dict(vocabulary)
    added: dict[str, Object] = {}
    for batch in (dict(_listed_tokens(table, where)), further or {}):
        following = max(len(vocabulary), *(ids[token] + 1 for token in added), 0)
        for token, entry in batch.items():
            if token not in ids:
                ids[token] = following
                following += 1
            added.setdefault(token, entry)
    return ids, added


def _read_optional(path: Path) -> Object:
    return read_json_object(path) if path.is_file() else {}


def _vocabulary(model: JsonValue, where: str | Path) -> dict[str, int]:
    """Return token -> id of a model: an object, or for Unigram a list of tokens and their scores."""
    match model:
        case {"vocab": dict(vocabulary)} if all(map(_is_id, vocabulary.values())):
            return cast("dict[str, int]", vocabulary)
        case {"vocab": list(pieces)} if all(isinstance(piece, list) and piece for piece in pieces):
            return {str(cast("list[JsonValue]", piece)[0]): number for number, piece in enumerate(pieces)}
        case _:
            raise CheckpointError("The tokenizer's vocabulary is malformed.", where=where, expected="token: id, ...")


def _is_id(value: JsonValue) -> bool:
    return type(value) is int and 0 <= value < _MAX_ID


def _listed_tokens(table: Object, where: str | Path) -> Iterator[tuple[str, Object]]:
    entries = table.get("added_tokens") or []
    for entry in entries if isinstance(entries, list) else [entries]:
        match entry:
            case {"content": str(token)}:
                yield token, _entry(token, entry)
            case _:
                raise CheckpointError("An added token is malformed.", where=where, found=ascii(entry)[:200])


def _further_tokens(folder: Path, config: Object) -> Iterator[tuple[str, Object]]:
    """Yield the tokens that the files beside tokenizer.json name, as transformers adds them."""
    older: Object = {}
    match config.get("added_tokens_decoder"):
        case dict(decoder):
            for _, entry in sorted(decoder.items(), key=lambda item: _number(item[0])):
                yield from _token(entry)
        case _:
            older = _read_optional(folder / _SPECIAL_TOKENS)
            numbered = _read_optional(folder / _ADDED_TOKENS)
            yield from ((token, _entry(token, {"special": False})) for token in numbered)
    named = older | {key: value for key, value in config.items() if value}
    for key in _NAMED:
        yield from _token(named.get(key))
    for key in _LISTED:
        tokens = named.get(key)
        for token in tokens if isinstance(tokens, list) else []:
            yield from _token(token)


def _number(text: str) -> int:
    """Return the id that a name of `added_tokens_decoder` spells; 0 if it spells none."""
    return int(text) if text.isdecimal() and len(text) < 10 else 0


def _token(value: JsonValue) -> Iterator[tuple[str, Object]]:
    match value:
        case str() if value:
            yield value, _entry(value, {})
        case {"content": str(token)}:
            yield token, _entry(token, value)
        case _:  # null, or what another class of tokenizers keeps there
            pass


def _entry(token: str, value: Object) -> Object:
    return {"content": token} | {key: value.get(key, usual) for key, usual in _FLAGS.items()}
