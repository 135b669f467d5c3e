"""What users chose on Prefect's pages for the deployments: when they run, and with which parameters.

`prefect deploy` writes what prefect.yaml says over it: schedules that were made or switched on would be gone after
the next `suture up`, and nobody would watch any more.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from deployments.state import StateFolder, patch, post
from suture.store import durable

_TAG = "suture"

_OF_SCHEDULE = ("schedule", "active", "parameters", "slug", "max_scheduled_runs")


def deploy_and_keep(api: str, state: StateFolder, deploy: Callable[[], None]) -> None:
    """Deploy; then give deployments that have schedules their own schedules and parameters back.

    The parameters of the others are the defaults of their forms: those come from this version of Suture.

    Args:
        api: The server's.
        state: Holds what is to be given back, so that it is given back after a kill in the middle.
        deploy: Writes over it.
    """
    if not state.choices.exists():
        durable.write_atomically(state.choices, json.dumps(_choices(api)).encode())
    try:
        deploy()
    finally:
        for deployment, chosen in json.loads(state.choices.read_bytes()).items():
            patch(api, f"/deployments/{deployment}", chosen)
        state.choices.unlink()


def _choices(api: str) -> dict[str, dict[str, Any]]:
    found = post(api, "/deployments/filter", {"deployments": {"tags": {"all_": [_TAG]}}})
    return {
        each["id"]: {
            "parameters": each["parameters"],
            "paused": each["paused"],
            "schedules": [{name: schedule[name] for name in _OF_SCHEDULE} for schedule in each["schedules"]],
        }
        for each in found
        if each["schedules"]
    }
