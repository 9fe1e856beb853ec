"""Each request and each socket gets an id, which its log lines and its answer carry."""

import re
import uuid
from typing import Any

from django.conf import settings

from accounts.kernel.log_context import begin

HEADER = b"x-request-id"
# Nothing that could forge a log line or fill one; long enough to be one's own.
SAFE = re.compile(r"[A-Za-z0-9._-]{8,64}")


def traced(application: Any) -> Any:
    """An ASGI application whose log lines say which request or socket they belong to."""

    async def trace(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            begin("connection_id", identity(scope))
            # The very `send` of the server: the fan-out looks behind it (`realtime.servers`).
            await application(scope, receive, send)
        elif scope["type"] == "http":
            chosen = identity(scope)
            begin("request_id", chosen)
            await application(scope, receive, _with_header(send, chosen))
        else:
            await application(scope, receive, send)

    return trace


def identity(scope: Any) -> str:
    """The proxy's id where there is a proxy of ours and its id is safe to print; else a new one."""
    if settings.CHAT_TRUSTED_PROXIES:
        offered: list[str] = [
            value.decode("latin-1") for key, value in scope["headers"] if key == HEADER
        ]
        if len(offered) == 1 and SAFE.fullmatch(offered[0]):
            return offered[0]
    return uuid.uuid4().hex


def _with_header(send: Any, chosen: str) -> Any:
    async def answer(event: Any) -> None:
        if event["type"] == "http.response.start":
            event["headers"] = [*event.get("headers", ()), (HEADER, chosen.encode())]
        await send(event)

    answer.__wrapped__ = send  # type: ignore[attr-defined] # `http_connection` looks behind it
    return answer
