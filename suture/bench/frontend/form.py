"""The form of a frontend task: what is asked for, what is looked at, and what was found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from suture.bench.frontend.document import Document
from suture.bench.suite.form import Kind

if TYPE_CHECKING:
    from suture.bench.frontend.page import Page


class NotAsAskedError(Exception):
    """What a check raises when the page does not do as the prompt asks; says why."""


def require(condition: object, why: str) -> None:
    """Go on if the condition holds.

    Raises:
        NotAsAskedError: When it does not.
    """
    if not condition:
        raise NotAsAskedError(why)


@dataclass(frozen=True)
class StaticCheck:
    """A check of the page's text alone.

    Attributes:
        id: What reports call it; unique within its task.
        title: What must hold, in a few words.
        run: Returns what it saw, or raises `NotAsAskedError`; pure.
    """

    kind: ClassVar[Kind] = "static"

    id: str
    title: str
    run: Callable[[Document], str]


@dataclass(frozen=True)
class BrowserCheck:
    """A check of what the page does.

    Attributes:
        id: What reports call it; unique within its task.
        title: What must hold, in a few words.
        run: Is given the page as it is after loading; returns what it saw, or raises `NotAsAskedError`.
    """

    kind: ClassVar[Kind] = "browser"

    id: str
    title: str
    run: Callable[[Page], str]


Check = StaticCheck | BrowserCheck


@dataclass(frozen=True)
class Task:
    """One page to be written.

    Attributes:
        id: What reports and screenshots call it.
        title: What it is, in a few words.
        prompt: What the model is asked. It names every hook (id, class, role) that the checks look for first.
        checks: The common four, then the task's own.
        interaction: What is done before the second screenshot.
    """

    id: str
    title: str
    prompt: str
    checks: tuple[Check, ...]
    interaction: Callable[[Page], None]
