"""Look at the sources of one recipe, and start its build when that is due."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from prefect import task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.deployments import run_deployment
from prefect.events import emit_event
from prefect.exceptions import ObjectNotFound
from prefect.logging import get_run_logger
from pydantic import JsonValue

from suture.errors import HostError
from suture.hub.watch import Due, Look, look_at, start_once
from suture.recipe import Recipe
from suture.steps import store_of_this_machine
from tasks.artifacts import if_server_answers, own_slug
from tasks.secrets import take_hub_token

_RECIPE, _REPOSITORY = "suture.recipe", "suture.repository"
_KEY_DIGITS = 12

_FLOW_RUN = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""What a flow run is called; `suture watch` calls the builds that it starts otherwise."""


@task(
    name="watch",
    task_run_name="watch {recipe.name}",
    cache_policy=NO_CACHE,
    persist_result=True,
    result_serializer="json",
)
def watch_recipe(recipe: Recipe, quiet: timedelta, deployment: str) -> dict[str, JsonValue]:
    """Look at a recipe's sources; say what was found as events and as a table; start the build that is due.

    Args:
        recipe: The recipe.
        quiet: How long a change has to stay as it is.
        deployment: What builds it, as `flow/deployment`; empty to start nothing.
    """
    take_hub_token()
    store = store_of_this_machine()
    look, due = look_at(recipe, store, quiet=quiet)
    get_run_logger().info("%s: %s; %s", look.recipe, look.verdict, look.why)
    _emit(look)

    def start(due: Due) -> str:
        run = _start(due, deployment)
        _tell_of_start(look, run)
        return run

    started = look.started
    if due is not None and deployment:
        started = start_once(store, due, start)
    _show(look, started)
    return {"recipe": look.recipe, "verdict": look.verdict, "combination": look.combination, "started": started}


def _start(due: Due, deployment: str) -> str:
    """Start the build on the server, which starts no second one under the same key; returns the flow run's id."""
    try:
        run: Any = run_deployment(
            deployment,
            parameters={"recipe": due.recipe.model_dump(mode="json")},
            idempotency_key=f"suture-{due.combination}",
            tags=["watch"],
            timeout=0,
            as_subflow=False,  # it outlives this run
        )
    except ObjectNotFound as error:
        raise HostError(
            "There is no such deployment to build with.",
            where=deployment,
            way_out="Deploy it (`suture up` does so), or leave `deployment` empty to start nothing.",
        ) from error
    return str(run.id)


def _emit(look: Look) -> None:
    """Emit an event for each source of which there is something new to tell, and one for the recipe."""
    for source in look.sources:
        if source.is_news:
            resource = {"prefect.resource.id": f"{_REPOSITORY}.{source.repo}", "prefect.resource.name": source.repo}
            emit_event(
                f"suture.source.{source.verdict}",
                resource={**resource, "suture.commit": source.commit, "suture.seen": source.seen},
                related=[_related(look)],
                payload=source.model_dump(mode="json"),
            )
    if any(source.is_news for source in look.sources):
        emit_event(f"suture.recipe.{look.verdict}", resource=_resource(look), payload=look.model_dump(mode="json"))


def _tell_of_start(look: Look, run: str) -> None:
    why = _reasons(look)
    get_run_logger().info("%s: started the flow run %s, because of %s", look.recipe, run, why)
    payload: dict[str, JsonValue] = {"flow_run": run, "combination": look.combination, "why": why}
    emit_event("suture.build.started", resource=_resource(look), payload=payload)


def _resource(look: Look) -> dict[str, str]:
    return {
        "prefect.resource.id": f"{_RECIPE}.{look.recipe}",
        "prefect.resource.name": look.recipe,
        "suture.combination": look.combination,
    }


def _related(look: Look) -> dict[str, str]:
    return {"prefect.resource.id": f"{_RECIPE}.{look.recipe}", "prefect.resource.role": "recipe"}


def _reasons(look: Look) -> str:
    return "; ".join(f"{source.repo}: {source.why}" for source in look.sources if source.changed)


@if_server_answers()
def _show(look: Look, started: str) -> None:
    rows: list[Mapping[str, str]] = [
        {
            "source": source.name,
            "repository": source.repo,
            "revision": source.revision,
            "seen": source.seen[:_KEY_DIGITS],
            "now": source.commit[:_KEY_DIGITS],
            "verdict": source.verdict,
            "why": source.why,
        }
        for source in look.sources
    ]
    create_table_artifact(
        [dict(row) for row in rows],
        key=f"watch-{own_slug(look.recipe)}",
        description=f"**{look.verdict}**: {_what_next(look, started)}.",
    )


def _what_next(look: Look, started: str) -> str:
    """Return what happens next, and why, with a link to the build."""
    if not started:
        return look.why
    link = f"[{started}](/runs/flow-run/{started})" if _FLOW_RUN.fullmatch(started) else started
    return look.why.replace(started, link) if look.started else f"{look.why}, and was started: {link}"
