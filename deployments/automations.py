"""What the server itself does about runs: one whose process is gone must not say for ever that it is running."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from deployments.state import post

_FLOW_RUN = "prefect.flow-run"

_SILENCE_SECONDS = 150
"""Five signs of life that did not come. With three, a server that was away for a minute took the living for lost."""

_START_SECONDS = 600
"""A run that a worker has taken begins in some seconds, or in minutes where many begin at once."""

UNHEARD = "Nothing was heard of its process"
"""How the message begins of a run that was taken for lost."""

AGAIN = "What it had finished is kept: start the run again and it goes on from there."
"""The way out, for whoever reads that a run crashed."""

_BEGUN = ("Running", "Retrying", "Rerunning")
_ENDED = ("Completed", "Cached", "Failed", "Cancelled", "Crashed", "AwaitingRetry")


def _silence(name: str, description: str, message: str, after: Sequence[str], within: int) -> dict[str, Any]:
    """Return an automation that marks a run as crashed when nothing follows an event."""
    return {
        "name": name,
        "description": description,
        "enabled": True,
        "trigger": {
            "type": "event",
            "posture": "Proactive",
            "match": {"prefect.resource.id": f"{_FLOW_RUN}.*"},
            "for_each": ["prefect.resource.id"],
            "after": [f"{_FLOW_RUN}.{event}" for event in after],
            "expect": [f"{_FLOW_RUN}.{event}" for event in ("heartbeat", *_BEGUN, *_ENDED)],
            "threshold": 1,
            "within": within,
        },
        "actions": [{"type": "change-flow-run-state", "state": "CRASHED", "name": "Crashed", "message": message}],
    }


_AUTOMATIONS = (
    _silence(
        "suture: no sign of life",
        f"A run whose worker was killed, or lost its network, is marked as crashed after {_SILENCE_SECONDS} s.",
        f"{UNHEARD} for {_SILENCE_SECONDS} s. {AGAIN}",
        after=("heartbeat", *_BEGUN),
        within=_SILENCE_SECONDS,
    ),
    _silence(
        "suture: did not begin",
        "A run that a worker took and did not begin within 10 minutes is marked as crashed.",
        f"Its worker took it, and did not begin it within 10 minutes. {AGAIN}",
        after=("Pending",),
        within=_START_SECONDS,
    ),
)


def make_automations(api: str) -> None:
    """Make the automations that the managed server lacks; those it has may have been changed on its pages."""
    names = [automation["name"] for automation in _AUTOMATIONS]
    found = post(api, "/automations/filter", {"automations": {"name": {"any_": names}}})
    known = {automation["name"] for automation in found}
    for automation in _AUTOMATIONS:
        if automation["name"] not in known:
            post(api, "/automations/", automation)
