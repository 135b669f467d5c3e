"""One model against the suites."""

from __future__ import annotations

from pathlib import Path, PurePath

from prefect import flow
from pydantic import Field, JsonValue

from suture.bench.capability import BenchmarkSpec
from suture.bench.suite import select
from suture.bench.target import ask_target
from suture.recipe import Capability, Part
from tasks.progress import shown


class BenchmarkRequest(Part):
    """Which model to ask, what, and where its answers are kept."""

    model: str = Field(min_length=1)
    """A GGUF on the worker's machine, which is served for the time; or the URL of an OpenAI-compatible endpoint,
    whose key the worker reads from SUTURE_API_KEY."""

    folder: Path
    """Folder on the worker's machine that gets the samples; the same folder goes on where a run was killed."""

    capability: Capability = Capability()
    """What to ask, and how."""

    concurrency: int = Field(default=1, ge=1)
    """How many tests are asked at once; above 1, the same seed may give other answers."""

    @property
    def name(self) -> str:
        """What the run is called: the model's own name."""
        return PurePath(self.model).name


@flow(name="benchmark", flow_run_name="benchmark {request.name}", persist_result=True, result_serializer="json")
def benchmark(request: BenchmarkRequest) -> dict[str, JsonValue]:
    """Ask a model the tests of a suite, run and open what it writes, and score it."""
    asked = request.capability.model_dump()
    spec = BenchmarkSpec.model_validate(asked | {"tests": [test.id for test in select(request.capability.tests)]})
    with shown("benchmark") as view:
        return ask_target(request.model, spec, request.folder, request.concurrency, view)
