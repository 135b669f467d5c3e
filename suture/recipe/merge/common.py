"""What every merge has, and what its parts are made of."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

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


def check_order(layers: Layers | None) -> None:
    """Refuse layers that end before they begin, and more than any model has."""
    if layers is not None and layers[0] >= layers[1]:
        msg = f"layers: expected the first layer before the end, found {list(layers)}"
        raise ValueError(msg)
    if layers is not None and layers[1] > _MAX_LAYERS:  # they are written out one by one
        msg = f"layers: expected an end of at most {_MAX_LAYERS}, found {list(layers)}"
        raise ValueError(msg)


Dtype = Literal["bfloat16", "float16", "float32"]


class MergePart(Part):
    """What every merge has."""

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

    def in_use(self, *names: str | None) -> tuple[str, ...]:
        """Return the names of these sources and of all that are used besides, the base first, each once."""
        of_tokens = self.vocabulary.sources if self.vocabulary else ()
        speaker = self.chat_template if isinstance(self.chat_template, str) else None
        return tuple(dict.fromkeys(name for name in (self.base, *names, *of_tokens, speaker) if name))
