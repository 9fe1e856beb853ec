"""Detects which server a socket runs on, and returns its connection.

ASGI offers neither backpressure nor aborting a connection. The connection of the server is reached
through the `send` callable that it passes to the application.
"""

import sys
from functools import cache
from importlib import import_module
from typing import Any

from .asgi import AsgiConnection
from .http_bodies import UnfinishedBodies
from .http_connections import OpenConnections
from .interface import Connection, Receive, Send
from .uploads import Uploads

SERVERS = ("uvicorn", "daphne")


def connection_of(receive: Receive, send: Send) -> Connection:
    """Returns the connection of a known server, or one that uses ASGI only."""
    for module in _loaded_modules():
        connection: Connection | None = module.connection(receive, send)
        if connection is not None:
            return connection
    return AsgiConnection(receive, send)


def bound_http(connections: OpenConnections, bodies: UnfinishedBodies, uploads: Uploads) -> None:
    """Bounds connections, request heads and bodies on the servers that are loaded."""
    for module in _loaded_modules():
        module.bound_http(connections, bodies, uploads)


def _loaded_modules() -> list[Any]:
    """Returns our modules for the servers that this process has imported."""
    return [
        module
        for name in SERVERS
        if f"{name}.server" in sys.modules and (module := server_module(name)) is not None
    ]


@cache
def server_module(server: str) -> Any:
    """Returns our module for a server; None if the server's classes have moved."""
    try:
        return import_module(f".{server}", __package__)
    except (ImportError, AttributeError):
        return None
