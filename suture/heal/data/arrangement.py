"""Which rows of the training data are held out, and which are read together.

Both depend on the rows and the seed alone, and the rows are written in their final order: so a training that was
killed finds them again as they were.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from suture.heal.data.chat import Sample

_BATCHES_SORTED_TOGETHER = 50
"""As transformers' Trainer does it: enough for batches of nearly one length, and few enough that the rows of a batch
stay a sample of all rows."""


def shuffled(count: int, salt: str) -> list[int]:
    """Return the numbers below `count` in an order that depends on `salt` alone, on every Python."""
    return sorted(range(count), key=lambda index: hashlib.sha256(f"{salt} {index}".encode()).digest())


def hold_out(rows: Sequence[Sample], count: int, salt: str) -> tuple[list[Sample], list[Sample]]:
    """Return the rows that are left for training, and `count` different rows that are not among them."""
    different = list(dict.fromkeys(rows))
    held = [different[index] for index in shuffled(len(different), salt)[:count]]
    kept_out = set(held)
    return [row for row in rows if row not in kept_out], held


def grouped(rows: Sequence[Sample], batch: int, salt: str) -> list[Sample]:
    """Return the rows so that those of a batch are of similar length, and the batches in a random order.

    Rows that are read one by one, or are all of one length, stay as they are.

    Args:
        rows: In a random order.
        batch: Rows that are read together.
        salt: What the order of the batches depends on.
    """
    if batch == 1 or len({len(row.ids) for row in rows}) == 1:
        return list(rows)
    stretch = _BATCHES_SORTED_TOGETHER * batch
    by_length = [
        row
        for start in range(0, len(rows), stretch)
        for row in sorted(rows[start : start + stretch], key=lambda row: len(row.ids))
    ]
    whole = len(rows) // batch
    batches = [by_length[number * batch : (number + 1) * batch] for number in shuffled(whole, salt)]
    return [row for rows in (*batches, by_length[whole * batch :]) for row in rows]


def padding(rows: Sequence[Sample], batch: int) -> float:
    """Return which part of what is read is padding, when each batch is as long as its longest row."""
    read = 0
    for start in range(0, len(rows), batch):
        lengths = [len(row.ids) for row in rows[start : start + batch]]
        read += len(lengths) * max(lengths)
    return 1 - sum(len(row.ids) for row in rows) / read
