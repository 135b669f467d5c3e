"""The flow that watches, with the managed server and the local hub: events, table, and one flow run per change."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from flows.pipeline import build_model
from flows.publish import PublishRequest, publish
from flows.watch import Watching, watch
from suture.errors import HostError
from suture.recipe import Recipe, parse_recipe
from suture.settings import settings
from suture.store import RunRecord, Store
from suture.store.runs import write_run
from tests.flows.serving import wait_until
from tests.unit.hub import local_hub
from tests.unit.hub.checkpoint_files import checkpoint_files
from tests.unit.hub.local_hub import LocalHub

pytestmark = pytest.mark.usefixtures("server")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.setenv("SUTURE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_TOKEN", "hf_canary")
    settings.cache_clear()
    with local_hub.serve() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        for name in "ab":
            hub.commit(f"somebody/{name}", checkpoint_files(rows=64))
        yield hub


def recipe_of(folder: Path) -> Recipe:
    content = {
        "name": "watched",
        "sources": [{"name": name, "model": f"somebody/{name}"} for name in "ab"],
        "merge": {"method": "linear", "base": "a", "models": [{"source": "a"}, {"source": "b"}]},
    }
    return parse_recipe(content, where="test", folder=folder)


def test_a_change_becomes_an_event_and_one_run(
    hub: LocalHub, ask: Callable[..., Any], tmp_path: Path, store: Store
) -> None:
    recipe = recipe_of(tmp_path)
    deployment: Any = build_model.to_deployment(name="watched")
    deployment.apply()
    watching = Watching(recipes=(recipe,), quiet_minutes=0, deployment="build_model/watched")

    def runs() -> list[dict[str, Any]]:
        return ask("/flow_runs/filter", flow_runs={"tags": {"all_": ["watch"]}})

    assert [found["verdict"] for found in watch(watching)] == ["new"]
    hub.commit("somebody/a", {**checkpoint_files(rows=64), "README.md": b"---\nlicense: unknown\n---\n"})
    assert [found["verdict"] for found in watch(watching)] == ["cosmetic"]
    assert runs() == []

    sha = hub.commit("somebody/a", checkpoint_files(rows=65))
    (first,) = watch(watching)
    (again,) = watch(watching)
    (store.root / "watch" / "claims" / f"{first['combination']}.json").unlink()
    (elsewhere,) = watch(watching)  # by a watcher with a store of its own
    assert {found["verdict"] for found in (first, again, elsewhere)} == {"material"}
    (run,) = runs()
    assert {found["started"] for found in (first, again, elsewhere)} == {run["id"]}
    assert run["idempotency_key"] == f"suture-{first['combination']}"
    assert run["parameters"]["recipe"]["sources"][0]["revision"] == sha
    assert run["state"]["type"] == "SCHEDULED"

    def events() -> list[str]:
        asked = {"event": {"prefix": ["suture."]}, "occurred": {"since": "2026-01-01T00:00:00Z"}}
        return [event["event"] for event in ask("/events/filter", filter=asked)["events"]]

    wait_until(lambda: "suture.build.started" in events())
    assert events().count("suture.source.material") == 1
    (table,) = ask("/artifacts/latest/filter", artifacts={"key": {"any_": ["watch-watched"]}})
    assert "somebody/a" in table["data"]

    built = Recipe.model_validate(run["parameters"]["recipe"]).model_dump(mode="json")
    write_run(store, RunRecord(run="r", recipe=built, started=datetime.now(UTC), state="completed", keys=()))
    (after,) = watch(watching)
    assert after["verdict"] == "unchanged"


def test_publishing_an_unknown_run_fails_with_the_reason() -> None:
    with pytest.raises(HostError, match="No single artifact"):
        publish(PublishRequest(key="nothing", repo="me/model"))
