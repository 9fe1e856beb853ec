"""Which server serves a socket, and what it lets us do beyond ASGI.

ASGI knows neither a peer that does not read nor the cutting of a connection. The servers hand us a
`send` from which their connection can be reached.
"""

import sys
from functools import cache
from importlib import import_module
from typing import Any

from .asgi import AsgiConnection
from .http_bodies import UnfinishedBodies
from .http_connections import OpenConnections
from .interface import Connection, Receive, Send

SERVERS = ("uvicorn", "daphne")


def connection_of(receive: Receive, send: Send) -> Connection:
    for inside in _insides():
        connection: Connection | None = inside.connection(receive, send)
        if connection is not None:
            return connection
    return AsgiConnection(receive, send)


def bound_http(connections: OpenConnections, bodies: UnfinishedBodies) -> None:
    """Bounds what clients hold before their request reaches us, on the servers that are loaded."""
    for inside in _insides():
        inside.bound_http(connections, bodies)


def _insides() -> list[Any]:
    """Our modules for the servers that this process has loaded."""
    return [
        inside
        for name in SERVERS
        if f"{name}.server" in sys.modules and (inside := inside_of(name)) is not None
    ]


@cache
def inside_of(server: str) -> Any:
    """Our module for a server; None when even the classes are not where they were."""
    try:
        return import_module(f".{server}", __package__)
    except (ImportError, AttributeError):
        return None
