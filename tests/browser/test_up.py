"""What a person does in Prefect's pages: open the deployment, fill in the form, watch the run, read the report."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from playwright.sync_api import Locator, Page, expect

from suture.store import Store
from suture.store.runs import list_runs
from tests.flows.serving import Up, processes, wait_until

pytestmark = [pytest.mark.usefixtures("toolchain"), pytest.mark.timeout(1800)]

RUN_SECONDS = 1200
LIVE = {"SCHEDULED", "PENDING", "RUNNING"}


def test_run_from_the_form(up: Up, page: Page, shoot: Callable[[str], None], pico_recipe: Path) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    recipe = yaml.safe_load(pico_recipe.read_text()) | {"name": "from-the-form"}

    open_deployment(page, up)
    page.get_by_text("Description", exact=True).click()
    expect(page.get_by_text("From a recipe to a healed, quantized and measured model.")).to_be_visible()
    shoot("1-deployment")

    open_form(page)
    name = page.locator("textarea").first  # the first field of the recipe
    expect(name).to_have_value("demo-stack")
    shoot("2-form-with-the-demo")
    fill_in(page, recipe)
    write(name, "No Such Name")
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_text("Validation failed for field 'recipe.name'").first).to_be_visible()
    page.wait_for_timeout(1000)  # the message slides in
    shoot("3-form-with-a-mistake")
    write(name, "from-the-form")
    page.get_by_role("button", name="Submit").click()

    page.get_by_role("link", name="from-the-form").first.click(timeout=RUN_SECONDS * 1000)
    page.wait_for_url("**/runs/flow-run/*")
    run_page = page.url
    expect(page.get_by_text(re.compile("^(Pending|Running)$")).first).to_be_visible()
    shoot("4-running")
    page.goto("about:blank")  # without a GPU the run's moving graph takes the cores that the run needs
    wait_for_end(up, run_page.rpartition("/")[2])
    page.goto(run_page)
    ended = page.get_by_text(re.compile("^(Completed|Failed|Crashed)$")).first
    expect(ended).to_have_text("Completed")
    page.wait_for_timeout(2000)  # the graph is drawn on a canvas, which says nothing of itself
    shoot("5-run")

    open_artifact(page, run_page, "from-the-form-scoreboard")
    for arm in ("a", "b", "merged", "healed", "control"):
        expect(page.locator("td").get_by_text(arm, exact=True).first).to_be_visible()
    shoot("6-scoreboard")
    open_artifact(page, run_page, "from-the-form-loss-curves")
    expect_drawn(page.get_by_role("img", name="Training loss"))
    shoot("7-loss-curves")
    open_artifact(page, run_page, "from-the-form-report")
    expect(page.get_by_role("heading", name="Scoreboard")).to_be_visible()
    shoot("8-report")

    outside = [url for url in asked if not url.startswith((up.address, "data:", f"blob:{up.address}"))]
    assert outside == []
    stop(up)


def test_cancel_one_and_retry_another(
    up: Up, page: Page, shoot: Callable[[str], None], pico_recipe: Path, store: Store, tmp_path: Path
) -> None:
    long = yaml.safe_load(pico_recipe.read_text()) | {"name": "too-long"}
    long["heal"] |= {"steps": 100_000, "checkpoint_every": 1000}
    cancelled = start_run(up, long)
    wait_until(lambda: any("suture.heal.training" in command for command in processes().values()), RUN_SECONDS)
    open_run(page, up, cancelled)
    press(page, "Cancel", "Confirm")
    expect_state(page, "Cancelled")
    wait_until(lambda: not any("suture.heal.training" in command for command in processes().values()))
    shoot("9-cancelled")
    page.goto("about:blank")
    assert [record.state for record in list_runs(store)] == ["interrupted"]

    text = tmp_path / "held-out.txt"
    text.write_text("Too short.")
    short = {name: part for name, part in long.items() if name != "heal"} | {"name": "too-short"}
    short["benchmark"] |= {"perplexity": {"texts": [{"text": str(text)}], "chunks": 2, "context": 32}}
    failed = start_run(up, short)
    wait_for_end(up, failed)
    open_run(page, up, failed)
    expect_state(page, "Failed")
    expect(page.get_by_text("too short").first).to_be_visible()
    shoot("10-failed")
    text.write_text("A text that is long enough to be measured. " * 40)
    press(page, "Retry", "Retry")
    wait_until(lambda: state_of(up, failed)["name"] != "Failed", 300)
    page.goto("about:blank")
    wait_for_end(up, failed)
    open_run(page, up, failed)
    expect_state(page, "Completed")
    shoot("11-retried")
    records = list_runs(store)
    assert records[0].state == "completed"
    assert {step.step for step in records[0].steps if not step.cached} == {"perplexity"}
    stop(up)


def open_run(page: Page, up: Up, run: str) -> None:
    page.goto(f"{up.address}/runs/flow-run/{run}")


def press(page: Page, command: str, answer: str) -> None:
    """Press a button of the run's page, and another of the question that comes up."""
    page.get_by_role("button", name=command, exact=True).first.click()
    page.get_by_role("dialog").get_by_role("button", name=answer, exact=True).click()


