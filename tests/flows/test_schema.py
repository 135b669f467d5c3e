"""The form's schema is an outer surface: it changes on purpose or not at all."""

from __future__ import annotations

from typing import Any

import pytest
from prefect import Flow
from prefect.utilities.callables import parameter_schema
from syrupy.assertion import SnapshotAssertion

from flows.benchmark import benchmark
from flows.maintain import maintain
from flows.merge import merge
from flows.pipeline import build_model
from flows.quantize import quantize
from flows.sweep import sweep


def test_parameter_schema(snapshot: SnapshotAssertion) -> None:
    assert parameter_schema(build_model).model_dump() == snapshot


def properties(schema: Any) -> list[dict[str, Any]]:
    return [part["properties"] for part in schema["definitions"].values() if "properties" in part]


@pytest.mark.parametrize(
    "flow", [build_model, merge, quantize, benchmark, maintain, sweep], ids=lambda flow: flow.name
)
def test_every_field_is_described_and_has_its_place(flow: Flow[..., Any]) -> None:
    """Prefect's form shows descriptions, and fields by `position`; unions become tabs only as `anyOf`."""
    schema = parameter_schema(flow).model_dump()
    for fields in properties(schema):
        assert [field["position"] for field in fields.values()] == list(range(len(fields)))
        for name, field in fields.items():
            assert "description" in field or "$ref" in field, name
            assert "oneOf" not in field, name
