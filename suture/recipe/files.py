"""The files for llama.cpp."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from suture.recipe.part import Part
from suture.recipe.texts import Text

QuantType = Literal[
    "F16",
    "Q8_0",
    "Q6_K",
    "Q5_K_M",
    "Q5_K_S",
    "Q4_K_M",
    "Q4_K_S",
    "Q4_0",
    "IQ4_NL",
    "IQ4_XS",
    "Q3_K_L",
    "Q3_K_M",
    "Q3_K_S",
    "IQ3_M",
    "IQ3_S",
    "IQ3_XS",
    "IQ3_XXS",
    "Q2_K",
    "Q2_K_S",
    "IQ2_M",
    "IQ2_S",
    "IQ2_XS",
    "IQ2_XXS",
    "IQ1_M",
    "IQ1_S",
]

NEED_IMATRIX: frozenset[QuantType] = frozenset(
    {"IQ3_XS", "IQ3_XXS", "Q2_K_S", "IQ2_M", "IQ2_S", "IQ2_XS", "IQ2_XXS", "IQ1_M", "IQ1_S"}
)
"""Types that llama-quantize refuses to make without an importance matrix."""


class Imatrix(Part):
    """An importance matrix: which weights a text makes the model use, so that rounding spares these."""

    text: Text = Text(text="builtin:prose")
    """What the model reads. The part of it that is held out for measuring is not used."""

    chunks: int = Field(default=32, ge=2)
    """Chunks of the text."""

    context: int = Field(default=512, ge=32)
    """Tokens per chunk."""


class Gguf(Part):
    """The files for llama.cpp."""

    quantize: Annotated[tuple[QuantType, ...], Field(min_length=1)] = ("Q4_K_M",)
    """Quantization types; each makes one file and one row of the scoreboard per model."""

    imatrix: Imatrix | None = None
    """Importance matrix that all types are quantized with; it costs a pass over its text in 16 bits per model.
    Without one, IQ3_XS and all types below it but Q2_K cannot be made."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if len(set(self.quantize)) < len(self.quantize):
            msg = f"quantize: expected each type once, found {list(self.quantize)}"
            raise ValueError(msg)
        lacking = [type_ for type_ in self.quantize if type_ in NEED_IMATRIX]
        if lacking and self.imatrix is None:
            msg = f"quantize: {', '.join(lacking)} cannot be made without an importance matrix: expected imatrix, "
            msg += "found none (`imatrix: {}` takes the defaults)"
            raise ValueError(msg)
        return self
