"""A connection by ASGI's own means, and by what asyncio documents of transports.

It serves what we do not know: another server, another class of uvicorn's for WebSockets, or a
version of it whose inside has changed. `send` waits there while the peer does not read. The bounds
on control frames are kept by standing between the transport and the server's protocol.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from typing_extensions import override

from .control_frames import FrameScanner
from .interface import Receive, Send, Write
from .kernel_buffers import bound_kernel

TRANSPORT = ("abort", "get_extra_info", "get_protocol", "get_write_buffer_size", "set_protocol")
"""What asyncio documents; uvloop's transports are no subclasses of asyncio's."""
MAX_UNREAD = 1024 * 1024
"""Bytes that a server may hold for a peer that goes on sending. Its `send` waits at 64 KiB."""


class AsgiConnection:
    """Any server whose `send` waits while the peer does not read."""

    __slots__ = ("_transport", "receive", "send")

    def __init__(self, receive: Receive, send: Send) -> None:
        self.receive = receive
        self.send = send
        self._transport = transport = transport_of(send)
        if transport is not None:
            bound_kernel(transport.get_extra_info("socket"))
            protocol = transport.get_protocol()
            if hasattr(protocol, "data_received"):  # else it takes its bytes another way
                transport.set_protocol(BoundedPeer(transport, protocol))

    def direct_writer(self) -> Write | None:
        return None

    def watch(self, on_writer_change: Callable[[], None]) -> None: ...

    def abort(self) -> bool:
        if self._transport is None:
            return False
        self._transport.abort()
        return True


def transport_of(send: Send) -> Any:
    """The asyncio transport of the object whose method `send` is, under whatever name; or None."""
    owner = getattr(send, "__self__", None)
    return next(
        (
            value
            for value in getattr(owner, "__dict__", {}).values()
            if all(hasattr(value, name) for name in TRANSPORT)
        ),
        None,
    )


class BoundedPeer(asyncio.Protocol):
    """Passes everything on to the server's protocol, and cuts a peer that sends too many frames."""

    def __init__(self, transport: asyncio.Transport, protocol: asyncio.Protocol) -> None:
        self._transport = transport
        self._protocol = protocol
        self._scanner = FrameScanner()

    @override
    def data_received(self, data: bytes) -> None:
        # Unread are our own frames, which are bounded, and the answers to its pings.
        is_unread = self._transport.get_write_buffer_size() > MAX_UNREAD
        if is_unread or self._scanner.is_too_much(data):
            self._transport.abort()
        else:
            self._protocol.data_received(data)

    @override
    def eof_received(self) -> bool | None:
        return self._protocol.eof_received()

    @override
    def pause_writing(self) -> None:
        self._protocol.pause_writing()

    @override
    def resume_writing(self) -> None:
        self._protocol.resume_writing()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._protocol.connection_lost(exc)
