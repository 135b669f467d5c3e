"""The six tasks, and an examination without a browser."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from suture.bench.frontend import TASKS, CheckResult, Task, examine
from tests.unit.bench.answers.frontend import ADVERSARY, PERFECT, page

NUMBERS = {
    "weather-dashboard": 9,
    "shop-product-page": 12,
    "saas-landing-page": 13,
    "analytics-dashboard": 13,
    "registration-wizard": 12,
    "snake-game": 12,
}
COMMON = ["ends", "brackets", "garbled", "loads"]


def read(task: Task, answer: str, tmp_path: Path) -> dict[str, CheckResult]:
    results = examine(task, answer, None, tmp_path / "shots")
    assert [result.id for result in results] == [check.id for check in task.checks]
    return {result.id: result for result in results}


def test_71_checks() -> None:
    assert {task.id: len(task.checks) for task in TASKS} == NUMBERS
    assert sum(NUMBERS.values()) == 71
    for task in TASKS:
        ids = [check.id for check in task.checks]
        assert ids[:4] == COMMON
        assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.id)
def test_the_prompt_names_the_hooks_that_a_good_page_has(task: Task) -> None:
    named = set(re.findall(r'(?:id|class|role)="([\w-]+)"', task.prompt))
    assert len(named) >= 2
    markup = page(task.id)
    assert [hook for hook in named if hook not in markup] == []


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.id)
def test_without_a_browser_its_checks_are_skipped(task: Task, tmp_path: Path) -> None:
    results = read(task, PERFECT[task.id], tmp_path)
    for check in task.checks:
        assert results[check.id].kind == check.kind
        assert results[check.id].outcome == ("passed" if check.kind == "static" else "skipped")
        assert "chromium" in results["loads"].why
    assert not (tmp_path / "shots").exists()


def test_21_checks_need_no_browser() -> None:
    assert sum(check.kind == "static" for task in TASKS for check in task.checks) == 21


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.id)
def test_no_page_fails_all_with_or_without_a_browser(task: Task, tmp_path: Path) -> None:
    results = read(task, "I am sorry, but as a language model I cannot.", tmp_path)
    assert {result.outcome for result in results.values()} == {"failed"}
    assert results["loads"].why == "there is no page in the answer"


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.id)
def test_a_truncated_page(task: Task, tmp_path: Path) -> None:
    answer = PERFECT[task.id]
    results = read(task, answer[: answer.rindex("(", 0, answer.index("</script>")) + 1], tmp_path)
    assert results["ends"].outcome == "failed"
    assert results["brackets"].outcome == "failed"
    assert results["garbled"].outcome == "passed"


def test_a_page_of_nothing_passes_no_more_than_its_end(tmp_path: Path) -> None:
    results = read(TASKS[0], "<html></html>", tmp_path)
    assert [each for each, result in results.items() if result.outcome == "passed"] == ["ends", "garbled"]
    assert results["brackets"].why == "there is no CSS"


def test_a_comment_may_follow_the_end(tmp_path: Path) -> None:
    html = page("weather-dashboard")
    assert read(TASKS[0], f"```html\n{html}\n<!-- v1 -->\n```", tmp_path)["ends"].outcome == "passed"
    assert read(TASKS[0], f"```html\n{html}\n<p>bye</p>\n```", tmp_path)["ends"].outcome == "failed"


@pytest.mark.parametrize(
    ("task", "failed"),
    [("weather-dashboard", {"css-variables"}), ("saas-landing-page", {"keyframes", "media-query"})],
)
def test_what_the_text_of_an_adversary_lacks(task: str, failed: set[str], tmp_path: Path) -> None:
    (found,) = [each for each in TASKS if each.id == task]
    results = read(found, ADVERSARY[task], tmp_path)
    assert {each for each, result in results.items() if result.outcome == "failed"} == failed
