"""Publish what a run made."""

from __future__ import annotations

from typing import TypedDict

from prefect import task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE

from suture.progress import human_bytes
from suture.publish import Draft, Only, Published, draft, pick, publish
from suture.steps import store_of_this_machine
from tasks.artifacts import if_server_answers, own_slug
from tasks.progress import shown
from tasks.secrets import take_hub_token
from tasks.step import is_transient


class Publication(TypedDict):
    """What was published."""

    repo: str
    commit: str
    url: str
    changed: int


@task(
    name="publish",
    task_run_name="publish to {repo}",
    cache_policy=NO_CACHE,
    persist_result=True,
    result_serializer="json",
    retries=3,
    retry_delay_seconds=30,
    retry_condition_fn=is_transient,
)
def publish_release(key: str, repo: str, override: str, only: Only | None, *, public: bool) -> Publication:
    """Publish a run or an artifact; what the hub has already is not sent again."""
    take_hub_token()
    store = store_of_this_machine()
    with store.in_use(), shown(f"publish to {repo}") as view:
        drafted = draft(pick(store, key, only), repo, override)
        done = publish(drafted, store, view, public=public)
    _show(drafted, done)
    changed = sum(change.action != "keep" for change in done.plan.changes)
    return Publication(repo=repo, commit=done.commit, url=done.url, changed=changed)


@if_server_answers()
def _show(drafted: Draft, done: Published) -> None:
    key = own_slug(drafted.repo)
    create_table_artifact(
        [
            {"file": change.name, "size": human_bytes(change.size), "action": change.action}
            for change in done.plan.changes
        ],
        key=f"publish-{key}",
        description=f"`{drafted.repo}` is at `{done.commit}`.",
    )
    create_markdown_artifact(drafted.card, key=f"card-{key}", description=f"Card of `{drafted.repo}`.")
