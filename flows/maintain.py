"""Looking after the store."""

from __future__ import annotations

from typing import TypedDict

from prefect import flow
from prefect.logging import get_run_logger
from pydantic import Field

from suture.progress import human_bytes
from suture.recipe import Part
from suture.steps import store_of_this_machine
from suture.store.collect import collect
from suture.store.fsck import fsck
from tasks.progress import shown


class Maintenance(Part):
    """What to do with the store of the worker's machine."""

    check: bool = True
    """Hash every file again. What is damaged is set aside, and rebuilt by the next run that needs it."""

    keep_runs: int = Field(default=20, ge=0)
    """How many of the newest runs keep what they made."""

    remove: bool = False
    """Remove what none of these runs uses; when off, only say what would go."""

    @property
    def title(self) -> str:
        """What the run is called."""
        return f"{'check, ' if self.check else ''}{'keep' if self.remove else 'count beyond'} {self.keep_runs} runs"


class Maintained(TypedDict):
    """What came of it."""

    damaged: list[str]
    unused: list[str]
    unused_bytes: int
    removed: bool


@flow(name="maintain", flow_run_name="{maintenance.title}", persist_result=True, result_serializer="json")
def maintain(maintenance: Maintenance) -> Maintained:
    """Check the artifacts in the store, and collect those that no kept run uses."""
    logger, store = get_run_logger(), store_of_this_machine()
    damaged: list[str] = []
    if maintenance.check:
        with shown("check") as view:
            for finding in fsck(store, view):
                logger.warning("%s: %s", finding.key, finding.problem)
                damaged.append(finding.key)
    found = collect(store, maintenance.keep_runs, dry_run=not maintenance.remove)
    verb = "removed" if maintenance.remove else "would be removed"
    logger.info(
        "%d artifacts (%s) and %d runs %s", len(found.artifacts), human_bytes(found.size), len(found.runs), verb
    )
    return Maintained(
        damaged=damaged, unused=list(found.artifacts), unused_bytes=found.size, removed=maintenance.remove
    )
