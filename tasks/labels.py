"""What tells one run from another on Prefect's pages: the tags of a run, and the address of its page.

Its name comes from the flow's parameters (`Recipe.headline`); the commits of its sources are known only once they are
pinned, so the tags that hold them are added while it runs.
"""

from __future__ import annotations

import contextlib

import httpx
from prefect.client.orchestration import get_client
from prefect.runtime import flow_run
from prefect.utilities.urls import url_for

from suture.plan import Plan

_COMMIT_DIGITS = 7
"""As hub and git show a commit."""


def tags_of(plan: Plan) -> list[str]:
    """Return what a run can be found by: `recipe:NAME`, `source:MODEL@COMMIT`, `method:`, `heal:`, `quant:`."""
    recipe = plan.recipe
    return [
        f"recipe:{recipe.name}",
        *dict.fromkeys(f"source:{pinned.model}@{pinned.commit[:_COMMIT_DIGITS]}" for pinned in plan.pinned),
        *dict.fromkeys(f"method:{merge.method}" for _, merge in recipe.merges),
        *([f"heal:{recipe.heal.method}"] if recipe.heal else []),
        *(f"quant:{quant}" for quant in recipe.gguf.quantize),
    ]


def tag_run(plan: Plan) -> None:
    """Add the tags of a plan to this run."""
    if flow_run.id is None:
        return
    with contextlib.suppress(httpx.HTTPError), get_client(sync_client=True) as client:  # a run goes on without tags
        client.update_flow_run(flow_run.id, tags=list(dict.fromkeys([*flow_run.tags, *tags_of(plan)])))


def address_of_run() -> str:
    """Return the address of this run's page; empty where Prefect has no pages."""
    return (flow_run.id and url_for("flow-run", obj_id=flow_run.id)) or ""
