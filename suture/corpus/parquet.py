"""The rows of a Parquet file."""

# pyarrow has no types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from pydantic import JsonValue

from suture.errors import DataError

_BATCH = 64  # rows; one may be a hundred kilobytes


def read_parquet(path: Path, name: str) -> Iterator[dict[str, JsonValue]]:
    """Yield the rows of a Parquet file.

    Args:
        path: The file.
        name: What errors call it.

    Raises:
        DataError: When it is none.
    """
    from pyarrow import ArrowException, parquet

    try:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(_BATCH):
                yield from map(_as_json, batch.to_pylist())
    except ArrowException as error:
        raise DataError("This is no Parquet file, or it is damaged.", where=name, found=str(error)) from error


def _as_json(value: Any) -> Any:  # noqa: ANN401 -- whatever the table holds
    """Leave out what is null, as a table gives every message the fields that any of them has; write the rest out."""
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        return {name: _as_json(field) for name, field in fields.items() if field is not None}
    if isinstance(value, list):
        return [_as_json(item) for item in cast("list[Any]", value)]
    return value if isinstance(value, str | int | float) else str(value)
