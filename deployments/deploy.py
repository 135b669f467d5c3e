"""`suture deploy`: gives a server its work pools, deployments and automations, as `suture up` does with its own."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import suture
from deployments.automations import make_automations
from deployments.choices import deploy_and_keep
from deployments.login import VARIABLE
from deployments.state import POOLS, StateFolder, prefect_environment, state_of_this_machine
from deployments.worker import api_of, make_pools
from suture.process import run

_DEPLOY_SECONDS = 180


def deploy_to(server: str) -> None:
    """Give a server, such as one in a container, what `suture up` gives its own.

    Args:
        server: Its address: that of its pages, or that of its API. PREFECT_API_AUTH_STRING holds its login.

    Raises:
        HostError: When no Prefect server answers there, or it wants another login.
    """
    api = api_of(server)
    make_pools(api, list(POOLS))
    state = state_of_this_machine()
    state.make()
    login = {VARIABLE: os.environ[VARIABLE]} if VARIABLE in os.environ else {}
    deploy_flows(api, state, prefect_environment(state, api) | login)
    sys.stdout.write(f"Work pools, deployments and automations are at {server}.\n")


def deploy_flows(api: str, state: StateFolder, environment: Mapping[str, str]) -> None:
    """Make the deployments and the automations of a server whose work pools are there.

    Args:
        api: The server's.
        state: Gets the log.
        environment: Of a client of the server.
    """
    checkout = Path(suture.__file__).parents[1]
    command = [sys.executable, "-P", "-m", "prefect", "deploy", "--all"]
    command += ["--prefect-file", str(checkout / "deployments" / "prefect.yaml")]

    def deploy() -> None:
        run(
            command,
            log=state.log("deploy"),
            doing="deploying the flows",
            cwd=checkout,
            env=environment,
            timeout=_DEPLOY_SECONDS,
        )

    deploy_and_keep(api, state, deploy)
    make_automations(api)
