"""How models are merged: stacked from slices of layers, or blended tensor by tensor."""

from __future__ import annotations

from typing import Annotated, Literal, Self, get_args

from pydantic import Discriminator, Field, Tag, model_validator

from suture.recipe.part import Name, Part, any_of
from suture.recipe.tokens import AnyTemplate, Vocabulary

Gradient = Annotated[tuple[float, ...], Field(min_length=1)]
"""Values over the depth, evenly spread from the first layer to the last, with straight lines between them."""


class Filtered(Part):
    """A setting for some tensors."""

    filter: str = Field(min_length=1)
    """What the names of the tensors contain, such as `self_attn`; `*` for all that no entry before it fits."""

    value: float | Gradient
    """A number, or a gradient over the depth."""


def _kind_of_setting(value: object) -> str:
    if not isinstance(value, list | tuple):
        return "number"
    return "by_name" if value and isinstance(value[0], dict | Filtered) else "gradient"


Setting = Annotated[
    Annotated[float, Tag("number")]
    | Annotated[Gradient, Tag("gradient")]
    | Annotated[tuple[Filtered, ...], Tag("by_name")],
    Discriminator(_kind_of_setting),
    Field(json_schema_extra=any_of),
]
"""One number for all tensors; a gradient over the depth; or values by name, the first entry that fits counts."""

Layers = tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=1)]]
"""First layer and the one after the last, counted from 0: [0, 24] is layers 0 to 23."""

_MAX_LAYERS = 10_000


def _check_order(layers: Layers | None) -> None:
    if layers is not None and layers[0] >= layers[1]:
        msg = f"layers: expected the first layer before the end, found {list(layers)}"
        raise ValueError(msg)
    if layers is not None and layers[1] > _MAX_LAYERS:  # they are written out one by one
        msg = f"layers: expected an end of at most {_MAX_LAYERS}, found {list(layers)}"
        raise ValueError(msg)


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
        _check_order(self.layers)
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
        _check_order(self.layers)
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

Dtype = Literal["bfloat16", "float16", "float32"]


class _Merge(Part):
    base: Name
    """Source of the config, the tokenizer and the chat template, and of all that is not merged."""

    dtype: Dtype | None = None
    """What the result's tensors are stored as; each as the base has it when left out. Tensors that the base keeps in
    fp32 stay so."""

    vocabulary: Vocabulary | None = None
    """The tokens of the result; those of the base, whose embedding then has to be as long as that of every other
    source, when left out."""

    chat_template: AnyTemplate | None = None
    """Source of the chat template, or a template of a known format or of your own; the source of the tokenizer when
    left out."""

    @property
    def has_own_tokens(self) -> bool:
        """Whether the result's tokenizer may be another than the base's."""
        words = self.vocabulary
        return words is not None and (words.source not in (None, self.base) or words.union or bool(words.tokens))

    @property
    def has_own_words(self) -> bool:
        """Whether the result's tokenizer or chat template may be another than the base's."""
        return self.has_own_tokens or self.chat_template not in (None, self.base)


class Passthrough(_Merge):
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
        return _distinct(self, *(part.source for part in self.plain_slices), self.head)


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

_SETTINGS = frozenset(setting for takes in TAKES.values() for setting in takes)

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

_NORMALIZED = frozenset({"linear", "ties", "breadcrumbs_ties"})
"""Methods that divide by the sum of the weights unless told otherwise."""


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
        _check_order(self.layers)
        return self


class BlendedSlice(Part):
    """Layers of several models, blended into as many layers of the result."""

    models: Annotated[tuple[Blended, ...], Field(min_length=1)]
    """The models, each with its layers: as many of each."""

    t: Setting | None = None
    """The merge's own `t` when left out; a gradient runs over the layers of this slice."""


class Blend(_Merge):
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
        return _distinct(self, *(model.source for part in self.plain_slices for model in part.models))

    @property
    def uses_task_vectors(self) -> bool:
        """Whether the method looks at what each model changed of the base."""
        if self.method in ("nuslerp", "multislerp"):  # either way: of the base, if it is none of the models
            return all(model.source != self.base for part in self.plain_slices for model in part.models)
        return self.method in TASK_VECTOR_METHODS

    @property
    def is_normalized(self) -> bool:
        """Whether the weights are divided by their sum."""
        return self.method in _NORMALIZED if self.normalize is None else self.normalize

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
            if field.rstrip("_") in _SETTINGS and field.rstrip("_") not in takes
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


Merge = Annotated[Passthrough | Blend, Field(discriminator="method", json_schema_extra=any_of)]


def _distinct(merge: _Merge, *names: str | None) -> tuple[str, ...]:
    of_tokens = merge.vocabulary.sources if merge.vocabulary else ()
    speaker = merge.chat_template if isinstance(merge.chat_template, str) else None
    return tuple(dict.fromkeys(name for name in (merge.base, *names, *of_tokens, speaker) if name))


assert set(TAKES) == set(get_args(BlendMethod))  # noqa: S101 -- a table and a type that must agree
