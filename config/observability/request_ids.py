"""Gives requests and sockets an id, for log lines and `X-Request-ID`."""

import os
import re
from typing import Any

from django.conf import settings

from accounts.kernel.log_context import begin

HEADER = b"x-request-id"
# No characters that could forge a log line, not too long for one, long enough to be unique.
SAFE = re.compile(r"[A-Za-z0-9._-]{8,64}")


def traced(application: Any) -> Any:
    """Wraps an ASGI application: log lines have the id of their request or socket."""

    async def trace(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            begin("connection_id", choose_id(scope))
            # The server's own `send`: `realtime.servers` needs the object behind it.
            await application(scope, receive, send)
        elif scope["type"] == "http":
            request_id = choose_id(scope)
            begin("request_id", request_id)
            await application(scope, receive, _with_header(send, request_id))
        else:
            await application(scope, receive, send)

    return trace


def choose_id(scope: Any) -> str:
    """Returns the proxy's id if a trusted proxy sent a safe one, else a new id."""
    if settings.CHAT_TRUSTED_PROXIES:
        offered: list[str] = [
            value.decode("latin-1") for key, value in scope["headers"] if key == HEADER
        ]
        if len(offered) == 1 and SAFE.fullmatch(offered[0]):
            return offered[0]
    return os.urandom(16).hex()


def _with_header(send: Any, request_id: str) -> Any:
    async def answer(event: Any) -> None:
        if event["type"] == "http.response.start":
            event["headers"] = [*event.get("headers", ()), (HEADER, request_id.encode())]
        await send(event)

    answer.__wrapped__ = send  # type: ignore[attr-defined] # `http_connection` unwraps it
    return answer
