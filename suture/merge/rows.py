"""The tensors with a row for each token, and where each row of the result's comes from.

embedding   the tokens' vectors; more than one where layers have their own (multi-token prediction, ...)
head        the vectors that give each token's logit; none where the embedding is used for both. Its bias, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from suture.checkpoint.layers import text_section
from suture.checkpoint.layout import Layout
from suture.errors import SourceError

Numbers = NDArray[np.int32]

_BY_TOKEN = re.compile(r"embed|wte|tok|word|lm_head|head|output|ff_out")
_HEAD = re.compile(r"head|output|embed_out|ff_out")
_ALWAYS = re.compile(r"(?:.*\.)?(?:embed_tokens(?:_\w+)?|wte|lm_head|embed_out)\.weight")
"""Names that cannot mean anything else."""
_ELSE = re.compile(r"pos|wpe|type|norm|patch|vis|image|audio|speech|video|codebook|router|gate")
"""Positions, towers for images and sound, and what else may have as many rows by chance."""
_IN_A_LAYER = re.compile(r"\.\d+\.")
_OWN_OF_A_LAYER = re.compile(r"\.(?:embed_tokens|lm_head|shared_head\.head)\.weight$")
"""What a layer for multi-token prediction may have of its own."""


class Run(NamedTuple):
    """Consecutive rows of one source's tensor.

    Attributes:
        source: The source; None for empty rows, all zeros.
        tensor: Its tensor; empty for empty rows.
        first: The first of the rows there.
        length: How many.
    """

    source: str | None
    tensor: str
    first: int
    length: int


@dataclass(frozen=True)
class RowMap:
    """Which row of which source's tensor each row of a tensor is.

    Attributes:
        tensors: Pairs of a source and the name of its tensor.
        place: For each row, the place of its tensor in `tensors`; -1 for an empty row, all zeros.
        row: For each row, which row of that tensor it is; -1 for an empty row.
    """

    tensors: tuple[tuple[str, str], ...]
    place: Numbers  # (rows,)
    row: Numbers  # (rows,)

    def __len__(self) -> int:
        return len(self.row)

    def runs(self, start: int = 0, stop: int | None = None) -> Iterator[Run]:
        """Yield the rows from `start` to before `stop`, in as few runs as can be."""
        place, row = self.place[start:stop], self.row[start:stop]
        goes_on = (np.diff(place) == 0) & ((np.diff(row) == 1) | (place[1:] < 0))
        edges = [0, *(np.flatnonzero(~goes_on) + 1).tolist(), len(row)]
        for begin, end in pairwise(edges):
            if begin < end:
                of = int(place[begin])
                source, tensor = self.tensors[of] if of >= 0 else (None, "")
                yield Run(source, tensor, int(row[begin]), end - begin)

    def is_copy(self, rows: int) -> bool:
        """Return whether this is a whole tensor of `rows` rows, as it is."""
        runs = list(self.runs())
        return len(runs) == 1 and runs[0].source is not None and runs[0].first == 0 and runs[0].length == rows


@dataclass(frozen=True)
class TokenTensors:
    """The tensors of a checkpoint that have a row for each token.

    Attributes:
        rows: How many rows they have: at least as many as there are tokens.
        embedding: Names of those that turn tokens into vectors.
        head: Names of those that turn vectors into tokens; none if the embedding does it.
    """

    rows: int
    embedding: tuple[str, ...]
    head: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """All of them."""
        return self.embedding + self.head

    def counterpart(self, name: str, of: TokenTensors) -> str | None:
        """Return which of these tensors belongs to one of another checkpoint.

        That is the tensor of the same name; for a head's weight, where the embedding is used for both, the embedding.

        Args:
            name: The other checkpoint's tensor.
            of: The other checkpoint's tensors.
        """
        if name in self.names:
            return name
        is_head = name in of.head and name.endswith("weight")
        return self.embedding[0] if is_head and not self.head else None


def find_token_tensors(layout: Layout, where: str) -> TokenTensors:
    """Find the tensors with a row for each token by their names and their length, which the config states.

    Args:
        layout: The checkpoint.
        where: What errors call it.

    Raises:
        SourceError: When there is no embedding, or a tensor may or may not be one of them.
    """
    candidates = [name for name, info in layout.tensors.items() if info.shape and _may_be_outside(name)]
    certain = [name for name in candidates if _ALWAYS.fullmatch(name)]
    rows = stated_rows(layout) or next((layout.tensors[name].shape[0] for name in certain), 0)
    if odd := [name for name in certain if layout.tensors[name].shape[0] != rows]:
        raise _unclear(where, f"{rows} rows, as the config's vocab_size says", f"{odd[0]}: {layout.tensors[odd[0]]}")
    fitting = [name for name in candidates if layout.tensors[name].shape[0] == rows and _has_shape(name, layout)]
    found = [name for name in fitting if _BY_TOKEN.search(name)]
    head = tuple(name for name in found if _HEAD.search(name))
    embedding = tuple(name for name in found if name not in head)
    doubtful = [name for name in fitting if name not in found]
    if not embedding or doubtful:
        shown = ", ".join(f"{name}: {layout.tensors[name]}" for name in (doubtful or fitting)[:4]) or "none"
        raise _unclear(where, f"a name that says whether its {rows} rows belong to tokens", shown)
    own = tuple(
        name
        for name, info in layout.tensors.items()
        if _IN_A_LAYER.search(name) and _OWN_OF_A_LAYER.search(name) and info.shape[:1] == (rows,)
    )
    return TokenTensors(
        rows,
        embedding + tuple(name for name in own if not _HEAD.search(name)),
        head + tuple(name for name in own if _HEAD.search(name)),
    )


def _may_be_outside(name: str) -> bool:
    return not _IN_A_LAYER.search(name) and not _ELSE.search(name)


def _has_shape(name: str, layout: Layout) -> bool:
    """Return whether a tensor is a matrix, or the bias of a head."""
    dimensions = len(layout.tensors[name].shape)
    return dimensions == 2 or (dimensions == 1 and name.endswith("bias") and _HEAD.search(name) is not None)


def stated_rows(layout: Layout) -> int | None:
    """Return how many rows a config says the embedding has, if it does."""
    rows = text_section(layout.config).get("vocab_size", layout.config.get("vocab_size"))
    return rows if type(rows) is int else None  # some multimodal configs leave it to transformers


def _unclear(where: str, expected: str, found: str) -> SourceError:
    return SourceError(
        f"It is unclear which tensors of {where} have a row for each token.",
        where=where,
        expected=expected,
        found=found,
        way_out="Leave out `vocabulary`; sources with the same tokens and as many rows can be merged without it.",
    )
