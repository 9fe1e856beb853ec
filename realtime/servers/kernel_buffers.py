"""Bounds what the kernel holds for a peer that does not read."""

import array
import socket
from contextlib import suppress
from typing import Any

from django.conf import settings

try:
    import fcntl
    import termios
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

KERNEL_BUFFER = 128 * 1024


def bound_kernel(connected: Any) -> None:
    """Bounds the send buffer, and sets CHAT_UNREAD_TIMEOUT for TCP peers.

    Without the bound the kernel holds megabytes for each peer that does not read, and copying them
    slows down all others. The price: a client gets at most this much in one round trip. Without the
    timeout the kernel holds them while the peer stays, and servers wait for that when they close.
    """
    if getattr(connected, "family", None) not in (socket.AF_INET, socket.AF_INET6):
        return  # a proxy on a Unix socket, which has its own timeout
    with suppress(OSError):  # the peer has disconnected, and the server is about to notice
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BUFFER)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; elsewhere only keep-alive pings end it
            milliseconds = int(settings.CHAT_UNREAD_TIMEOUT * 1000)
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)


def unread_in_kernel(connected: Any) -> int:
    """Returns the bytes that the kernel holds for the peer; 0 if it cannot tell."""
    if connected is None or fcntl is None:
        return 0
    size = array.array("i", [0])
    try:
        fcntl.ioctl(connected.fileno(), termios.TIOCOUTQ, size)
    except (OSError, ValueError):  # closed meanwhile
        return 0
    return size[0]
