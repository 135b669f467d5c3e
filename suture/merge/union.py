"""One tokenizer of several: the union of their vocabularies.

Tokens that a tokenizer adds to its model are found in a text as they are, so that any other one can add them too. The
model's own vocabulary comes out of a text by merges alone: a token without its merges would never be seen. So it is
taken over with them, which is possible between BPE models that prepare texts alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import cast

from pydantic import JsonValue

from suture.checkpoint.tokenizer import TOKENIZER, Object, Tokenizer, assign_ids
from suture.errors import CheckpointError, SourceError

_MODEL_SETTINGS = ("continuing_subword_prefix", "end_of_word_suffix", "byte_fallback", "ignore_merges")


def extend_tokenizer(first: Tokenizer, others: Iterable[Tokenizer]) -> Tokenizer:
    """Return a tokenizer with the tokens of several: the ids of the first stay, what others have beside follows.

    The first one's merges go first: a text is cut as it cuts it, and then further wherever merges of the others go on
    from there. Without ordinary tokens of others, all texts are cut as ever but for the added tokens in them.

    Returns:
        The first one itself if it lacks nothing.

    Raises:
        SourceError: When another one's vocabulary cannot be taken over, with the reason.
    """
    ids, added = dict(first.ids), dict(first.added)
    joined: list[Tokenizer] = []
    for other in others:
        missing = [token for token in sorted(other.ids, key=other.ids.__getitem__) if token not in ids]
        if ordinary := [token for token in missing if token not in other.added]:
            _check_joinable(first, other, ordinary)
            joined.append(other)
        ids |= {token: number for number, token in enumerate(missing, max(ids.values(), default=-1) + 1)}
        takes = {*missing, *_unused_marks(first, other, added)}
        added |= {token: entry for token, entry in other.added.items() if token in takes}
    if len(ids) == len(first.ids) and len(added) == len(first.added):
        return first
    table = _extended_table(first, ids, added, joined)
    extended = Tokenizer(first.name, table, _extended_config(first.config, ids, added), ids, added)
    _check_ids(extended)
    return extended


def add_tokens(tokenizer: Tokenizer, entries: Mapping[str, Object]) -> Tokenizer:
    """Return a tokenizer that finds further tokens in a text; the tokenizer itself if it has them all.

    Args:
        tokenizer: The tokenizer.
        entries: The tokens, and what tokenizer.json is to say of them.

    Raises:
        SourceError: When its ids have holes, so that new tokens would get others than stated.
    """
    new = {token: entry for token, entry in entries.items() if token not in tokenizer.ids}
    if not new:
        return tokenizer
    ids = tokenizer.ids | {token: number for number, token in enumerate(new, tokenizer.size)}
    added = tokenizer.added | new
    table = _extended_table(tokenizer, ids, added, ())
    extended = Tokenizer(tokenizer.name, table, _extended_config(tokenizer.config, ids, added), ids, added)
    _check_ids(extended)
    return extended


def _unused_marks(first: Tokenizer, other: Tokenizer, added: Mapping[str, Object]) -> list[str]:
    """Return the other's special tokens, such as the end of a turn, that lie unused in the first one's vocabulary.

    No merge makes them of a text there, so that a text would never have them unless they are added.
    """
    marks = [token for token, entry in other.added.items() if entry["special"] and token not in added]
    if not marks or first.model.get("type") != "BPE":
        return []
    made = {left + right for left, right in _merges(first)}
    return [token for token in marks if token in first.ids and token not in made and len(token) > 1]


def _check_joinable(first: Tokenizer, other: Tokenizer, ordinary: Sequence[str]) -> None:
    differing = [
        *(part for part in ("normalizer", "pre_tokenizer") if _bare(first.table, part) != _bare(other.table, part)),
        *(part for part in _MODEL_SETTINGS if (first.model.get(part) or None) != (other.model.get(part) or None)),
    ]
    kinds = [tokenizer.model.get("type") for tokenizer in (first, other)]
    if kinds == ["BPE", "BPE"] and not differing and first.alphabet == other.alphabet:
        return
    shown = ", ".join(repr(token) for token in ordinary[:3])
    raise SourceError(
        f"The vocabulary of {other.name} cannot be united with that of {first.name}: its own {len(ordinary)} tokens "
        f"({shown} ...) would never come out of a text.",
        where=TOKENIZER,
        expected="two BPE models that prepare texts alike",
        found=" and ".join(map(str, kinds)) if kinds != ["BPE", "BPE"] else f"another {', '.join(differing)}",
        way_out="Leave `union` out: the result then has the tokens of one source, and the others are aligned to it.",
    )


def _bare(table: Object, part: str) -> JsonValue:
    """Return a part of tokenizer.json without what does not change the tokens."""

    def bare(value: JsonValue) -> JsonValue:
        match value:
            case dict():
                return {key: bare(entry) for key, entry in value.items() if key != "trim_offsets"}
            case list():
                return [bare(entry) for entry in value]
            case _:
                return value

    return bare(table.get(part))


def _extended_table(
    first: Tokenizer, ids: Mapping[str, int], added: Mapping[str, Object], joined: Sequence[Tokenizer]
) -> Object:
    listed: list[JsonValue] = [{"id": ids[token]} | added[token] for token in sorted(added, key=ids.__getitem__)]
    new: Object = {"added_tokens": listed}
    if not joined:
        return first.table | new
    # Added tokens are numbered from the end of the model's vocabulary, which grows: to keep their ids they go
    # into it. No merge leads to them, so that the model never makes one.
    vocabulary: Object = {token: ids[token] for token in sorted(ids, key=ids.__getitem__)}
    merges = dict.fromkeys(merge for tokenizer in (first, *joined) for merge in _merges(tokenizer))
    model: Object = {"vocab": vocabulary, "merges": [[left, right] for left, right in merges]}
    new["model"] = first.model | model
    return first.table | new


def _merges(tokenizer: Tokenizer) -> Iterator[tuple[str, str]]:
    """Yield the pairs that a BPE model merges; older files write a pair as one text."""
    for merge in cast("list[JsonValue]", tokenizer.model.get("merges") or []):
        match merge.split(" ") if isinstance(merge, str) else merge:
            case [str(left), str(right)]:
                yield left, right
            case _:
                raise CheckpointError(
                    f"The tokenizer of {tokenizer.name} is malformed.",
                    where=TOKENIZER,
                    expected="merges of two tokens",
                    found=ascii(merge)[:200],
                )


def _extended_config(config: Object, ids: Mapping[str, int], added: Mapping[str, Object]) -> Object:
    """Return tokenizer_config.json with all added tokens: if it lists them, transformers may add no others."""
    if not isinstance(config.get("added_tokens_decoder"), dict):
        return config
    new: Object = {
        "added_tokens_decoder": {str(ids[token]): added[token] for token in sorted(added, key=ids.__getitem__)}
    }
    return config | new


def _check_ids(extended: Tokenizer) -> None:
    """Refuse a tokenizer whose tokens will not have the ids that they should have when its file is read."""
    found, _ = assign_ids(extended.table, TOKENIZER)
    wrong = next((token for token, number in extended.ids.items() if found[token] != number), None)
    if wrong is not None:
        raise SourceError(
            f"The tokenizer of {extended.name} cannot take more tokens: its ids have holes.",
            where=TOKENIZER,
            expected=f"id {extended.ids[wrong]} for {wrong!r}",
            found=found[wrong],
            way_out="Leave out `union` and new tokens, or take the tokenizer of another source.",
        )
