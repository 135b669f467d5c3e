"""One model to a smaller file."""

from __future__ import annotations

from pathlib import Path
from typing import TypedDict

from prefect import flow

from suture.direct_gguf import quantize_into
from suture.recipe import Imatrix, Part, QuantType
from tasks.progress import shown


class QuantizeRequest(Part):
    """What to quantize, and where to."""

    model: Path
    """On the worker's machine: a folder with a checkpoint, which is converted first, or a 16-bit GGUF."""

    out: Path
    """The GGUF to be made; it does not exist yet."""

    type: QuantType = "Q4_K_M"
    """Quantization type."""

    imatrix: Imatrix | None = None
    """Weight the rounding by an importance matrix. IQ3_XS and all types below it but Q2_K need one."""


class QuantizedFile(TypedDict):
    """What came of it."""

    out: str
    size_bytes: int
    fallback_tensors: int


@flow(
    name="quantize",
    flow_run_name="quantize {request.model.name} to {request.type}",
    persist_result=True,
    result_serializer="json",
)
def quantize(request: QuantizeRequest) -> QuantizedFile:
    """Make a smaller GGUF of a checkpoint or of a 16-bit GGUF."""
    with shown("quantize") as view:
        done = quantize_into(request.model, request.out, request.type, request.imatrix, view)
    return QuantizedFile(
        out=str(request.out), size_bytes=request.out.stat().st_size, fallback_tensors=done.fallback_tensors
    )
