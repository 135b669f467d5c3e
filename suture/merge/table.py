"""The merge methods, by the names that recipes use.

A new one takes its function in methods.py, its line here, and its tests.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from suture.merge import methods


@dataclass(frozen=True)
class Method:
    """A way to make one tensor of several.

    Attributes:
        function: Takes the tensors and, by name, the parameters of `suture.merge.plan.Output`.
        kind: How much the function must see at once. `elementwise`: each number of the result depends on the same
            number of each input alone, so a tensor can be computed in chunks.
    """

    function: Callable[..., methods.Floats]
    kind: Literal["elementwise"]


METHODS: dict[str, Method] = {
    "linear": Method(methods.linear, "elementwise"),
}
"""`passthrough` is not among them: it needs no arithmetic."""
