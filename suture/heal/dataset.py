"""The tokenised training data: rows of tokens, blended by weight, in the order in which training takes them.

Plain text is packed: documents end to end, cut into rows of one length. A conversation is a row of its own, as long
as it is; one that is longer than a row may be is left out, since cut off it would teach to stop in mid-sentence.

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
from suture.corpus import PinnedConversations, PinnedText, read_conversations, read_text
from suture.errors import DataError, SourceError
from suture.heal.chat import ChatEncoder, Sample
from suture.progress import Progress
from suture.recipe import Part
from suture.store import Artifact, Workspace

ROWS = "train.safetensors"
SUMMARY = "dataset.json"

_BATCH = 32
"""Documents given to the tokenizer at once; it works on them in parallel."""

Packed = NDArray[np.int32]  # (rows, sequence_length)


class DatasetSpec(Part):
    """What a training's data is made of."""

    texts: Annotated[tuple[PinnedConversations | PinnedText, ...], Field(min_length=1)]
    """The texts and conversations, blended by weight."""

    sequence_length: int = Field(ge=16)
    """Tokens per row, at most."""

    sequences: int = Field(ge=1)
    """Rows; a text with fewer is gone through again, in another order."""

    seed: int = Field(ge=0)
    """Seed of the order."""


@dataclass(frozen=True)
class _Share:
    """One text's part of the blend."""

    text: PinnedText
    rows: list[Sample]
    available: int
    """Different rows that the text gives."""
    too_long: int
    """Conversations left out for their length."""
    silent: int
    """Conversations left out since there is nothing to learn in them."""

    def summary(self) -> dict[str, JsonValue]:
        return {
            "name": self.text.name,
            "sequences": len(self.rows),
            "tokens": sum(len(row.ids) for row in self.rows),
            "learned_tokens": sum(row.learned for row in self.rows),
            "epochs": round(len(self.rows) / self.available, 4),
            "too_long": self.too_long,
            "silent": self.silent,
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
        DataError: When a text has changed or is shorter than one row, or no conversation can be learned from.
        SourceError: When the checkpoint has no tokenizer, no chat template, or the tokenizer no end token.
    """
    (parent,) = parents
    encoder = _Encoder.load(parent.path)
    counts = _apportion([text.weight for text in spec.texts], spec.sequences)
    shares = [_share(text, count, spec, encoder, progress) for text, count in zip(spec.texts, counts, strict=True)]
    rows = [row for share in shares for row in share.rows]
    rows = [rows[index] for index in _shuffled(len(rows), f"blend {spec.seed}")]
    _write_rows(rows, work.out / ROWS)
    facts: dict[str, JsonValue] = {
        "sequences": len(rows),
        "tokens": sum(len(row.ids) for row in rows),
        "learned_tokens": sum(row.learned for row in rows),
        "texts": [share.summary() for share in shares],
    }
    (work.out / SUMMARY).write_text(json.dumps(facts, indent=1) + "\n")
    return facts


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


def _share(text: PinnedText, count: int, spec: DatasetSpec, encoder: _Encoder, progress: Progress) -> _Share:
    """Return `count` rows of a text: all of its rows in a shuffled order, again and again."""
    if isinstance(text, PinnedConversations):
        made = _converse(text, encoder, progress)
        rows = [row for row in made if row.learned and len(row.ids) <= spec.sequence_length]
        silent = sum(not row.learned for row in made)
        left_out = {"silent": silent, "too_long": len(made) - len(rows) - silent}
        if not rows:
            raise _nothing_learned(text, made, spec.sequence_length)
    else:
        packed = _pack(text, spec.sequence_length, encoder, progress)
        rows = [Sample(ids, ids) for ids in map(tuple, packed.tolist())]
        left_out = {"silent": 0, "too_long": 0}
    epochs = -(-count // len(rows))
    order = [
        index
        for epoch in range(epochs)
        for index in _shuffled(len(rows), f"{text.name} {text.sha256} {spec.seed} {epoch}")
    ]
    return _Share(text, [rows[index] for index in order[:count]], available=len(rows), **left_out)


def _converse(text: PinnedConversations, encoder: _Encoder, progress: Progress) -> list[Sample]:
    """Return each conversation as a sample."""
    conversations = read_conversations(text)
    chat = ChatEncoder(encoder.folder, encoder.tokenizer)
    samples: list[Sample] = []
    for conversation in conversations:
        samples.append(chat.encode(conversation.messages, conversation.where))
        progress.update(len(samples), len(conversations), f"conversations of {text.name}")
    return samples


def _nothing_learned(text: PinnedConversations, made: Sequence[Sample], length: int) -> DataError:
    said = [row for row in made if row.learned]
    if not said:
        return DataError(
            "In none of the conversations does the assistant say anything.",
            where=text.path,
            expected="at least one turn of the role assistant",
            found=f"{len(made)} conversations without one",
            way_out="Check the roles, or give it as plain text: a field called text.",
        )
    return DataError(
        "Every conversation is longer than one training sequence.",
        where=text.path,
        expected=f"some of at most {length} tokens",
        found=f"{len(said)} conversations of {min(len(row.ids) for row in said)} tokens or more",
        way_out="Raise sequence_length, or give shorter conversations.",
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


def _shuffled(count: int, salt: str) -> list[int]:
    """Return the numbers below `count` in an order that depends on `salt` alone, on every Python."""
    return sorted(range(count), key=lambda index: hashlib.sha256(f"{salt} {index}".encode()).digest())


def _write_rows(rows: Sequence[Sample], path: Path) -> None:
    tensors = {
        "input_ids": np.concatenate([np.array(row.ids, np.int32) for row in rows]),
        "labels": np.concatenate([np.array(row.labels, np.int32) for row in rows]),
        "lengths": np.array([len(row.ids) for row in rows], np.int32),
    }
    safetensors.numpy.save_file(tensors, path)  # pyright: ignore[reportUnknownMemberType] -- of a path-like thing
