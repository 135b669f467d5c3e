"""The tokens of a merge: which they are, and which row of which source stands for each of them.

    merged = merge_vocabulary(merge, layouts, folders)
    merged.rows                                    # of the embedding and the head
    merged.row_map("b", "model.embed_tokens.weight").runs()

An embedding's rows mean something through the tokenizer alone: the same row is another token in another vocabulary.
So each source is seen through a row map, in which row k belongs to token k of the result, whatever its number in the
source is.
"""

from __future__ import annotations

import filecmp
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from suture.checkpoint.layout import Layout
from suture.checkpoint.tokenizer import READ, TOKENIZER, Tokenizer, read_tokenizer
from suture.errors import SourceError
from suture.merge.chosen import ChosenRow, choose_rows, new_entries
from suture.merge.fit import Layouts
from suture.merge.rows import Numbers, RowMap, TokenTensors, find_token_tensors, stated_rows
from suture.merge.union import add_tokens, extend_tokenizer
from suture.recipe import Blend, Passthrough, Vocabulary

Folders = Mapping[str, Path]
"""Source -> the folder with its small files; the weights need not be there yet."""

_ALIKE = 0.9
"""Share of the ids that must be the same token in two vocabularies, for their rows to be blended as they are."""


@dataclass(frozen=True)
class MergedVocabulary:
    """The vocabulary of a merge.

    Attributes:
        base: The source that gives the config.
        source: The source whose tokenizer it is, extended in a union.
        tokenizer: The tokenizer.
        tokenizers: Those of the sources.
        rows: How many rows the embedding and the head have: one per token, and those without a token.
        tensors: Source -> its tensors with a row per token.
        aligned: Source -> for each row, which of its rows has the same token; -1 if none has.
        chosen: Id of a token -> the row that the recipe gives it.
    """

    base: str
    source: str
    tokenizer: Tokenizer
    tokenizers: Mapping[str, Tokenizer]
    rows: int
    tensors: Mapping[str, TokenTensors]
    aligned: Mapping[str, Numbers]
    chosen: Mapping[int, ChosenRow]

    @property
    def is_extended(self) -> bool:
        """Whether the tokenizer is another than its source's."""
        return self.tokenizer is not self.tokenizers[self.source]

    @property
    def lacking(self) -> dict[str, int]:
        """Source -> how many of the tokens it lacks, which take the row of another one; without those chosen."""
        known = np.zeros(self.rows, bool)
        known[list(self.tokenizer.tokens)] = True
        known[list(self.chosen)] = False
        return {source: int(np.count_nonzero(known & (rows < 0))) for source, rows in self.aligned.items()}

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know."""
        tokens = len(self.tokenizer.tokens)
        notes = [
            f"{source} lacks {count} of the {tokens} tokens: they take the rows of another source."
            for source, count in self.lacking.items()
            if count
        ]
        if self.tokenizer.model is not self.tokenizers[self.source].model:
            notes.append(
                "The union has ordinary tokens of several sources: llama.cpp's converter, which knows a vocabulary "
                "by the ids that a certain text gets, may not recognize it."
            )
        return tuple(notes)

    def is_by_token(self, tensor: str) -> bool:
        """Return whether a tensor of the base has a row for each token."""
        return tensor in self.tensors[self.base].names

    def row_map(self, source: str, tensor: str, of: str | None = None) -> RowMap:
        """Return a source's tensor as if the source had the merge's vocabulary.

        A token that it lacks takes the row that the recipe gives it, else that of the base, else of the first source
        that has it.

        Args:
            source: Which source.
            tensor: Name of the tensor in `of`; of a head, the source may have the embedding instead.
            of: A source, the base when left out.
        """
        given = self.tensors[of or self.base]
        order = dict.fromkeys((source, self.base, *self.aligned))
        named = [(name, self.tensors[name].counterpart(tensor, given)) for name in order]
        tensors = tuple((name, found) for name, found in named if found is not None)
        place, row = np.full((2, self.rows), -1, np.int32)
        for number, (name, _) in enumerate(tensors):
            take = (row < 0) & (self.aligned[name] >= 0)
            place[take] = number
            row[take] = self.aligned[name][take]
        places = {name: number for number, (name, _) in enumerate(tensors)}
        for token, choice in self.chosen.items():
            if choice.source is not None and choice.source not in places:  # it lacks the whole tensor
                continue
            if choice.force or self.aligned[source][token] < 0:
                place[token] = -1 if choice.source is None else places[choice.source]
                row[token] = choice.row
        return RowMap(tensors, place, row)


def merge_vocabulary(merge: Blend | Passthrough, layouts: Layouts, folders: Folders) -> MergedVocabulary:
    """Return the vocabulary that a merge asks for.

    Rows without a token, at the end of many embeddings, are those of the tokenizer's source.

    Args:
        merge: What is asked; a merge without `vocabulary` has the base's.
        layouts: The sources in use, by name.
        folders: Where their tokenizers are.

    Raises:
        SourceError: When a tokenizer is missing or writes its tokens in another way, when vocabularies cannot be
            united, a row that is chosen does not exist, or the embedding cannot be told.
        CheckpointError: When a tokenizer is malformed.
    """
    wanted = merge.vocabulary or Vocabulary()
    source = wanted.source or merge.base
    tokenizers = read_tokenizers(folders, merge.sources)
    tensors = {name: find_token_tensors(layouts[name], name) for name in merge.sources}
    for name in merge.sources:
        _check_alphabet(tokenizers[source], tokenizers[name])
    tokenizer = tokenizers[source]
    if wanted.union:
        tokenizer = extend_tokenizer(tokenizer, (tokenizers[name] for name in merge.sources if name != source))
    tokenizer = add_tokens(tokenizer, new_entries(wanted.tokens, tokenizers))
    chosen = choose_rows(wanted.tokens, tokenizer, tokenizers, tensors)
    rows = max(tokenizer.size, tensors[source].rows)
    rows += -rows % (wanted.pad_to_multiple_of or 1)
    aligned = {
        name: _align(tokenizer, tokenizers[name], tensors[name].rows, rows, keeps_unnamed=name == source)
        for name in merge.sources
    }
    return MergedVocabulary(merge.base, source, tokenizer, tokenizers, rows, tensors, aligned, chosen)


def read_tokenizers(folders: Folders, names: Iterable[str]) -> dict[str, Tokenizer]:
    """Read the tokenizers of some sources.

    Raises:
        SourceError: When one is missing.
        CheckpointError: When one is malformed.
    """
    found: dict[str, Tokenizer] = {}
    for name in names:
        # Sources of one family often have the same one: what is read of it takes 50 MB of memory.
        twin = next((other for other in found if _has_same_files(folders[name], folders[other])), None)
        found[name] = replace(found[twin], name=name) if twin else read_tokenizer(folders[name], name)
    return found


def check_vocabularies(base: str, others: Iterable[str], layouts: Layouts, folders: Folders) -> tuple[str, ...]:
    """Refuse sources whose embeddings must not be blended row by row, since a row is another token in one of them.

    Allowed are tokens that only one of them has: names given to spare rows, or added at the end where both have room.

    Args:
        base: The source to compare with.
        others: The other sources that the embedding or the head is made of.
        layouts: The sources, by name.
        folders: Where their tokenizers are.

    Returns:
        What the user should know, of each source that differs in what is allowed, or has no tokenizer to compare.

    Raises:
        SourceError: When they have not as many rows, or a token has not the same id.
        CheckpointError: When a tokenizer is malformed.
    """
    notes: list[str] = []
    for other in others:
        _check_rows(base, layouts[base], other, layouts[other])
        files = [folders[name] / TOKENIZER for name in (base, other)]
        if lacking := [name for name, file in zip((base, other), files, strict=True) if not file.is_file()]:
            notes.append(f"{lacking[0]} has no {TOKENIZER}: {base} and {other} are taken to have the same tokens.")
        elif not filecmp.cmp(*files, shallow=False):
            notes += _compare(read_tokenizer(folders[base], base), read_tokenizer(folders[other], other))
    return tuple(notes)


def _has_same_files(one: Path, other: Path) -> bool:
    pairs = [(one / file, other / file) for file in READ]
    return all(a.is_file() == b.is_file() and (not a.is_file() or filecmp.cmp(a, b, shallow=False)) for a, b in pairs)


def _align(result: Tokenizer, own: Tokenizer, own_rows: int, rows: int, *, keeps_unnamed: bool) -> Numbers:
    """Return, for each row of the result, which of a source's rows has the same token, or -1.

    Args:
        result: The result's tokenizer.
        own: The source's.
        own_rows: How many rows the source has; a tokenizer may have more tokens than that.
        rows: How many the result has.
        keeps_unnamed: Whether rows without a token are the source's.
    """
    aligned = np.full(rows, -1, np.int32)
    if keeps_unnamed:
        kept = min(rows, own_rows)
        aligned[:kept] = np.arange(kept, dtype=np.int32)
        aligned[list(result.tokens)] = -1
    for number, token in result.tokens.items():
        found = own.ids.get(token, own_rows)
        if found < own_rows:
            aligned[number] = found
    return aligned


def _check_alphabet(first: Tokenizer, other: Tokenizer) -> None:
    if first.alphabet != other.alphabet:
        raise SourceError(
            f"{other.name} writes its tokens otherwise than {first.name}, so that none can be found again.",
            where=TOKENIZER,
            expected=f"{first.alphabet}, as in {first.name}",
            found=f"{other.alphabet} in {other.name}",
            way_out="Merge models whose tokenizers are of one kind.",
        )


def _check_rows(base: str, mine: Layout, other: str, others: Layout) -> None:
    rows = stated_rows(mine), stated_rows(others)
    if None not in rows and rows[0] != rows[1]:
        raise _misfit(
            base, other, "vocab_size in config.json", f"{rows[0]} rows, as in {base}", f"{rows[1]} in {other}"
        )


def _compare(mine: Tokenizer, others: Tokenizer) -> tuple[str, ...]:
    shared = mine.ids.keys() & others.ids.keys()
    moved = sorted(token for token in shared if mine.ids[token] != others.ids[token])
    same = len(shared) - len(moved)
    fewest = min(len(mine.ids), len(others.ids))
    if moved or same < _ALIKE * fewest:
        shown = ", ".join(f"{token!r} is {mine.ids[token]} and {others.ids[token]}" for token in moved[:3])
        found = f"{len(moved)} tokens with another id{shown and ': '}{shown}" if moved else f"only {same} of {fewest}"
        raise _misfit(mine.name, others.name, TOKENIZER, "the same token for each id", found)
    lone = [f"{len(one.ids) - same} only in {one.name}" for one in (mine, others) if len(one.ids) > same]
    if not lone:
        return ()
    return (f"The tokens of {mine.name} and {others.name} differ: {', '.join(lone)}; the rest have the same ids.",)


def _misfit(base: str, other: str, where: str, expected: str, found: str) -> SourceError:
    return SourceError(
        f"The vocabulary of {other} is not that of {base}: their embeddings cannot be blended row by row.",
        where=where,
        expected=expected,
        found=found,
        way_out="Set `vocabulary` in the merge: `vocabulary: {}` takes the tokens of the base and aligns the rows of "
        "the others with it token by token; `vocabulary: {union: true}` takes the tokens of all.",
    )