def expect_state(page: Page, state: str) -> None:
    ended = page.get_by_text(re.compile("^(Completed|Failed|Crashed|Cancelled)$")).first
    expect(ended).to_have_text(state, timeout=RUN_SECONDS * 1000)
    page.wait_for_timeout(2000)  # the graph is drawn on a canvas, which says nothing of itself


def start_run(up: Up, recipe: dict[str, Any]) -> str:
    """Start a run, as the form does."""
    found = httpx.get(f"{up.address}/api/deployments/name/build_model/build-model").json()
    body = {"parameters": {"recipe": recipe}, "state": {"type": "SCHEDULED"}}
    return httpx.post(f"{up.address}/api/deployments/{found['id']}/create_flow_run", json=body).json()["id"]


def state_of(up: Up, run: str) -> dict[str, Any]:
    return httpx.get(f"{up.address}/api/flow_runs/{run}").json()["state"]


def open_deployment(page: Page, up: Up) -> None:
    found = httpx.get(f"{up.address}/api/deployments/name/build_model/build-model").json()
    page.goto(f"{up.address}/deployments")
    page.locator(f'a[href$="/deployments/deployment/{found["id"]}"]').first.click()
    page.wait_for_url("**/deployments/deployment/*")


def open_form(page: Page) -> None:
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_role("button", name="Custom run").click()
    page.wait_for_url("**/run*")


def write(field: Locator, text: str) -> None:
    """Write into a field as slowly as a person: the form takes it over a moment later."""
    field.fill(text)
    field.press("Tab")
    field.page.wait_for_timeout(1000)


def fill_in(page: Page, recipe: dict) -> None:
    """Give the form a whole recipe as JSON, and go back to its fields."""
    menu = page.get_by_text("Parameters", exact=True).locator("..").get_by_role("button")
    menu.click()
    page.get_by_text("Use JSON input").click()
    page.locator("textarea.p-code-input__textarea").fill(json.dumps({"recipe": recipe}, indent=1))
    menu.click()
    page.get_by_text("Use form input").click()
    expect(page.locator("textarea").first).to_have_value(recipe["name"])


def open_artifact(page: Page, run_page: str, key: str) -> None:
    page.goto(run_page)
    page.get_by_text("Artifacts", exact=True).last.click()
    page.get_by_role("link", name=key).first.click()
    page.wait_for_url("**/artifacts/**")


def expect_drawn(image: Locator) -> None:
    """An image that the browser could not draw has no width of its own."""
    expect(image).to_be_visible()
    assert image.evaluate("image => image.naturalWidth") > 100


def wait_for_end(up: Up, run: str) -> None:
    """Ask the server until the run has ended."""
    deadline = time.monotonic() + RUN_SECONDS
    while state_of(up, run)["type"] in LIVE:
        assert time.monotonic() < deadline, "the run does not end"
        time.sleep(1)


def stop(up: Up) -> None:
    """Ctrl-C ends the command, and all that it started."""
    up.process.send_signal(signal.SIGINT)
    assert up.process.wait(60) == 0
    deadline = time.monotonic() + 10  # the guardian has given up its lock, and is on its way out
    while left_running() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert left_running() == []


def left_running() -> list[str]:
    browser = ("playwright", "chromium", "chrome_crashpad")  # the test's own
    return [command for command in processes().values() if not any(name in command for name in browser)]
