"""What a GGUF looks like in a terminal: where it came from, its metadata, its mix of tensor types; and as data."""

from __future__ import annotations

import json
from collections.abc import Mapping

from pydantic import JsonValue
from rich.markup import escape
from rich.table import Table

from suture.direct_gguf import Quantized
from suture.gguf.metadata import SOURCES, Summary
from suture.progress import human_bytes

_SHOWN_CHARACTERS = 200
"""How much of a long value, such as a chat template, is shown."""


def gguf_tables(summary: Summary) -> list[Table]:
    """Return what a GGUF holds: where it came from, its other metadata, and the mix of tensor types."""
    ours = {name: value for name, value in summary.metadata.items() if name.startswith("suture.")}
    others = {name: value for name, value in summary.metadata.items() if name not in ours}
    sources: list[dict[str, str]] = json.loads(str(ours.pop(SOURCES, "[]")))
    tables = [_pairs_table("Made by Suture", ours), _sources_table(sources)] if ours else []
    return [*tables, _pairs_table("Metadata", others), _types_table(summary)]


def gguf_data(summary: Summary) -> dict[str, JsonValue]:
    """Return what a GGUF holds as data."""
    return {
        "size_bytes": summary.size,
        "type": summary.type,
        "tensors": summary.tensors,
        "parameters": summary.parameters,
        "bits_per_weight": summary.bits_per_weight,
        "metadata": {
            name: json.loads(str(value)) if name == SOURCES else value for name, value in summary.metadata.items()
        },
        "types": {share.type: {"tensors": share.tensors, "size_bytes": share.size} for share in summary.types},
    }


def quantized_tables(done: Quantized) -> list[Table]:
    """Return a row for the 16-bit file and one for the smaller one."""
    table = Table(title="Quantized", title_justify="left")
    for column in ("", "type", "size", "bits per weight", "tensors of another type"):
        table.add_column(column, justify="left" if column in ("", "type") else "right")
    for name, file, fallbacks in (("from", done.source, ""), ("to", done.result, str(done.fallback_tensors))):
        table.add_row(name, file.type, human_bytes(file.size), f"{file.bits_per_weight:.2f}", fallbacks)
    weighted = f", weighted by {done.weighted_by}" if done.weighted_by else ""
    table.caption = f"{done.result.size / done.source.size:.0%} of the size{weighted}"
    return [table]


def quantized_data(done: Quantized) -> dict[str, JsonValue]:
    """Return what came of quantizing as data."""
    return {
        "source": _file_data(done.source),
        "result": _file_data(done.result) | {"fallback_tensors": done.fallback_tensors},
        "imatrix": done.weighted_by,
    }


def _file_data(file: Summary) -> dict[str, JsonValue]:
    return {"type": file.type, "size_bytes": file.size, "bits_per_weight": file.bits_per_weight}


def _pairs_table(title: str, pairs: Mapping[str, JsonValue]) -> Table:
    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column("key", no_wrap=True)
    table.add_column("value", overflow="fold")
    for name, value in pairs.items():
        text = str(value)
        shown = text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]} ..."
        table.add_row(escape(name), escape(shown))
    return table


def _sources_table(sources: list[dict[str, str]]) -> Table:
    table = Table(title="Sources", title_justify="left")
    for column in ("name", "model", "commit", "licence"):
        table.add_column(column, overflow="fold")
    for source in sources:
        table.add_row(*(escape(source[column]) for column in ("name", "model", "commit", "licence")))
    return table


def _types_table(summary: Summary) -> Table:
    table = Table(title=f"{summary.type}, {summary.bits_per_weight:.2f} bits per weight", title_justify="left")
    for column in ("type", "tensors", "parameters", "size"):
        table.add_column(column, justify="left" if column == "type" else "right")
    for share in summary.types:
        table.add_row(share.type, str(share.tensors), f"{share.parameters / 1e6:,.1f} M", human_bytes(share.size))
    table.caption = f"{summary.tensors} tensors, {human_bytes(summary.size)}"
    return table
