"""What the server itself does about runs: one whose process is gone must not say for ever that it is running."""

from __future__ import annotations

from typing import Any

from deployments.state import post

_FLOW_RUN = "prefect.flow-run"

_SILENCE_SECONDS = 90
"""Three signs of life that did not come."""

_AUTOMATIONS: tuple[dict[str, Any], ...] = (
    {
        "name": "suture: no sign of life",
        "description": "A run whose worker was killed, or lost its network, is marked as crashed after 90 s.",
        "enabled": True,
        "trigger": {
            "type": "event",
            "posture": "Proactive",
            "match": {"prefect.resource.id": f"{_FLOW_RUN}.*"},
            "for_each": ["prefect.resource.id"],
            "after": [f"{_FLOW_RUN}.heartbeat"],
            "expect": [
                f"{_FLOW_RUN}.{event}"
                for event in ("heartbeat", "Completed", "Cached", "Failed", "Cancelled", "Crashed")
            ],
            "threshold": 1,
            "within": _SILENCE_SECONDS,
        },
        "actions": [
            {
                "type": "change-flow-run-state",
                "state": "CRASHED",
                "name": "Crashed",
                "message": "Nothing was heard of its process for 90 s. What it had finished is kept: start the run "
                "again and it goes on from there.",
            }
        ],
    },
)


def make_automations(api: str) -> None:
    """Make the automations that the managed server lacks; those it has may have been changed on its pages."""
    names = [automation["name"] for automation in _AUTOMATIONS]
    found = post(api, "/automations/filter", {"automations": {"name": {"any_": names}}})
    known = {automation["name"] for automation in found}
    for automation in _AUTOMATIONS:
        if automation["name"] not in known:
            post(api, "/automations/", automation)
