"""Publishing what a run made."""

from __future__ import annotations

from typing import Literal

from prefect import flow
from pydantic import Field

from suture.recipe import Part
from tasks.publish import Publication, publish_release


class PublishRequest(Part):
    """What to publish, and where."""

    key: str = Field(min_length=1)
    """A run of the store, such as `20261122-031502-demo-stack-3fa9`, or the beginning of an artifact's key."""

    repo: str = Field(pattern=r"^[\w.-]+/[\w.-]+$")
    """Repository on the hub, `owner/name`; made if there is none."""

    public: bool = False
    """Let everybody see it."""

    only: Literal["checkpoint", "gguf"] | None = None
    """Of a run, send only these files."""

    override_licence: str = ""
    """Why it is published although the licences conflict or are unknown; it goes into the card."""


@flow(
    name="publish",
    flow_run_name="publish {request.key:.40} to {request.repo}",
    persist_result=True,
    result_serializer="json",
)
def publish(request: PublishRequest) -> Publication:
    """Send a model with its card and provenance to the hub, in one commit; unchanged files make none."""
    return publish_release(
        request.key, request.repo, request.override_licence.strip(), request.only, public=request.public
    )
