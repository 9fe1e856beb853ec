"""Makes uvicorn's fan-out faster, and bounds what one WebSocket can hold.

Supports the class `websockets-sansio`. Its `send` builds a frame for each recipient, the most
expensive part of a delivery. Here a frame is built once and written directly to each transport,
while `send` would do no more than that. The stock class also answers each ping at once even if the
peer does not read, keeps every piece of a message until the last, and waits without a timeout for
unread data when it closes (decision 22). Its sockets change to our class when they reach the
application.

`REQUIRED` lists the names of uvicorn that this file uses. Without one of them the class is left
unchanged.
"""

import logging
from collections.abc import Callable
from typing import Any

from typing_extensions import override
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.server import ServerProtocol

from .control_frames import ControlFrameLimiter
from .draining import DRAIN_INTERVAL, MAX_DRAIN
from .interface import Receive, Send, WriteFunction, ignore_change
from .kernel_buffers import bound_kernel
from .required import RequiredNames, missing_names

REQUIRED = (
    RequiredNames(
        WebSocketsSansIOProtocol,
        (
            "close_sent",
            "conn",
            "disconnected",
            "frames",
            "handle_cont",
            "handle_ping",
            "handle_pong",
            "handshake_complete",
            "keepalive_timeout",
            "logger",
            "loop",
            "receive",
            "send",
            "send_receive_event_to_app",
            "shutdown",
            "transport",
            "writable",
        ),
    ),
    RequiredNames(ServerProtocol, ("logger", "parser")),
)

ABORT_DELAY = 1.0
"""Seconds in which a peer that answered no ping can still read the close frame."""
MAX_CHUNK = 4096
"""Bytes that are parsed before limits are checked again: one read may have 256 KiB."""


# websockets logs that each socket opens and closes; uvicorn's own line has address and URL too.
protocol_log = logging.getLogger("realtime.servers.websockets")
protocol_log.setLevel(logging.WARNING)
# uvicorn's line for each accepted socket is a tenth of the cost of a sign-in: the settings show it
# at DEBUG only.
socket_log = logging.getLogger("realtime.servers.sockets")


class BoundedProtocol(WebSocketsSansIOProtocol):
    """Bounds the memory and time that one peer can use."""

    # Class attributes, not set in `__init__`: `take_over` changes the class of open sockets.
    _pending_pong = b""
    _drained = 0
    _limiter: ControlFrameLimiter | None = None

    @classmethod
    def take_over(cls, protocol: Any) -> None:
        """Changes the class of an open socket from the stock class to this one."""
        protocol.__class__ = cls
        # uvloop keeps the `data_received` of the old class until the protocol is set again.
        protocol.transport.set_protocol(protocol)

    @override
    def data_received(self, data: bytes) -> None:
        if self.close_sent and not self._drain(len(data)):
            return
        for start in range(0, len(data), MAX_CHUNK):
            if self.transport.is_closing():
                return
            super().data_received(data[start : start + MAX_CHUNK])

    def _drain(self, size: int) -> bool:
        """Reads slowly after our close frame. Returns True while data is still parsed.

        If unread data is left, the kernel ends the connection with a reset, and the client loses
        our close frame. At full speed, a client that only sends would never get to read, and
        parsing its data would take time from all others.
        """
        self._drained += size
        if self._drained > MAX_DRAIN and not self.transport.is_closing():
            self.transport.pause_reading()
            self.loop.call_later(DRAIN_INTERVAL, self._drain_on)
        return self._drained <= MAX_DRAIN

    def _drain_on(self) -> None:
        if not self.transport.is_closing():
            self.transport.resume_reading()

    def _abort_if_flooding(self) -> bool:
        if self._limiter is None:
            self._limiter = ControlFrameLimiter()
        if not self._limiter.is_too_much():
            return False
        self.transport.abort()
        return True

    @override
    def handle_ping(self) -> None:
        """Answers only the latest ping of a peer that does not read (RFC 6455 §5.5.3)."""
        if self._abort_if_flooding():
            return
        # After a close frame of the peer, the last data is our own close frame, not a pong.
        if self.writable.is_set() or self.conn.close_rcvd is not None:
            super().handle_ping()
            return
        pongs = self.conn.data_to_send()
        if pongs:  # empty after the first ping of a read, which took all pongs
            self._pending_pong = pongs[-1]

    @override
    def handle_pong(self, event: Frame) -> None:
        if not self._abort_if_flooding():
            super().handle_pong(event)

    @override
    def resume_writing(self) -> None:
        super().resume_writing()
        pong, self._pending_pong = self._pending_pong, b""
        if pong and not self.close_sent and not self.transport.is_closing():
            self.transport.write(pong)

    @override
    def handle_cont(self, event: Frame) -> None:
        """Joins pieces as they arrive: the message limit bounds bytes, not their number."""
        if self._abort_if_flooding():
            return
        pieces: list[Any] = self.frames
        if not isinstance(pieces[0], bytearray):
            pieces[:] = [bytearray().join(pieces)]
        pieces[0] += event.data
        if event.fin:
            self.send_receive_event_to_app()

    @override
    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        # The close waits until the peer has read everything, which may never happen.
        self.loop.call_later(ABORT_DELAY, self.transport.abort)


