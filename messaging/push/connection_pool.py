"""Keeps idle connections: a TLS handshake costs more than a push.

A connection is kept after a complete answer only, for the next request to the same origin. It leads
to the address that was checked when it was opened: the pool never resolves a name. Each thread
takes a connection for itself, so an answer can only reach the request that it belongs to.
"""

import select
import socket
import ssl
import threading
import time
from typing import NamedTuple

IDLE_TIMEOUT = 30.0
"""Push services close idle connections, most after a minute or more."""
MAX_IDLE_PER_ORIGIN = 4
MAX_IDLE = 64


class _Idle(NamedTuple):
    origin: str
    connection: socket.socket
    expires_at: float


class ConnectionPool:
    """Idle connections of one process, the latest last. Safe for threads."""

    def __init__(self) -> None:
        self._idle: list[_Idle] = []
        self._lock = threading.Lock()

    def take(self, origin: str) -> socket.socket | None:
        """Removes and returns an open connection to this origin, None without one."""
        self._close_expired()
        while True:
            with self._lock:
                fitting = [one for one in self._idle if one.origin == origin]
                if not fitting:
                    return None
                self._idle.remove(fitting[-1])
            if not _has_input(fitting[-1].connection):
                return fitting[-1].connection
            fitting[-1].connection.close()

    def put(self, origin: str, connection: socket.socket) -> None:
        """Keeps a connection whose last answer was read to its end, or closes it."""
        self._close_expired()
        with self._lock:
            same = sum(one.origin == origin for one in self._idle)
            if same < MAX_IDLE_PER_ORIGIN and len(self._idle) < MAX_IDLE:
                expires_at = time.monotonic() + IDLE_TIMEOUT
                self._idle.append(_Idle(origin, connection, expires_at))
                return
        connection.close()

    def clear(self) -> None:
        """Closes all idle connections."""
        with self._lock:
            idle, self._idle = self._idle, []
        for one in idle:
            one.connection.close()

    def _close_expired(self) -> None:
        now = time.monotonic()
        with self._lock:
            expired = [one for one in self._idle if one.expires_at <= now]
            self._idle = [one for one in self._idle if one.expires_at > now]
        for one in expired:
            one.connection.close()


def _has_input(connection: socket.socket) -> bool:
    """Whether the service closed the connection, or sent something unasked."""
    if isinstance(connection, ssl.SSLSocket) and connection.pending():
        return True
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(0))


pool = ConnectionPool()
"""That of this process."""
