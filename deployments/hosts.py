"""Addresses of this machine."""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import urlsplit

HOST = "127.0.0.1"
"""Loopback: what the server listens on unless told otherwise, as it has no login then."""


def is_loopback(host: str) -> bool:
    """Return whether an IP address can be reached from this machine alone."""
    return ipaddress.ip_address(host).is_loopback


def address_of(url: str) -> str | None:
    """Return the IP address that a URL names, None where it names a host that only the network knows."""
    try:
        host = urlsplit(url).hostname or ""
        return HOST if host == "localhost" else str(ipaddress.ip_address(host))
    except ValueError:
        return None


def is_ours(url: str) -> bool:
    """Return whether a URL names an IP address of this machine."""
    host = address_of(url)
    return host is not None and (is_loopback(host) or is_free(0, host))


def is_free(port: int, host: str = HOST) -> bool:
    """Return whether this machine has an address and nobody listens on this port of it."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True
