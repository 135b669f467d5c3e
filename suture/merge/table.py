"""The merge methods, by the names that recipes use.

A new one takes its function in methods/, its line here, and its tests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from suture.merge.methods import average, breadcrumbs, dare, della, pairs, sce, spherical, stock, ties
from suture.merge.stream import Combine


@dataclass(frozen=True)
class Method:
    """A way to make one tensor of several.

    Attributes:
        function: Takes one tensor's `Inputs` and, by name, the settings; may read it in passes to measure it. Returns
            what makes a chunk of the result of a chunk of the inputs.
        settings: What else the function takes, by the names that recipes use; `lambda` is `lambda_`. Those in
            `suture.recipe.merge.MODEL_SETTINGS` are tuples with one value per model.
        by_rows: Whether chunks hold whole rows (see `suture.merge.stream.numbers_per_chunk`).
        across: For methods whose `paper` dialect measures the models as a whole: takes the inputs of all tensors that
            are merged by the method, with the models in the same order, and the settings by name. What it returns are
            further arguments of the function, the same for every tensor. Without them the function takes its tensor
            for the whole model, as the `mergekit` dialect has it.
    """

    function: Callable[..., Combine]
    settings: tuple[str, ...]
    by_rows: bool = False
    across: Callable[..., Mapping[str, Any]] | None = None


_SUM = ("weight", "normalize", "lambda_")
_RANDOM = ("rescale", "seed", "dialect")

METHODS: dict[str, Method] = {
    "passthrough": Method(average.passthrough, ("scale",)),
    "linear": Method(average.linear, ("weight", "normalize")),
    "slerp": Method(spherical.slerp, ("t",)),
    "nuslerp": Method(spherical.nuslerp, ("weight", "flatten", "row_wise"), by_rows=True),
    "multislerp": Method(spherical.multislerp, ("weight", "dialect")),
    "karcher": Method(spherical.karcher, ("weight", "max_iter", "tol")),
    "task_arithmetic": Method(ties.task_arithmetic, _SUM),
    "ties": Method(ties.ties, (*_SUM, "density", "dialect"), across=ties.whole_cuts),
    "dare_linear": Method(dare.dare_linear, (*_SUM, "density", *_RANDOM)),
    "dare_ties": Method(dare.dare_ties, (*_SUM, "density", *_RANDOM)),
    "della": Method(della.della, (*_SUM, "density", "epsilon", *_RANDOM), by_rows=True),
    "della_linear": Method(della.della_linear, (*_SUM, "density", "epsilon", *_RANDOM), by_rows=True),
    "breadcrumbs": Method(breadcrumbs.breadcrumbs, (*_SUM, "density", "gamma")),
    "breadcrumbs_ties": Method(breadcrumbs.breadcrumbs_ties, (*_SUM, "density", "gamma", "dialect")),
    "model_stock": Method(stock.model_stock, ("filter_wise", "dialect"), by_rows=True),
    "sce": Method(sce.sce, ("select_topk", "dialect")),
    "nearswap": Method(pairs.nearswap, ("t",)),
    "arcee_fusion": Method(pairs.arcee_fusion, (), by_rows=True),
}
"""Every method of a recipe; `passthrough` without a factor copies bytes and needs no function."""
