"""What scripted endpoints answer in the frontend stress test: pages that do all, and pages that look as if."""

from __future__ import annotations

from pathlib import Path

from suture.bench.frontend import TASKS

_PAGES = Path(__file__).parents[1] / "frontend" / "pages"


def page(name: str) -> str:
    """Return one of the pages beside the tests."""
    return (_PAGES / f"{name}.html").read_text()


PERFECT: dict[str, str] = {
    task.id: f"Here is the page:\n\n```html\n{page(task.id)}```\n\nOpen it in any browser." for task in TASKS
}
ADVERSARY: dict[str, str] = {task.id: page(f"{task.id}-adversary") for task in TASKS}
