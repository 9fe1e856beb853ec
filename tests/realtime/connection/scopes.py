"""Scopes of WebSocket handshakes."""

from typing import Any

HOST = "chat.example.com"


def scope(query: str = "", subprotocols: list[str] | None = None, **headers: str) -> dict[str, Any]:
    pairs = {"host": HOST} | headers
    return {
        "headers": [
            (name.replace("_", "-").encode(), value.encode("latin-1"))
            for name, value in pairs.items()
        ],
        "query_string": query.encode(),
        "subprotocols": subprotocols or [],
        "client": ("192.0.2.1", 50000),
    }
