"""What users chose on Prefect's pages for the deployments: when they run, and with which parameters.

`prefect deploy` writes what prefect.yaml says over it: schedules that were made or switched on would be gone after
the next `suture up`, and nobody would watch any more.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from http import HTTPStatus
from typing import Any
from urllib.error import HTTPError

from deployments.state import StateFolder, patch, post
from suture.store import durable

_TAG = "suture"

_REFUSED = (HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY)
"""How a server answers that it will take a choice neither now nor later."""

_OF_SCHEDULE = ("schedule", "active", "parameters", "slug", "max_scheduled_runs")


def deploy_and_keep(api: str, state: StateFolder, deploy: Callable[[], None]) -> None:
    """Deploy; then give deployments that have schedules their own schedules and parameters back.

    The parameters of the others are the defaults of their forms: those come from this version of Suture.

    Args:
        api: The server's.
        state: Holds what is to be given back, so that it is given back after a kill in the middle.
        deploy: Writes over it.
    """
    kept = json.loads(state.choices.read_bytes()) if state.choices.exists() else {}
    choices = _choices(api) | kept  # another server's may have been kept: those of this one are still to be noted
    durable.write_atomically(state.choices, json.dumps(choices).encode())
    try:
        deploy()
    finally:
        for deployment, chosen in choices.items():
            _give_back(api, deployment, chosen)
        state.choices.unlink()


def _give_back(api: str, deployment: str, chosen: dict[str, Any]) -> None:
    """Give a deployment its choices; what it refuses, as it is gone or its form is another, must stop no others."""
    refusal = _refusal(api, deployment, chosen)
    if refusal is not None:
        schedules = {name: value for name, value in chosen.items() if name != "parameters"}
        lost = "parameters" if _refusal(api, deployment, schedules) is None else "schedules and parameters"
        sys.stderr.write(f"Deployment {deployment} has lost the {lost} that were chosen for it: {refusal}\n")


def _refusal(api: str, deployment: str, chosen: dict[str, Any]) -> str | None:
    """Return why a deployment will never take its choices; None when it has taken them."""
    try:
        patch(api, f"/deployments/{deployment}", chosen)
    except HTTPError as error:
        if error.code not in _REFUSED:
            raise
        return error.read().decode(errors="replace") or str(error)
    return None


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
