"""The tokenised training data: rows of tokens, blended by weight, in the order in which training takes them.

Plain text is packed: documents end to end, cut into rows of one length. A conversation is a row of its own, as long
as it is; one that is longer than a row may be is left out, since cut off it would teach to stop in mid-sentence.

train.safetensors holds the rows end to end, so that rows of different lengths need no padding on disk:

    input_ids   int32, (tokens,)
    labels      int32, (tokens,): the token itself, or -100 where no loss is taken
    lengths     int32, (sequences,): how many of the tokens belong to each row

heldout.safetensors holds rows that no training sees, in the same form; there is none where none are asked for.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from pydantic import Field, JsonValue
from tokenizers import Tokenizer

from suture.checkpoint.layout import read_layout, require_tokenizer
from suture.checkpoint.strict_json import read_json_object
from suture.corpus import PinnedConversations, PinnedDataset, PinnedText, form_of, read_text
from suture.errors import DataError, SourceError
from suture.heal.data.arrangement import grouped, hold_out, padding, shuffled
from suture.heal.data.chat import Sample
from suture.heal.data.talks import converse
from suture.progress import Progress
from suture.recipe import Part
from suture.store import Artifact, Workspace

ROWS = "train.safetensors"
HELD_OUT = "heldout.safetensors"
SUMMARY = "dataset.json"

_BATCH = 32
"""Documents given to the tokenizer at once; it works on them in parallel."""

Packed = NDArray[np.int32]  # (rows, sequence_length)


class DatasetSpec(Part):
    """What a training's data is made of."""

    texts: Annotated[tuple[PinnedDataset | PinnedConversations | PinnedText, ...], Field(min_length=1)]
    """The texts and conversations, blended by weight."""

    sequence_length: int = Field(ge=16)
    """Tokens per row, at most."""

    sequences: int = Field(ge=1)
    """Rows; a text with fewer is gone through again, in another order."""

    seed: int = Field(ge=0)
    """Seed of the order."""

    batch: int = Field(default=1, ge=1)
    """Rows that are read together, and are therefore put together by length; 1 leaves the order to the seed alone."""

    held_out: int = Field(default=0, ge=0)
    """Different rows to keep out of the training; the same ones whatever the seed."""


@dataclass(frozen=True)
class _Share:
    """One text's part of the blend."""

    text: PinnedText
    rows: list[Sample]
    held_out: list[Sample]
    available: int
    """Rows that the text gives, without those held out; of a large data set, reckoned from a part of it."""
    too_long: int
    """Conversations left out for their length, of those that were looked at."""
    silent: int
    """Conversations left out since there is nothing to learn in them."""
    looked_at: int
    """Conversations that were looked at; of a large data set not all are."""

    def summary(self) -> dict[str, JsonValue]:
        return {
            "name": self.text.name,
            "sequences": len(self.rows),
            "tokens": sum(len(row.ids) for row in self.rows),
            "learned_tokens": sum(row.learned for row in self.rows),
            "held_out": len(self.held_out),
            "epochs": round(len(self.rows) / self.available, 4),
            "too_long": self.too_long,
            "silent": self.silent,
            "looked_at": self.looked_at,
        }


def dataset(
    spec: DatasetSpec, parents: Sequence[Artifact], work: Workspace, progress: Progress
) -> Mapping[str, JsonValue]:
    """Tokenise, pack, blend and order the training data.

    Args:
        spec: What it is made of.
        parents: The checkpoint whose tokenizer is used, then the data sets of the hub, in the order of the texts.
        work: Receives train.safetensors and dataset.json.
        progress: Told the documents that are tokenised.

    Raises:
        DataError: When a text has changed or is shorter than one row, or no conversation can be learned from.
        SourceError: When the checkpoint has no tokenizer, no chat template, or the tokenizer no end token.
    """
    encoder = _Encoder.load(parents[0].path)
    weights = [text.weight for text in spec.texts]
    counts, kept_out = _apportion(weights, spec.sequences), _apportion(weights, spec.held_out)
    shares = [
        _share(text, count, held_out, spec, encoder, progress)
        for text, count, held_out in zip(_located(spec.texts, parents[1:]), counts, kept_out, strict=True)
    ]
    rows = [row for share in shares for row in share.rows]
    blend = [rows[index] for index in shuffled(len(rows), f"blend {spec.seed}")]
    rows = grouped(blend, spec.batch, f"batches {spec.seed}")
    _write_rows(rows, work.out / ROWS)
    if spec.held_out:
        _write_rows([row for share in shares for row in share.held_out], work.out / HELD_OUT)
    facts: dict[str, JsonValue] = {
        "sequences": len(rows),
        "tokens": sum(len(row.ids) for row in rows),
        "learned_tokens": sum(row.learned for row in rows),
        "texts": [share.summary() for share in shares],
    }
    if spec.batch > 1:
        facts["padding"] = round(padding(rows, spec.batch), 4)
        facts["padding_before_grouping"] = round(padding(blend, spec.batch), 4)
    (work.out / SUMMARY).write_text(json.dumps(facts, indent=1) + "\n")
    return facts


