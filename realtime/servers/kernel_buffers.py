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
    """Bounds the send buffer, and cuts a TCP peer that takes nothing for CHAT_UNREAD_TIMEOUT.

    Without the first the kernel holds megabytes for each peer that does not read, and copying them
    slows down everybody else. The price: a client gets at most this much within one round trip.
    Without the second it holds them for as long as such a peer stays, and servers close by waiting
    for that.
    """
    if getattr(connected, "family", None) not in (socket.AF_INET, socket.AF_INET6):
        return  # a proxy on a Unix socket, which has a timeout of its own
    with suppress(OSError):  # the peer has gone already, and the server is about to notice
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BUFFER)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; elsewhere only keep-alives cut
            milliseconds = int(settings.CHAT_UNREAD_TIMEOUT * 1000)
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)


def unread_in_kernel(connected: Any) -> int:
    """Returns how many bytes the kernel still holds for the peer; 0 where it does not say."""
    if connected is None or fcntl is None:
        return 0
    size = array.array("i", [0])
    try:
        fcntl.ioctl(connected.fileno(), termios.TIOCOUTQ, size)
    except (OSError, ValueError):  # closed meanwhile
        return 0
    return size[0]
