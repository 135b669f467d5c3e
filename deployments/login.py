"""The login of a server that other machines can reach: on loopback there is none, elsewhere there is always one."""

from __future__ import annotations

import ipaddress
import os
import secrets

from deployments.hosts import is_free
from deployments.state import LOGIN, StateFolder
from suture.errors import HostError


def require_host(host: str) -> None:
    """Refuse to listen on what is no address of this machine.

    Raises:
        HostError: When it is none.
    """
    try:
        ipaddress.IPv4Address(host)
    except ValueError:
        known = False
    else:
        known = is_free(0, host)
    if not known:
        raise HostError(
            "This machine has no such address.",
            found=host,
            expected="an IPv4 address of this machine, or 0.0.0.0 for all of them",
            way_out="`ip -4 address` lists them.",
        )


def make_login(state: StateFolder) -> None:
    """Note the login that the server will ask for: the user's choice, else the last one, else a random one.

    Raises:
        HostError: When the user's choice is not `user:password`.
    """
    chosen = os.environ.get(LOGIN) or state.read_login() or f"suture:{secrets.token_urlsafe(18)}"
    user, _, password = chosen.partition(":")
    if not user or not password:
        raise HostError(
            f"{LOGIN} is no login.",
            expected="user:password",
            way_out="Set it so, or unset it: then a random one is made.",
        )
    state.write_login(chosen)