def _located(texts: Sequence[PinnedText], fetched: Sequence[Artifact]) -> list[PinnedText]:
    """Return the texts, those of the hub with the folder that they were fetched into."""
    folders = iter(fetched)
    return [
        text.model_copy(update={"path": next(folders).path}) if isinstance(text, PinnedDataset) else text
        for text in texts
    ]


@dataclass(frozen=True)
class _Encoder:
    """A tokenizer, and the token that ends a document."""

    folder: Path
    tokenizer: Tokenizer
    end: int

    @classmethod
    def load(cls, folder: Path) -> _Encoder:
        """Read a checkpoint's tokenizer."""
        require_tokenizer(read_layout(folder), folder)
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        entry = read_json_object(folder / "tokenizer_config.json").get("eos_token")
        token = entry.get("content") if isinstance(entry, dict) else entry
        end = tokenizer.token_to_id(token) if isinstance(token, str) else None
        if end is None:
            raise SourceError(
                "The tokenizer has no token that ends a text.",
                where=folder / "tokenizer_config.json",
                expected="an eos_token that is in tokenizer.json",
                found=token,
            )
        return cls(folder, tokenizer, end)

    def encode(self, documents: Sequence[str]) -> Iterator[list[int]]:
        """Yield each document's tokens: with the start token if the tokenizer sets one, and the end token."""
        for encoding in self.tokenizer.encode_batch_fast(list(documents)):
            ids = encoding.ids
            yield ids if ids and ids[-1] == self.end else [*ids, self.end]


def _share(
    text: PinnedText, count: int, held_out: int, spec: DatasetSpec, encoder: _Encoder, progress: Progress
) -> _Share:
    """Return `count` rows of a text: all but those held out in a shuffled order, again and again."""
    if form_of(text) == "text":
        packed = _pack(text, spec.sequence_length, encoder, progress)
        rows = [Sample(ids, ids) for ids in map(tuple, packed.tolist())]
        talks = None
    else:
        needed = count + held_out
        talks = converse(text, needed, spec.sequence_length, encoder.folder, encoder.tokenizer, progress)
        rows = talks.rows
    rows, held = hold_out(rows, held_out, f"held out {text.name} {text.sha256}")
    if not rows:
        raise _all_held_out(text, held_out, len(held))
    epochs = -(-count // len(rows))
    order = [
        index
        for epoch in range(epochs)
        for index in shuffled(len(rows), f"{text.name} {text.sha256} {spec.seed} {epoch}")
    ]
    return _Share(
        text,
        [rows[index] for index in order[:count]],
        held,
        available=talks.available - len(talks.rows) + len(rows) if talks else len(rows),
        too_long=talks.too_long if talks else 0,
        silent=talks.silent if talks else 0,
        looked_at=talks.looked_at if talks else 0,
    )


def _all_held_out(text: PinnedText, asked: int, found: int) -> DataError:
    return DataError(
        "The text is too short to keep a part of it out of the training.",
        where=text.path or text.name,
        expected=f"more than {asked} different sequences",
        found=found,
        way_out="Give more text, or lower held_out or sequence_length.",
    )


def _pack(text: PinnedText, length: int, encoder: _Encoder, progress: Progress) -> Packed:
    """Return a text's documents end to end, cut into rows; what is left at the end is not used."""
    documents = read_text(text)
    pieces: list[NDArray[np.int32]] = []
    for start in range(0, len(documents), _BATCH):
        pieces += [np.array(ids, np.int32) for ids in encoder.encode(documents[start : start + _BATCH])]
        progress.update(len(pieces), len(documents), f"documents of {text.name}")
    tokens = np.concatenate(pieces)
    if len(tokens) < length:
        raise DataError(
            "The text is shorter than one training sequence.",
            where=text.path or text.name,
            expected=f"at least {length} tokens",
            found=f"{len(tokens)} tokens in {len(documents)} documents",
            way_out="Give more text, or lower sequence_length.",
        )
    count = len(tokens) // length
    return tokens[: count * length].reshape(count, length)


def _apportion(weights: Sequence[float], total: int) -> list[int]:
    """Divide `total` rows by weight; the largest remainders get what rounding down leaves."""
    exact = [weight * total / sum(weights) for weight in weights]
    counts = [int(share) for share in exact]
    by_remainder = sorted(range(len(exact)), key=lambda index: counts[index] - exact[index])
    for index in by_remainder[: total - sum(counts)]:
        counts[index] += 1
    return counts


def _write_rows(rows: Sequence[Sample], path: Path) -> None:
    tensors = {
        "input_ids": np.concatenate([np.array(row.ids, np.int32) for row in rows]),
        "labels": np.concatenate([np.array(row.labels, np.int32) for row in rows]),
        "lengths": np.array([len(row.ids) for row in rows], np.int32),
    }
    safetensors.numpy.save_file(tensors, path)  # pyright: ignore[reportUnknownMemberType] -- of a path-like thing
