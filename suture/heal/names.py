"""Names that training and fusing agree on."""

from __future__ import annotations

import re

GATES = "gates.json"
"""File beside an adapter: module -> the factor on its output."""

GATED = ("o_proj", "out_proj", "down_proj")
"""Last parts of the names of the projections that write to the residual stream."""

_NUMBER = re.compile(r"\.(\d+)\.")


def layer_of(module: str) -> int | None:
    """Return the number of the layer that a module of a language model belongs to; None outside all layers."""
    found = _NUMBER.search(module)
    return int(found[1]) if found else None
