"""The hub, and the mirror that machines share."""

from __future__ import annotations

import secrets
import shlex
from http import HTTPStatus
from pathlib import Path

from suture.doctor.form import Finding, broken, ok, warning
from suture.errors import TransientError
from suture.hub.client import endpoint, headers, is_offline, token
from suture.settings import settings
from suture.store.remote import open_remote
from suture.store.remote.place import Place

_SECONDS = 4.0


def check_hub() -> Finding:
    """Ask the hub who we are, which tells whether it can be reached and whether it takes our token."""
    import httpx

    known = "a token in HF_TOKEN" if token() else "no token in HF_TOKEN"
    if is_offline():
        return ok(f"{known}; not asked, since SUTURE_OFFLINE or HF_HUB_OFFLINE is set")
    try:
        answer = httpx.get(f"{endpoint()}/api/whoami-v2", headers=headers(), timeout=_SECONDS, follow_redirects=True)
    except httpx.HTTPError as error:
        reason = str(error) or type(error).__name__
        return warning(f"{known}; {endpoint()} cannot be reached: {reason}", f"curl -sSI {endpoint()} | head -1")
    return judge_answer(answer.status_code, known)


def check_remote() -> Finding:
    """Write, read and remove a small object in the remote, and see whether it refuses a second of the same name."""
    address = settings().remote
    if address is None:
        return ok("none (SUTURE_REMOTE): this machine's store stands alone")
    if settings().offline:
        return ok(f"{address}; not asked, since SUTURE_OFFLINE is set")
    if "://" not in address and not Path(address).is_dir():
        return broken(f"{address}: no such folder", f"mkdir -p {shlex.quote(address)}  # or mount the share")
    try:
        flaw = _flaw(open_remote(address).place)
    except TransientError as error:
        return broken(f"{address}: {error.problem} {error.found or ''}".strip(), "env | grep ^AWS_  # and its server")
    return broken(f"{address}: {flaw}", "unset SUTURE_REMOTE") if flaw else ok(f"{address}: written and read")


def _flaw(place: Place) -> str:
    """Write, read and remove an object; return what is wrong, empty where nothing is."""
    name, content = f"doctor/{secrets.token_hex(8)}", b"doctor"
    first, second = place.create(name, content), place.create(name, content)
    back = place.read(name)
    place.remove(name)
    if not first or back is None or back.content != content:
        return "what was written does not come back"
    return "two machines could write one object, so that leases do not hold" if second else ""


def judge_answer(status: int, known: str) -> Finding:
    """Return what is to be said of the hub's answer to who we are.

    Args:
        status: Of the answer.
        known: What is said of the token.
    """
    if status == HTTPStatus.OK:
        return ok(f"reached, with {known} that it takes")
    if status == HTTPStatus.UNAUTHORIZED and not token():
        return ok(f"reached, with {known}: gated and private models need one")
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return warning(
            f"reached, but it refuses the token in HF_TOKEN ({status})", "unset HF_TOKEN  # or set a new one"
        )
    return warning(f"it answers with status {status}", f"curl -sSI {endpoint()} | head -1")
