"""Which tensors of several checkpoints of one architecture are the same tensor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from suture.checkpoint.floats import FLOATS
from suture.checkpoint.inspection.groups import Group, group_of, pattern_of
from suture.checkpoint.layers import LayerStack, find_layers
from suture.checkpoint.reader import Checkpoint
from suture.checkpoint.tensors import DTYPE_BITS, TensorInfo, layer_order

_OUTSIDE = -1
"""In place of a layer's number."""


@dataclass(frozen=True)
class Shared:
    """A tensor that all checkpoints hold.

    Attributes:
        names: Its name in each of them.
        infos: Its dtype and shape in each.
        layer: Its layer, or None outside of the layers.
        kind: What it is in its layer, a star for every further number: `mlp.experts.*.up_proj`. Outside, its name.
        group: What it does.
    """

    names: tuple[str, ...]
    infos: tuple[TensorInfo, ...]
    layer: int | None
    kind: str
    group: Group

    @property
    def name(self) -> str:
        """Its name in the first checkpoint."""
        return self.names[0]

    @property
    def count(self) -> int:
        """How many numbers can be compared: all, or where one has more rows than another, the rows of both."""
        return min(info.parameters for info in self.infos)

    @property
    def bits(self) -> int:
        """Bits that one number takes in all the files together."""
        return sum(DTYPE_BITS[info.dtype] for info in self.infos)


@dataclass(frozen=True)
class Unpaired:
    """A tensor that cannot be compared, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Pairing:
    """The tensors of several checkpoints.

    Attributes:
        shared: Those that all hold, in the order of the layers, then those outside of them.
        unpaired: All others.
    """

    shared: tuple[Shared, ...]
    unpaired: tuple[Unpaired, ...]


def pair_up(checkpoints: Sequence[Checkpoint], labels: Sequence[str]) -> Pairing:
    """Return which tensors of several checkpoints belong together.

    A tensor is told by its layer and its name in it, whatever the layers are called: a text model's `model.layers`
    are the same as a multimodal one's `model.language_model.layers`.

    Args:
        checkpoints: At least two.
        labels: What reasons call them.

    Raises:
        CheckpointError: When the layers of one cannot be told.
    """
    stacks = [find_layers(each.layout.config, each.layout.tensors, str(each.folder)) for each in checkpoints]
    wrapped = len({stack.prefix for stack in stacks}) > 1
    tables = [
        {_place(name, stack, wrapped=wrapped): name for name in each.layout.tensors}
        for each, stack in zip(checkpoints, stacks, strict=True)
    ]
    shared: list[Shared] = []
    unpaired: list[Unpaired] = []
    for place in sorted({place for table in tables for place in table}, key=_reading_order):
        names = [table.get(place) for table in tables]
        held = [label for label, name in zip(labels, names, strict=True) if name]
        found = tuple(name for name in names if name)
        if len(found) < len(tables):
            unpaired.append(Unpaired(found[0], f"only in {' and '.join(held)}"))
            continue
        infos = tuple(each.layout.tensors[name] for each, name in zip(checkpoints, found, strict=True))
        if reason := _misfit(infos, place[0]):
            unpaired.append(Unpaired(found[0], reason))
            continue
        layer, rest = place
        kind = pattern_of(rest).removesuffix(".weight")
        shared.append(Shared(found, infos, None if layer == _OUTSIDE else layer, kind, group_of(rest)))
    return Pairing(tuple(shared), tuple(unpaired))


def _place(name: str, stack: LayerStack, *, wrapped: bool) -> tuple[int, str]:
    """Return a tensor's layer and its name there; outside of the layers its name.

    Where only one of the models is wrapped, the wrapper's part of the name is left out:
    `model.language_model.norm.weight` and `model.norm.weight` are both `norm.weight`.
    """
    if inside := stack.split(name):
        return inside
    parent = stack.prefix.rpartition(".")[0] + "."
    return _OUTSIDE, name.removeprefix(parent) if wrapped else name


def _reading_order(place: tuple[int, str]) -> tuple[bool, int, tuple[str | int, ...]]:
    return place[0] == _OUTSIDE, place[0], layer_order(place[1])


def _misfit(infos: Sequence[TensorInfo], layer: int) -> str | None:
    """Return why tensors cannot be compared. Embeddings and heads of different length are no reason."""
    dtypes = {info.dtype for info in infos}
    if not dtypes <= set(FLOATS):
        return f"{', '.join(sorted(dtypes))}: no plain numbers"
    shapes = {info.shape for info in infos}
    only_rows_differ = layer == _OUTSIDE and all(len(shape) == 2 for shape in shapes)
    if len(shapes) > 1 and not (only_rows_differ and len({shape[1] for shape in shapes}) == 1):
        return f"shapes {' and '.join(str(list(info.shape)) for info in infos)}"
    return None
