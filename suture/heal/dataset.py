"""The tokenised training data: rows of tokens, blended from texts, in the order in which training takes them.

train.safetensors holds the rows end to end, so that rows of different lengths need no padding on disk:

    input_ids   int32, (tokens,)
    labels      int32, (tokens,): the token itself, or -100 where no loss is taken
    lengths     int32, (sequences,): how many of the tokens belong to each row
"""

from __future__ import annotations

import hashlib
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
from suture.corpus import PinnedText, read_text
from suture.errors import DataError, SourceError
from suture.progress import Progress
from suture.recipe import Part
from suture.store import Artifact, Workspace

ROWS = "train.safetensors"
SUMMARY = "dataset.json"

_BATCH = 32
"""Documents given to the tokenizer at once; it works on them in parallel."""

Rows = NDArray[np.int32]  # (rows, sequence_length)


class DatasetSpec(Part):
    """What a training's data is made of."""

    texts: Annotated[tuple[PinnedText, ...], Field(min_length=1)]
    """The texts, blended by weight."""

    sequence_length: int = Field(ge=16)
    """Tokens per row."""

    sequences: int = Field(ge=1)
    """Rows; a text with fewer is gone through again, in another order."""

    seed: int = Field(ge=0)
    """Seed of the order."""


@dataclass(frozen=True)
class _Share:
    """One text's part of the blend."""

    text: PinnedText
    rows: Rows
    available: int
    """Different rows that the text gives."""

    def summary(self) -> dict[str, JsonValue]:
        return {
            "name": self.text.name,
            "sequences": len(self.rows),
            "tokens": self.rows.size,
            "epochs": round(len(self.rows) / self.available, 4),
        }


def dataset(
    spec: DatasetSpec, parents: Sequence[Artifact], work: Workspace, progress: Progress
) -> Mapping[str, JsonValue]:
    """Tokenise, pack, blend and order the training data.

    Args:
        spec: What it is made of.
        parents: The checkpoint whose tokenizer is used.
        work: Receives train.safetensors and dataset.json.
        progress: Told the documents that are tokenised.

    Raises:
        DataError: When a text has changed or is shorter than one row.
        SourceError: When the checkpoint has no tokenizer, or the tokenizer no end token.
    """
    (parent,) = parents
    encoder = _Encoder.load(parent.path)
    counts = _apportion([text.weight for text in spec.texts], spec.sequences)
    shares = [_share(text, count, spec, encoder, progress) for text, count in zip(spec.texts, counts, strict=True)]
    rows = np.concatenate([share.rows for share in shares])
    rows = rows[_shuffled(len(rows), f"blend {spec.seed}")]
    _write_rows(rows, work.out / ROWS)
    facts: dict[str, JsonValue] = {
        "sequences": len(rows),
        "tokens": rows.size,
        "texts": [share.summary() for share in shares],
    }
    (work.out / SUMMARY).write_text(json.dumps(facts, indent=1) + "\n")
    return facts


@dataclass(frozen=True)
class _Encoder:
    """A tokenizer, and the token that ends a document."""

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
        return cls(tokenizer, end)

    def encode(self, documents: Sequence[str]) -> Iterator[list[int]]:
        """Yield each document's tokens: with the start token if the tokenizer sets one, and the end token."""
        for encoding in self.tokenizer.encode_batch_fast(list(documents)):
            ids = encoding.ids
            yield ids if ids and ids[-1] == self.end else [*ids, self.end]


def _share(text: PinnedText, count: int, spec: DatasetSpec, encoder: _Encoder, progress: Progress) -> _Share:
    """Return `count` rows of a text: all of its rows in a shuffled order, again and again."""
    rows = _pack(text, spec.sequence_length, encoder, progress)
    epochs = -(-count // len(rows))
    order = [
        index
        for epoch in range(epochs)
        for index in _shuffled(len(rows), f"{text.name} {text.sha256} {spec.seed} {epoch}")
    ]
    return _Share(text, rows[order[:count]], available=len(rows))


def _pack(text: PinnedText, length: int, encoder: _Encoder, progress: Progress) -> Rows:
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


def _shuffled(count: int, salt: str) -> list[int]:
    """Return the numbers below `count` in an order that depends on `salt` alone, on every Python."""
    return sorted(range(count), key=lambda index: hashlib.sha256(f"{salt} {index}".encode()).digest())


def _write_rows(rows: Rows, path: Path) -> None:
    flat = np.ascontiguousarray(rows).reshape(-1)
    lengths = np.full(len(rows), rows.shape[1], np.int32)
    safetensors.numpy.save_file({"input_ids": flat, "labels": flat, "lengths": lengths}, path)  # pyright: ignore[reportUnknownMemberType] -- of a path-like thing
