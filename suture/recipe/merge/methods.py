"""The methods that blend models, and what each of them takes."""

from __future__ import annotations

from typing import Literal, get_args

BlendMethod = Literal[
    "linear",
    "slerp",
    "nuslerp",
    "multislerp",
    "karcher",
    "task_arithmetic",
    "ties",
    "dare_linear",
    "dare_ties",
    "della",
    "della_linear",
    "breadcrumbs",
    "breadcrumbs_ties",
    "model_stock",
    "sce",
    "nearswap",
    "arcee_fusion",
]

_TASK_VECTORS = ("weight", "normalize", "lambda")

TAKES: dict[str, tuple[str, ...]] = {
    "linear": ("weight", "normalize"),
    "slerp": ("t",),
    "nuslerp": ("weight", "flatten", "row_wise"),
    "multislerp": ("weight",),
    "karcher": ("weight", "max_iter", "tol"),
    "task_arithmetic": _TASK_VECTORS,
    "ties": (*_TASK_VECTORS, "density"),
    "dare_linear": (*_TASK_VECTORS, "density", "rescale", "seed"),
    "dare_ties": (*_TASK_VECTORS, "density", "rescale", "seed"),
    "della": (*_TASK_VECTORS, "density", "epsilon", "rescale", "seed"),
    "della_linear": (*_TASK_VECTORS, "density", "epsilon", "rescale", "seed"),
    "breadcrumbs": (*_TASK_VECTORS, "density", "gamma"),
    "breadcrumbs_ties": (*_TASK_VECTORS, "density", "gamma"),
    "model_stock": ("filter_wise",),
    "sce": ("select_topk",),
    "nearswap": ("t",),
    "arcee_fusion": (),
}
"""Method -> the settings it takes; any other is refused."""

SETTINGS = frozenset(setting for takes in TAKES.values() for setting in takes)

MODEL_SETTINGS = ("weight", "density", "epsilon", "gamma")
"""Settings that each model has its own of."""

TASK_VECTOR_METHODS = frozenset(
    {
        "model_stock",
        "sce",
        "nearswap",
        "arcee_fusion",
        *(method for method, takes in TAKES.items() if "lambda" in takes),
    }
)
"""Methods that look at what each model changed of the base, so that the base is not one of the models."""

NORMALIZED = frozenset({"linear", "ties", "breadcrumbs_ties"})
"""Methods that divide by the sum of the weights unless told otherwise."""

assert set(TAKES) == set(get_args(BlendMethod))  # noqa: S101 -- a table and a type that must agree
