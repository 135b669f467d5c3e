"""`suture watch RECIPE`: looks at sources, and builds what is due in a process of its own, without a server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import yaml

from suture import process
from suture.errors import ProcessError
from suture.hub.watch import Due, start_once
from suture.store import Store, canonical_json, durable
from suture.store.runs import list_runs


@dataclass(frozen=True)
class Command:
    """What runs a recipe.

    Attributes:
        argv: The command, to which the recipe's file is added.
        environment: Its whole environment.
    """

    argv: Sequence[str]
    environment: Mapping[str, str]


def build_due(store: Store, due: Due, command: Command) -> str:
    """Build what is due to its end, unless it was built, or another watcher is building it.

    A build that was killed goes on at the next look; one that failed is not tried again.

    Returns:
        The run; empty while another watcher is building it.

    Raises:
        ProcessError: When the build fails.
    """
    failures: list[ProcessError] = []

    def start(due: Due) -> str:
        folder = store.root / "watch" / "builds"
        folder.mkdir(parents=True, exist_ok=True)
        recipe = folder / f"{due.combination}.yaml"
        durable.write_atomically(recipe, yaml.safe_dump(due.recipe.model_dump(mode="json"), sort_keys=False).encode())
        try:
            process.run(
                [*command.argv, recipe],
                log=recipe.with_suffix(".log"),
                doing=f"building {due.recipe.name} anew",
                env=command.environment,
            )
        except ProcessError as error:
            failures.append(error)
        return _run_of(store, due) or "a run that failed at its start"

    name = start_once(store, due, start)
    if failures:
        raise failures[0]
    return name


def _run_of(store: Store, due: Due) -> str:
    wanted = canonical_json(due.recipe.model_dump(mode="json"))
    return next((record.run for record in list_runs(store) if canonical_json(record.recipe) == wanted), "")
