"""What a merge may say of its tokens and of the form of its chats."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from suture.recipe.jinja import find_mistake
from suture.recipe.part import Name, Part, any_of

_MAX_PADDING = 2**16
"""Kernels want multiples of 8 to 1024; the padding can add as many rows but one."""
_MAX_ROW = 2**31 - 1


class TokenRow(Part):
    """Which embedding row a token gets; in an untied head, which row there."""

    token: str = Field(min_length=1)
    """The token, such as `<|im_start|>`. One that the vocabulary lacks is added to it as a special token."""

    source: Name | None = None
    """The source whose row it gets."""

    like: str | None = Field(default=None, min_length=1)
    """Which token of that source the row is of; the same one when left out."""

    row: int | None = Field(default=None, ge=0, le=_MAX_ROW)
    """Instead of `like`: the number of the row, which is the token's id there."""

    zero: bool = False
    """Instead of a source's row: an empty one, all zeros."""

    force: bool = False
    """Use the row for all sources; only for those that lack the token when left out."""

    @model_validator(mode="after")
    def _one_row(self) -> Self:
        if (self.source is None) != self.zero:
            found = "neither" if self.source is None else "both"
            msg = f"{self.token}: expected either source or zero, found {found}"
            raise ValueError(msg)
        if self.like is not None and self.row is not None:
            msg = f"{self.token}: expected at most one of like and row, found both"
            raise ValueError(msg)
        if self.zero and (self.like is not None or self.row is not None):
            msg = f"{self.token}: expected no like and no row beside zero"
            raise ValueError(msg)
        return self


class Vocabulary(Part):
    """The tokens of the result; embedding and head rows follow them."""

    source: Name | None = None
    """The source whose tokenizer the result has; the base when left out. Rows of other sources are aligned with it,
    token by token; a token that one of them lacks takes the row of the base, or of the first that has it."""

    union: bool = False
    """Take the tokens of all sources: those of the tokenizer's source first, then what the others have besides."""

    pad_to_multiple_of: int | None = Field(default=None, ge=1, le=_MAX_PADDING)
    """Fill the vocabulary with empty rows up to a multiple of this, as some kernels want it."""

    # Left out of what is written where there are none: older recipes keep their keys.
    tokens: tuple[TokenRow, ...] = Field(default=(), exclude_if=lambda tokens: not tokens)
    """Tokens whose rows are chosen one by one."""

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        names = [row.token for row in self.tokens]
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            msg = f"tokens: expected each token once, found {', '.join(doubled)} more than once"
            raise ValueError(msg)
        return self

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the sources in use."""
        return tuple(name for name in (self.source, *(row.source for row in self.tokens)) if name)


class ChatTemplate(Part):
    """A chat template that is of no source in particular."""

    format: Literal["auto", "chatml", "llama3", "alpaca", "mistral", "exaone"] | None = None
    """A well-known format by its name; `auto` takes the template that most of the sources have, among those whose
    marks are tokens of the result."""

    jinja: str | None = Field(default=None, max_length=100_000)
    """Instead of `format`: the template itself, in Jinja."""

    @model_validator(mode="after")
    def _one_template(self) -> Self:
        if (self.format is None) == (self.jinja is None):
            msg = f"expected either format or jinja, found {'neither' if self.format is None else 'both'}"
            raise ValueError(msg)
        if self.jinja is not None and (mistake := find_mistake(self.jinja)):
            msg = f"jinja: expected a chat template, found {mistake}"
            raise ValueError(msg)
        return self


def _kind_of_template(value: object) -> str:
    return "template" if isinstance(value, dict | ChatTemplate) else "source"


AnyTemplate = Annotated[
    Annotated[Name, Tag("source")] | Annotated[ChatTemplate, Tag("template")],
    Discriminator(_kind_of_template),
    Field(json_schema_extra=any_of),
]
"""A source's chat template, by its name, or another one."""
