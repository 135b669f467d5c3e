"""What tells runs apart on Prefect's pages, and what stays out of their logs. Nothing here needs a server."""

from __future__ import annotations

import logging

import pytest

from deployments.logs import shorten_logs
from flows.maintain import Maintenance
from flows.watch import Watching
from suture.errors import DataError, RecipeError
from suture.recipe import Heal, Source
from tasks.artifacts import artifact_key, own_slug
from tests.flows.toys import toy_recipe


def test_a_headline_stays_short() -> None:
    recipe = toy_recipe("many")
    sources = tuple(Source(name=f"model-{number}", model=f"/{number}") for number in range(6))
    heal = Heal.model_validate({"data": [{"text": "builtin:code"}]})
    changed = recipe.model_copy(update={"sources": sources, "heal": heal})
    assert recipe.headline == "many: a + b, passthrough, Q4_K_M"
    assert changed.headline == "many: model-0 + model-1 + model-2 + 3 more, passthrough, healed, Q4_K_M"


def test_the_other_flows_say_on_what() -> None:
    recipes = [toy_recipe(name).model_dump(mode="json") for name in ("a", "b", "c", "d")]
    assert Watching.model_validate({"recipes": recipes[:1], "files": ["/etc/two.yaml"]}).title == "watch a, two"
    assert Watching.model_validate({"recipes": recipes}).title == "watch a, b, c and 1 more"
    assert Maintenance().title == "check, count beyond 20 runs"
    assert Maintenance(check=False, remove=True).title == "keep 20 runs"


def test_artifacts_of_two_recipes_have_two_keys() -> None:
    names = ("demo-1.5b", "demo-1-5b", "demo_1-5b", "demo-1-5b-", "demo")
    slugs = [own_slug(name) for name in names]
    assert len(set(slugs)) == len(names)
    assert slugs[1] == "demo-1-5b", "a name that is a key already stays as it is"
    assert all(set(slug) <= set("abcdefghijklmnopqrstuvwxyz0123456789-") for slug in slugs)
    assert artifact_key("tests", "merged Q4_K_M").endswith("-tests-merged-q4-k-m")


def test_an_error_of_ours_is_logged_once_and_without_its_traceback(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    shorten_logs()
    logger = logging.getLogger("prefect.flow_runs")
    monkeypatch.setattr(logger, "handlers", [caplog.handler])
    monkeypatch.setattr(logger, "propagate", False)
    ours = RecipeError("a mistake", way_out="mend it")
    ours.__cause__ = DataError("what caused it")
    ours.add_note("It is in the report.")
    logger.error("Encountered exception during execution: %r", ours, exc_info=ours)
    logger.error("Engine execution exited with unexpected exception", exc_info=ours)
    logger.error("Encountered exception during execution", exc_info=ZeroDivisionError("a bug"))
    logger.error("Finished in state NotReady('Upstream task run did not reach a COMPLETED state.')")
    logger.info("Finished in state Completed()")
    told, bug, end = caplog.records
    assert told.getMessage() == "a mistake\n  way out:  mend it\nIt is in the report."
    assert told.exc_info is None
    assert bug.exc_info is not None
    assert end.getMessage() == "Finished in state Completed()"
