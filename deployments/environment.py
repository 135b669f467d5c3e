"""What the processes of the managed server, and of its clients, have in their environment."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

import suture
from deployments.hosts import HOST
from deployments.state import LOGIN, StateFolder, login_for

HEARTBEAT_SECONDS = "30"
"""Between two signs of life of a run; Prefect takes no shorter time."""

_FOLDERS = {"SUTURE_STORE", "SUTURE_STATE", "SUTURE_CACHE", "SUTURE_LLAMA_CPP"}


def prefect_environment(state: StateFolder, api: str) -> dict[str, str]:
    """Return this process's environment as the managed server and its clients need it."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PREFECT_API_", "PREFECT_SERVER_", "PG")) and name != "PREFECT_PROFILE"
    }
    for name in _FOLDERS & kept.keys():
        kept[name] = str(Path(kept[name]).absolute())  # a flow run's working directory is not ours
    checkout = str(Path(suture.__file__).parents[1])
    hosts = dict.fromkeys([HOST, urlsplit(api).hostname or HOST])
    no_proxy = ",".join(filter(None, [kept.get("no_proxy") or kept.get("NO_PROXY"), *hosts]))
    python_path = kept.get("PYTHONPATH", "").split(os.pathsep)
    login = login_for(api, state)
    return (
        kept
        | ({LOGIN: login} if login else {})
        | {
            "no_proxy": no_proxy,
            "NO_PROXY": no_proxy,
            "PREFECT_HOME": str(state.root / "prefect"),
            "PREFECT_API_URL": api,
            "PREFECT_CLI_PROMPT": "false",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
            "DO_NOT_TRACK": "1",
            "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": HEARTBEAT_SECONDS,
            "PREFECT_CLIENT_RETRY_EXTRA_CODES": "500",  # what the server says while its database starts again
            # No empty entry: Python takes it for the working directory.
            "PYTHONPATH": os.pathsep.join(dict.fromkeys([checkout, *filter(None, python_path)])),
        }
    )
