"""The merge of a recipe alone."""

from __future__ import annotations

from pathlib import Path

from prefect import flow
from pydantic import Field, JsonValue

from suture.direct import merge_into
from suture.recipe import Part, Recipe
from tasks.progress import shown
from tasks.secrets import take_hub_token


class MergeRequest(Part):
    """What to merge, and where to."""

    recipe: Recipe
    """Only its sources, stages and merge are used."""

    folder: Path
    """Folder on the worker's machine that gets the checkpoint; it does not exist yet."""

    shard_gigabytes: float = Field(default=5.0, ge=0.001)
    """GB of tensors per file at most."""

    verify: bool = False
    """Load the result in transformers, and compare each layer with its source."""


@flow(
    name="merge",
    flow_run_name="{request.recipe.name}: merge, {request.recipe.merge.method}",
    persist_result=True,
    result_serializer="json",
)
def merge(request: MergeRequest) -> dict[str, JsonValue]:
    """Merge the models of a recipe into a checkpoint; nothing is healed, converted or measured."""
    take_hub_token()
    size = round(request.shard_gigabytes * 1e9)
    with shown("merge") as view:
        return merge_into(request.recipe, request.folder, size, view, verified=request.verify)
