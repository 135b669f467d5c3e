"""The server's application: Prefect's, which no page of another site may speak to.

Prefect (3.8.8) looks neither at the name that it is called by nor at the page that opens a websocket. A page of the
web could so read the events of a server on loopback, or, by a name of its own that leads to 127.0.0.1, start runs.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.websockets import WebSocketClose

from deployments.hosts import address_of, is_loopback

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.types import ASGIApp, Receive, Scope, Send

_FORBIDDEN = 403


class OwnPagesOnly:
    """Refuses what a browser sends for the page of another site, and on loopback whoever means another host.

    A proxy in front of the server must call it by the name that its users know it by. Workers and other clients that
    are no browsers name no page.
    """

    def __init__(self, app: ASGIApp, *, loopback: bool) -> None:
        self._app = app
        self._loopback = loopback

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        reason = self._objection(Headers(scope=scope)) if scope["type"] in ("http", "websocket") else None
        if reason is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await WebSocketClose(reason=reason)(scope, receive, send)
        else:
            await PlainTextResponse(f"{reason}\n", _FORBIDDEN)(scope, receive, send)

    def _objection(self, headers: Headers) -> str | None:
        host, origin = headers.get("host", ""), headers.get("origin")
        address = address_of(f"//{host}")
        if self._loopback and (address is None or not is_loopback(address)):
            return f"This server is called localhost or 127.0.0.1, not {host!r}."
        if origin is not None and urlsplit(origin).netloc != host:
            return f"A page of {origin!r} may not speak to {host!r}."
        return None


def create_app() -> FastAPI:
    """Return the application; uvicorn calls this."""
    from prefect.server.api.server import create_app as create_prefect

    app = create_prefect()
    app.add_middleware(OwnPagesOnly, loopback=is_loopback(os.environ["PREFECT_SERVER_API_HOST"]))
    return app
