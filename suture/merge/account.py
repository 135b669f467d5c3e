"""The account of a merge: what each tensor of the result is made of, what becomes of each tensor of the sources."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from suture.checkpoint.config import agree_on_mtp
from suture.checkpoint.layout import CONFIG, Layout, TensorInfo
from suture.checkpoint.shards import INDEX
from suture.checkpoint.tensors import layer_order
from suture.checkpoint.writer import deal_out
from suture.merge.fit import Layouts
from suture.merge.rows import RowMap

COPY = "passthrough"
"""Name of the method whose tensors are not looked at, unless they are scaled or stored as another dtype."""


@dataclass(frozen=True)
class Input:
    """A tensor of a source.

    Attributes:
        source: Which source.
        tensor: Its name there.
        rows: Which rows, where the result's vocabulary is not the source's own.
    """

    source: str
    tensor: str
    rows: RowMap | None = None

    @property
    def tensors(self) -> tuple[tuple[str, str], ...]:
        """What is read for it: pairs of a source and the name of its tensor."""
        return ((self.source, self.tensor),) if self.rows is None else self.rows.tensors


@dataclass(frozen=True)
class Output:
    """A tensor of the result.

    Attributes:
        name: Its name.
        info: Its dtype and shape.
        inputs: The models it is made of.
        base: What task vectors are taken from, for methods that use them.
        method: A name of `suture.merge.table.METHODS`.
        parameters: What else the method's function takes; without any, a passthrough copies bytes.
    """

    name: str
    info: TensorInfo
    inputs: tuple[Input, ...]
    base: Input | None = None
    method: str = COPY
    parameters: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def is_copy(self) -> bool:
        """Whether its bytes are copied."""
        return self.method == COPY and not self.parameters

    @property
    def all_inputs(self) -> tuple[Input, ...]:
        """Every tensor that it depends on."""
        return self.inputs if self.base is None else (*self.inputs, self.base)


@dataclass(frozen=True)
class Dropped:
    """A tensor of a source that is in no tensor of the result."""

    tensor: str
    source: str
    reason: str


@dataclass(frozen=True)
class Draft:
    """What a kind of merge says of its result.

    Attributes:
        config: The result's config.
        outputs: The result's tensors, in any order.
        reason: Tells of a source and one of its tensors why nothing was made of it.
        seams: The new layers before which the source or the run of consecutive layers breaks.
        notes: What the user should know.
    """

    config: Mapping[str, JsonValue]
    outputs: tuple[Output, ...]
    reason: Callable[[str, str], str]
    seams: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class MergePlan:
    """What a merge will do.

    Attributes:
        layout: The result.
        outputs: The result's tensors in the order they are written.
        dropped: What is left over of the sources.
        seams: The new layers before which the source or the run of consecutive layers breaks.
        notes: What the user should know.
        companions: The files beside the weights; none as long as the sources' own are not at hand.
    """

    layout: Layout
    outputs: tuple[Output, ...]
    dropped: tuple[Dropped, ...]
    seams: tuple[int, ...]
    notes: tuple[str, ...]
    companions: Mapping[str, Path | bytes]


def account(
    draft: Draft, layouts: Layouts, names: Iterable[str], companions: Mapping[str, Path | bytes], shard_bytes: int
) -> MergePlan:
    """Return the whole account.

    Args:
        draft: What the kind of merge says.
        layouts: The sources in use, by name.
        names: The names of the files beside the weights.
        companions: These files, as far as they are at hand.
        shard_bytes: Bytes of tensors per file at most.
    """
    outputs = sorted(draft.outputs, key=lambda output: layer_order(output.name))
    tensors = {output.name: output.info for output in outputs}
    shards = deal_out(tensors, shard_bytes)
    files = {CONFIG, *shards, *names}
    if len(shards) > 1:
        files.add(INDEX)
    used = {pair for output in outputs for made_of in output.all_inputs for pair in made_of.tensors}
    dropped = [
        Dropped(tensor, source, draft.reason(source, tensor))
        for source, layout in layouts.items()
        for tensor in sorted(layout.tensors, key=layer_order)
        if (source, tensor) not in used
    ]
    layout = Layout(agree_on_mtp(dict(draft.config), tensors), tensors, tuple(sorted(files)))
    return MergePlan(layout, tuple(outputs), tuple(dropped), draft.seams, draft.notes, companions)
