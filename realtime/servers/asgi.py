"""Serves unknown servers with ASGI and asyncio's public transport API.

Used for another server, another WebSocket class of uvicorn, or an incompatible version. `send`
waits there while the peer does not read. To limit control frames, a protocol of ours stands between
the transport and the server's protocol.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from typing_extensions import override

from .control_frames import FrameScanner
from .interface import Receive, Send, WriteFunction
from .kernel_buffers import bound_kernel

TRANSPORT = ("abort", "get_extra_info", "get_protocol", "get_write_buffer_size", "set_protocol")
"""Documented by asyncio. Checked by name: uvloop's transports do not subclass asyncio's."""
MAX_UNREAD = 1024 * 1024
"""Bytes held for a peer that sends and does not read. The `send` of servers waits at 64 KiB."""


class AsgiConnection:
    """A connection of any server whose `send` waits while the peer does not read."""

    __slots__ = ("_transport", "receive", "send")

    def __init__(self, receive: Receive, send: Send) -> None:
        self.receive = receive
        self.send = send
        self._transport = transport = transport_of(send)
        if transport is not None:
            bound_kernel(transport.get_extra_info("socket"))
            protocol = transport.get_protocol()
            if hasattr(protocol, "data_received"):  # not a BufferedProtocol
                transport.set_protocol(BoundedPeer(transport, protocol))

    def direct_writer(self) -> WriteFunction | None:
        return None

    def watch(self, on_writer_change: Callable[[], None]) -> None: ...

    def abort(self) -> bool:
        if self._transport is None:
            return False
        self._transport.abort()
        return True


def transport_of(send: Send) -> Any:
    """Finds the asyncio transport in the object of `send`, or returns None."""
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
    """Forwards all to the server's protocol, and aborts on too many control frames."""

    def __init__(self, transport: asyncio.Transport, protocol: asyncio.Protocol) -> None:
        self._transport = transport
        self._protocol = protocol
        self._scanner = FrameScanner()

    @override
    def data_received(self, data: bytes) -> None:
        # The buffer holds our own frames, which are bounded, and the pongs.
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
