"""mergekit's merge methods: the parameters each reads, and what Suture calls them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Method:
    """What mergekit reads for a method.

    Attributes:
        of_models: Parameters that each model has its own of; the names are Suture's too.
        of_merge: Parameters of the whole merge, and Suture's names for them.
        flags: Those of them that are a yes or no.
        required: Parameters that mergekit stops without.
        fixed: Parameters of the whole merge that Suture knows one value of alone.
        defaults: What mergekit assumes where Suture's default is another.
    """

    of_models: tuple[str, ...] = ()
    of_merge: Mapping[str, str] = field(default_factory=dict[str, str])
    flags: Mapping[str, str] = field(default_factory=dict[str, str])
    required: tuple[str, ...] = ()
    fixed: Mapping[str, bool] = field(default_factory=dict[str, bool])
    defaults: Mapping[str, bool] = field(default_factory=dict[str, bool])

    @property
    def reads(self) -> tuple[str, ...]:
        """All parameters of the whole merge."""
        return (*self.of_merge, *self.flags, *self.fixed)


_T = {"t": "t"}
_LAMBDA = {"lambda": "lambda"}
_NORMALIZE = {"normalize": "normalize"}
_RESCALE = {"normalize": "normalize", "rescale": "rescale"}
_NUSLERP = {"nuslerp_flatten": "flatten", "nuslerp_row_wise": "row_wise"}
_WEIGHT = ("weight",)
_DENSITY = ("weight", "density")
_EPSILON = ("weight", "density", "epsilon")
_GAMMA = ("weight", "density", "gamma")

METHODS: dict[str, Method] = {
    "linear": Method(_WEIGHT, flags=_NORMALIZE, required=_WEIGHT),
    "slerp": Method(of_merge=_T, required=("t",)),
    "nuslerp": Method(_WEIGHT, flags=_NUSLERP, required=_WEIGHT),
    "multislerp": Method(_WEIGHT, required=_WEIGHT, fixed={"normalize_weights": True}),
    "karcher": Method(of_merge={"max_iter": "max_iter", "tol": "tol"}),
    "task_arithmetic": Method(_WEIGHT, _LAMBDA, _NORMALIZE, _WEIGHT),
    "ties": Method(_DENSITY, _LAMBDA, _NORMALIZE, _WEIGHT),
    "dare_linear": Method(_DENSITY, _LAMBDA, _RESCALE, _WEIGHT),
    "dare_ties": Method(_DENSITY, _LAMBDA, _RESCALE, _WEIGHT),
    "della": Method(_EPSILON, _LAMBDA, _RESCALE, _WEIGHT, defaults={"normalize": True}),
    "della_linear": Method(_EPSILON, _LAMBDA, _RESCALE, _WEIGHT),
    "breadcrumbs": Method(_GAMMA, _LAMBDA, _NORMALIZE, _WEIGHT),
    "breadcrumbs_ties": Method(_GAMMA, _LAMBDA, _NORMALIZE, _WEIGHT, defaults={"normalize": False}),
    "model_stock": Method(flags={"filter_wise": "filter_wise"}),
    "sce": Method(of_merge={"select_topk": "select_topk"}),
    "nearswap": Method(of_merge=_T, required=("t",)),
    "arcee_fusion": Method(),
}
"""Methods beside passthrough."""