class DirectWriteProtocol(BoundedProtocol):
    """Lets the fan-out write frames directly to the transport."""

    on_writer_change: Callable[[], None] = staticmethod(ignore_change)
    """See `interface.Connection.watch`."""

    def direct_writer(self) -> WriteFunction | None:
        """Returns the transport's `write`; None while frames must go through `send`."""
        if (
            not self.handshake_complete
            or self.conn.extensions
            or not self.writable.is_set()
            or self.close_sent
            or self.disconnected
            or self.transport.is_closing()
        ):
            return None
        return self.transport.write

    @override
    def pause_writing(self) -> None:
        super().pause_writing()
        self.on_writer_change()

    @override
    def resume_writing(self) -> None:
        super().resume_writing()
        self.on_writer_change()

    @override
    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        # The peer sent a close frame or an invalid one, and super() closed the connection.
        if self.transport.is_closing():
            self.on_writer_change()

    @override
    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        self.on_writer_change()

    @override
    def shutdown(self) -> None:
        super().shutdown()
        self.on_writer_change()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        # The writer would raise from now on. The callback is dropped to free the subscriber.
        self.on_writer_change()
        self.on_writer_change = ignore_change
        # The parser refers to the connection. Without the cycle a closed socket is freed at once,
        # instead of by a garbage collection, which stops the process.
        self.conn.parser.close()


class UvicornConnection:
    """A connection whose socket was changed to DirectWriteProtocol."""

    __slots__ = ("_protocol", "receive", "send")

    def __init__(self, protocol: Any) -> None:
        if type(protocol) is WebSocketsSansIOProtocol:
            DirectWriteProtocol.take_over(protocol)
        protocol.conn.logger, protocol.logger = protocol_log, socket_log
        self._protocol = protocol
        self.receive: Receive = protocol.receive
        self.send: Send = protocol.send
        bound_kernel(protocol.transport.get_extra_info("socket"))

    def direct_writer(self) -> WriteFunction | None:
        writer: WriteFunction | None = self._protocol.direct_writer()
        return writer

    def watch(self, on_writer_change: Callable[[], None]) -> None:
        self._protocol.on_writer_change = on_writer_change

    def abort(self) -> bool:
        self._protocol.transport.abort()
        return True


CAN_TAKE_OVER = not missing_names(REQUIRED)


def connection(_: Receive, send: Send) -> UvicornConnection | None:
    """Returns None if `send` belongs to another class, or an incompatible version."""
    protocol = getattr(send, "__self__", None)
    if not CAN_TAKE_OVER or not isinstance(protocol, WebSocketsSansIOProtocol):
        return None
    return UvicornConnection(protocol)
