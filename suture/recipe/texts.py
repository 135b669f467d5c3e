"""Texts to train on and to measure on."""

from __future__ import annotations

import re
from typing import Literal, Self

from pydantic import Field, model_validator

from suture.recipe.part import Part

_DATASET = re.compile(r"hub:[\w.-]+/[\w.-]+(@[^\s@]+)?")


class Text(Part):
    """One text to train on or to measure on."""

    text: str
    """`builtin:code` (Python's standard library), `builtin:prose` (Python's language reference and dialogues), or a
    path to a .txt file (plain text), or to a .jsonl, .json or .parquet file (rows with a "text" field)."""

    weight: float = Field(default=1.0, gt=0)
    """Its share of the blend, relative to the other weights."""


class Data(Text):
    """A text or a set of conversations to train on."""

    text: str
    """A data set on the hub (`hub:owner/name` or `hub:owner/name@revision`), `builtin:code` (Python's standard
    library), `builtin:prose` (Python's language reference and dialogues), or a path to a .txt file (plain text), or
    to a .jsonl, .json or .parquet file (rows)."""

    format: Literal["auto", "text", "messages", "sharegpt", "alpaca", "prompt_completion"] = "auto"
    """What each row holds; `auto` tells by the first one. Conversations are put into the model's own chat template,
    and only what the assistant says is learned."""

    split: str = Field(default="train", min_length=1)
    """Of a data set on the hub: which split. Where its card does not say which files that is, their names tell;
    files whose names tell of no split are all for training."""

    subset: str | None = Field(default=None, min_length=1)
    """Of a data set on the hub: which of the subsets ("configs") that its card names; its default when left out."""

    files: str | None = Field(default=None, min_length=1)
    """Of a data set on the hub: a pattern of the paths of its files, such as `data/*.parquet`, instead of `split` and
    `subset`."""

    @model_validator(mode="after")
    def _of_the_hub(self) -> Self:
        if self.text.startswith("hub:") and not _DATASET.fullmatch(self.text):
            msg = f"text: expected hub:owner/name or hub:owner/name@revision, found {self.text}"
            raise ValueError(msg)
        meant = {name for name in ("split", "subset", "files") if getattr(self, name) not in (None, "train")}
        if meant and not self.text.startswith("hub:"):
            msg = f"{', '.join(sorted(meant))}: expected a data set on the hub (hub:owner/name), found {self.text}"
            raise ValueError(msg)
        if "files" in meant and len(meant) > 1:
            msg = "files: expected either files, or subset and split, found both"
            raise ValueError(msg)
        return self
