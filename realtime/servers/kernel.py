"""What the kernel keeps for a peer that does not read."""

import socket
from contextlib import suppress
from typing import Any

SEND_BUFFER = 128 * 1024
UNREAD_TIMEOUT = 40.0
"""Seconds; as long as uvicorn's own keep-alive waits for a peer that answers no ping."""


def bound_kernel(connected: Any) -> None:
    """Bounds the bytes, and the seconds, that the kernel keeps what a peer does not read.

    Without a bound the kernel takes megabytes for each such peer, and copying them slows down all
    others. What a client gets within one round trip is bounded in turn.

    Without a timeout it keeps them for ever, and servers close by waiting for that. So a peer that
    takes nothing at all for a while is cut, whatever else waits for it.
    """
    if getattr(connected, "family", None) not in (socket.AF_INET, socket.AF_INET6):
        return  # a proxy on a Unix socket, which has a timeout of its own
    with suppress(OSError):  # the peer has gone already, and the server is about to say so
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; elsewhere only keep-alives cut
            milliseconds = int(UNREAD_TIMEOUT * 1000)
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
