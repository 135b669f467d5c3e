"""The form of provenance.json: https://in-toto.io/Statement/v1 around https://slsa.dev/provenance/v1."""

from __future__ import annotations

from datetime import datetime
from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, StringConstraints
from pydantic.alias_generators import to_camel

FILE = "provenance.json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "urn:suture:recipe:v1"
BUILDER = "urn:suture:builder:v1"


class _Row(BaseModel):
    """Fields that a reader does not know are passed over, as in-toto asks."""

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
    )


def _plain(name: str) -> str:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or str(path) != name or not name.isprintable():
        msg = f"expected a path below the folder, found {name!r}"
        raise ValueError(msg)
    return name


Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
FileName = Annotated[str, AfterValidator(_plain)]


class FileDigest(_Row):
    """The digest of a published file."""

    sha256: Sha256


class Subject(_Row):
    """A published file."""

    name: FileName
    digest: FileDigest


class Resource(_Row):
    """Something that was used: a model at one commit, a text, a package."""

    name: str
    uri: str | None = None
    digest: dict[str, str] = Field(min_length=1)
    annotations: dict[str, JsonValue] = {}


class BuildDefinition(_Row):
    """What was asked for, and what it was made of."""

    build_type: Literal["urn:suture:recipe:v1"] = BUILD_TYPE
    external_parameters: dict[str, JsonValue]
    """The recipe."""
    internal_parameters: dict[str, JsonValue]
    """The steps with their keys and specs; the class of machine that ran them."""
    resolved_dependencies: tuple[Resource, ...]
    """Sources and texts."""


class Builder(_Row):
    """What made it."""

    id: Literal["urn:suture:builder:v1"] = BUILDER
    version: dict[str, str]
    """Tools and packages."""


class Metadata(_Row):
    """When."""

    started_on: datetime
    finished_on: datetime


class RunDetails(_Row):
    """By what, and when."""

    builder: Builder
    metadata: Metadata


class Predicate(_Row):
    """SLSA's provenance."""

    build_definition: BuildDefinition
    run_details: RunDetails


class Statement(_Row):
    """An in-toto Statement."""

    type: Literal["https://in-toto.io/Statement/v1"] = Field(default=STATEMENT_TYPE, alias="_type")
    subject: tuple[Subject, ...] = Field(min_length=1)
    predicate_type: Literal["https://slsa.dev/provenance/v1"] = PREDICATE_TYPE
    predicate: Predicate
