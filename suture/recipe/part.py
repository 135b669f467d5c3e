"""What every part of a recipe has in common."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]


def number_fields(schema: dict[str, Any]) -> None:
    """Give each field its position: Prefect's form shows them in that order, and its database keeps no other."""
    for position, field in enumerate(schema.get("properties", {}).values()):
        field["position"] = position


def any_of(schema: dict[str, Any]) -> None:
    """Say `anyOf` of a union whose parts exclude each other anyway: Prefect's form has tabs for that alone."""
    if "oneOf" in schema:
        schema["anyOf"] = schema.pop("oneOf")


class Part(BaseModel):
    """What every part of a recipe has in common: it cannot be changed, and it knows all of its fields."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        defer_build=True,  # one schema for the whole recipe, when it is first needed
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
        json_schema_extra=number_fields,
    )
