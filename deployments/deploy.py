"""`suture deploy`: gives a server its work pools, deployments and automations, as `suture up` does with its own."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Generator, Mapping
from pathlib import Path

import suture
from deployments.automations import make_automations
from deployments.choices import deploy_and_keep
from deployments.environment import prefect_environment
from deployments.limits import limit_builds
from deployments.state import AWAY, POOLS, StateFolder, state_of_this_machine
from deployments.worker import api_of, make_pools
from suture.errors import TransientError
from suture.process import run

_DEPLOY_SECONDS = 180


def deploy_to(server: str, runs: int | None = None) -> None:
    """Give a server, such as one in a container, what `suture up` gives its own.

    Args:
        server: Its address: that of its pages, or that of its API. PREFECT_API_AUTH_STRING holds its login.
        runs: Builds that may go on at once; None leaves it as it is: this machine may not be the one that builds.

    Raises:
        HostError: When no Prefect server answers there, or it wants another login.
        TransientError: When it goes away in the middle.
    """
    api = api_of(server)
    make_pools(api, list(POOLS))
    state = state_of_this_machine()
    state.make()
    with server_stays(server):
        if runs is not None:
            limit_builds(api, runs)
        deploy_flows(api, state, prefect_environment(state, api))
    sys.stdout.write(f"Work pools, deployments and automations are at {server}.\n")


@contextlib.contextmanager
def server_stays(address: str) -> Generator[None]:
    """Say it plainly when a server that is being set up goes away.

    Raises:
        TransientError: When it does.
    """
    try:
        yield
    except AWAY as error:
        raise TransientError(
            "The server went away while it was being set up.",
            where=address,
            found=str(error),
            way_out="Run the same command again; on the server's machine `suture logs server` and "
            "`suture logs guardian` say more.",
        ) from error


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
