"""Merges that blend models of one shape, tensor by tensor."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from suture.recipe.merge.common import Layers, MergePart, Setting, check_order
from suture.recipe.merge.methods import NORMALIZED, SETTINGS, TAKES, TASK_VECTOR_METHODS, BlendMethod
from suture.recipe.part import Name, Part


class Blended(Part):
    """One model of a blend."""

    source: Name
    """Which source."""

    layers: Layers | None = None
    """Which of its layers, in a slice: first layer and the one after the last."""

    weight: Setting = 1.0
    """How much it counts. A negative weight in task arithmetic takes away what the model has learned."""

    density: Setting = 1.0
    """Share of its task vector that is kept (ties, dare, della, breadcrumbs, sce)."""

    epsilon: Setting = 0.15
    """How far della's drop rates spread either side of 1 - density."""

    gamma: Setting = 0.01
    """Share of the largest changes that breadcrumbs drops."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        check_order(self.layers)
        return self


class BlendedSlice(Part):
    """Layers of several models, blended into as many layers of the result."""

    models: Annotated[tuple[Blended, ...], Field(min_length=1)]
    """The models, each with its layers: as many of each."""

    t: Setting | None = None
    """The merge's own `t` when left out; a gradient runs over the layers of this slice."""


class Blend(MergePart):
    """Blend models of one shape, tensor by tensor."""

    method: BlendMethod
    """A method by the name of its paper."""

    models: tuple[Blended, ...] = ()
    """The models to blend, whole. Methods that use task vectors take them from the base."""

    slices: tuple[BlendedSlice, ...] = ()
    """Instead of `models`: slices of layers to blend, from the result's first layer to its last."""

    t: Setting = 0.5
    """slerp: 0 gives the base, 1 the other model. nearswap: how near is near."""

    normalize: bool | None = None
    """Divide by the sum of the weights; when left out, as usual for the method (yes for linear, ties and
    breadcrumbs_ties)."""

    lambda_: Setting = Field(default=1.0, alias="lambda")
    """What the merged task vector is multiplied by before it is added to the base."""

    rescale: bool = True
    """dare, della: make up for what was dropped."""

    seed: int = Field(default=0, ge=0)
    """dare, della: which numbers are dropped."""

    flatten: bool = True
    """nuslerp: take each tensor as one vector."""

    row_wise: bool = False
    """nuslerp without flatten: take each row as a vector; each column else."""

    filter_wise: bool = False
    """model_stock: find the interpolation for each row instead of each tensor."""

    select_topk: Setting = 1.0
    """sce: share of the numbers that is kept, those that differ most between the models."""

    max_iter: int = Field(default=10, ge=1)
    """karcher: steps at most."""

    tol: float = Field(default=1e-5, gt=0)
    """karcher: stop when a step is shorter than this."""

    dialect: Literal["paper", "mergekit"] = "paper"
    """Where a paper and mergekit differ: which of them to follow."""

    @property
    def plain_slices(self) -> tuple[BlendedSlice, ...]:
        """The slices; one of whole models when the merge names models."""
        return self.slices or (BlendedSlice(models=self.models),)

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the sources in use, the base first."""
        return self.in_use(*(model.source for part in self.plain_slices for model in part.models))

    @property
    def uses_task_vectors(self) -> bool:
        """Whether the method looks at what each model changed of the base."""
        if self.method in ("nuslerp", "multislerp"):  # either way: of the base, if it is none of the models
            return all(model.source != self.base for part in self.plain_slices for model in part.models)
        return self.method in TASK_VECTOR_METHODS

    @property
    def is_normalized(self) -> bool:
        """Whether the weights are divided by their sum."""
        return self.method in NORMALIZED if self.normalize is None else self.normalize

    @model_validator(mode="after")
    def _fits_the_method(self) -> Self:
        if bool(self.models) == bool(self.slices):
            msg = "expected either models or slices, found both" if self.models else "expected models, or slices"
            raise ValueError(msg)
        self._check_settings()
        self._check_layers()
        self._check_models()
        return self

    def _check_settings(self) -> None:
        """Refuse what the method does not take, unless it is the default: a form fills in all of those."""
        models = [model for part in self.plain_slices for model in part.models]
        takes = TAKES[self.method]
        surplus = {
            field.rstrip("_")
            for part in (self, *self.plain_slices, *models)
            for field, info in type(part).model_fields.items()
            if field.rstrip("_") in SETTINGS and field.rstrip("_") not in takes
            if getattr(part, field) != info.default
        }
        if surplus:
            msg = f"{self.method} takes {', '.join(sorted(takes)) or 'no settings'}; "
            msg += f"found also {', '.join(sorted(surplus))}"
            raise ValueError(msg)

    def _check_layers(self) -> None:
        for number, part in enumerate(self.slices):
            lengths = {model.layers and model.layers[1] - model.layers[0] for model in part.models}
            if None in lengths or len(lengths) > 1:
                msg = f"slices.{number}: expected as many layers of each model, found "
                msg += ", ".join(f"{model.source} {model.layers and list(model.layers)}" for model in part.models)
                raise ValueError(msg)
        whole = [model.source for model in self.models if model.layers is not None]
        if whole:
            msg = f"models: expected whole models (layers belong in slices), found layers of {', '.join(whole)}"
            raise ValueError(msg)

    def _check_models(self) -> None:
        for part in self.plain_slices:
            names = [model.source for model in part.models]
            others = [name for name in names if name != self.base]
            if len(set(names)) < len(names) and not self.slices:
                msg = f"models: expected each source once, found {', '.join(names)}"
                raise ValueError(msg)
            if self.method == "slerp" and (len(names) != 2 or self.base not in names):
                msg = f"slerp: expected two models, the base ({self.base}) being one, found {', '.join(names)}"
                raise ValueError(msg)
            if self.method == "nuslerp" and len(names) != 2:
                msg = f"nuslerp: expected two models, found {', '.join(names)}"
                raise ValueError(msg)
            if self.method in ("nearswap", "arcee_fusion") and len(others) != 1:
                msg = f"{self.method}: expected one model beside the base, found {', '.join(others) or 'none'}"
                raise ValueError(msg)
            if self.method in TASK_VECTOR_METHODS and not others:
                msg = f"{self.method}: expected a model beside the base ({self.base}), found none"
                raise ValueError(msg)
            if self.method in ("multislerp", "karcher") and len(names) < 2 and not self.slices:
                msg = f"{self.method}: expected two models or more, found {', '.join(names)}"
                raise ValueError(msg)
