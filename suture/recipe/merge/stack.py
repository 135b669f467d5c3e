"""Merges that stack slices of layers, copied as they are."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from suture.recipe.merge.common import Layers, MergePart, Setting, check_order
from suture.recipe.part import Name, Part, any_of


class Slice(Part):
    """Consecutive layers of one source."""

    source: Name
    """Which source."""

    layers: Layers
    """First layer and the one after the last, counted from 0: [0, 24] is layers 0 to 23."""

    scale: Setting = 1.0
    """What the tensors are multiplied by, such as `[{filter: o_proj, value: 0.5}, {filter: down_proj, value: 0.5}]`
    to damp repeated layers; tensors that no entry fits are copied as they are."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        check_order(self.layers)
        return self


class Interleave(Part):
    """Layers of several sources in turn: A0 B0 A1 B1 ..."""

    interleave: Annotated[tuple[Name, ...], Field(min_length=2)]
    """Which sources, in order."""

    layers: Layers
    """First layer and the one after the last, of each of them."""

    block: int = Field(default=1, ge=1)
    """Layers of one source before the next one's turn: 2 gives A0 A1 B0 B1 A2 A3 ..."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        check_order(self.layers)
        return self

    @property
    def slices(self) -> tuple[Slice, ...]:
        """The slices that this stands for."""
        start, end = self.layers
        blocks = [(begin, min(begin + self.block, end)) for begin in range(start, end, self.block)]
        return tuple(Slice(source=source, layers=block) for block in blocks for source in self.interleave)


def _kind_of_slice(value: object) -> str:
    is_interleaved = "interleave" in value if isinstance(value, dict) else isinstance(value, Interleave)
    return "interleave" if is_interleaved else "slice"


AnySlice = Annotated[
    Annotated[Slice, Tag("slice")] | Annotated[Interleave, Tag("interleave")],
    Discriminator(_kind_of_slice),
    Field(json_schema_extra=any_of),
]


class Passthrough(MergePart):
    """Stack slices of layers, copied as they are."""

    method: Literal["passthrough"]
    """Copies bytes."""

    slices: Annotated[tuple[AnySlice, ...], Field(min_length=1)]
    """The new model's layers, from first to last: any order, overlaps and repeats."""

    head: Name | None = None
    """Source of the final norm and the head; the base when left out."""

    @property
    def plain_slices(self) -> tuple[Slice, ...]:
        """The slices, with every interleaving written out."""
        groups = [part.slices if isinstance(part, Interleave) else (part,) for part in self.slices]
        return tuple(part for group in groups for part in group)

    @property
    def origins(self) -> tuple[tuple[str, int], ...]:
        """For each new layer, its source and its number there."""
        return tuple((part.source, layer) for part in self.plain_slices for layer in range(*part.layers))

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the sources in use, the base first."""
        return self.in_use(*(part.source for part in self.plain_slices), self.head)
