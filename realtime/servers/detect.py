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
PARTS = ("sockets", "http")
"""Each server has a module for each part, such as `uvicorn_http`."""


def connection_of(receive: Receive, send: Send) -> Connection:
    """Returns the connection of a known server, or one that uses ASGI only."""
    for module in _loaded_modules("sockets"):
        connection: Connection | None = module.connection(receive, send)
        if connection is not None:
            return connection
    return AsgiConnection(receive, send)


def bound_http(connections: OpenConnections, bodies: UnfinishedBodies, uploads: Uploads) -> None:
    """Bounds connections, request heads and bodies on the servers that are loaded."""
    for module in _loaded_modules("http"):
        module.bound_http(connections, bodies, uploads)


def _loaded_modules(part: str) -> list[Any]:
    """Returns our modules of a part for the servers that this process has imported."""
    return [
        module
        for name in SERVERS
        if is_loaded(name) and (module := server_module(f"{name}_{part}")) is not None
    ]


def is_loaded(server: str) -> bool:
    """Whether this process has imported a server."""
    return f"{server}.server" in sys.modules


def server_modules(server: str) -> list[Any]:
    """Returns our modules for a server; None for each whose classes have moved."""
    return [server_module(f"{server}_{part}") for part in PARTS]


@cache
def server_module(name: str) -> Any:
    """Returns one of our modules; None if the server's classes have moved."""
    try:
        return import_module(f".{name}", __package__)
    except (ImportError, AttributeError):
        return None
