"""The training rows as the training process takes them."""

# torch is partly untyped; what it returns is given a type where it is kept.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from suture.heal.data.chat import NO_LOSS

Row = dict[str, Tensor]


def read_rows(path: Path) -> list[Row]:
    """Return the rows of a file, each with its `input_ids` and `labels`, int64, (length,)."""
    tensors = safetensors.torch.load_file(path)
    lengths = tensors["lengths"].tolist()
    ids, labels = (tensors[name].long().split(lengths) for name in ("input_ids", "labels"))
    return [{"input_ids": row, "labels": wanted} for row, wanted in zip(ids, labels, strict=True)]


def collate(rows: Sequence[Row]) -> Row:
    """Return a batch, padded on the right to its longest row."""
    return {
        "input_ids": pad_sequence([row["input_ids"] for row in rows], batch_first=True),
        "labels": pad_sequence([row["labels"] for row in rows], batch_first=True, padding_value=NO_LOSS),
        "attention_mask": pad_sequence([torch.ones_like(row["input_ids"]) for row in rows], batch_first=True),
    }
