"""uvicorn: faster fan-out, and bounds on what one client can make it hold.

For WebSockets its class `websockets-sansio` is known here. Its `send` builds the frame of a text
anew for each recipient, the dearest part of a delivery: the bytes of a frame that was built once
are written to the transport itself, as long as `send` would do no more. The stock class answers
each ping at once, read or unread, keeps every piece of a message until the last, and closes by
waiting until all is read (decision 22). A socket of it becomes one of ours when it reaches us.

For HTTP both its classes wait for a request head as long as a client likes (decision 31). They are
replaced when the application is loaded, before the first connection.

`REQUIRED` names what is used of its inside. A class that lacks any of it is left as it is.
"""

import asyncio
import sys
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, ClassVar

import h11
from django.conf import settings
from typing_extensions import override
from uvicorn.config import Config
from uvicorn.protocols.http import h11_impl, httptools_impl
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame

from accounts.kernel.metrics import count_refusal

from . import http_responses
from .control_frames import ControlFrameLimiter
from .draining import DRAIN_INTERVAL, MAX_DRAIN
from .http_bodies import UnfinishedBodies
from .http_connections import (
    HeadDeadline,
    OpenConnections,
    leave_uncounted,
    too_large_head,
    too_many_headers,
)
from .interface import Receive, Send, Write, ignore_change
from .kernel_buffers import bound_kernel
from .required import Inside, missing_names

WEBSOCKETS = (
    Inside(
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
            "loop",
            "receive",
            "send",
            "send_receive_event_to_app",
            "shutdown",
            "transport",
            "writable",
        ),
    ),
)
HTTPTOOLS = (
    Inside(
        HttpToolsProtocol,
        (
            "config",
            "cycle",
            "handle_websocket_upgrade",
            "headers",
            "on_headers_complete",
            "on_message_complete",
            "send_400_response",
            "timeout_keep_alive_task",
            "transport",
        ),
    ),
    Inside(httptools_impl.RequestResponseCycle, ("response_complete",)),
)
H11 = (
    Inside(
        H11Protocol,
        (
            "config",
            "conn",
            "cycle",
            "handle_websocket_upgrade",
            "send_400_response",
            "timeout_keep_alive_task",
            "transport",
        ),
    ),
    Inside(h11_impl.RequestResponseCycle, ("response_complete",)),
)
RESPONSES = (
    Inside(httptools_impl.RequestResponseCycle, http_responses.UVICORN),
    Inside(h11_impl.RequestResponseCycle, http_responses.UVICORN),
    Inside(FlowControl, http_responses.FLOW),
)
REQUIRED = (*WEBSOCKETS, *HTTPTOOLS, *H11, *RESPONSES)

ABORT_DELAY = 1.0
"""Seconds in which a peer that answered no ping may yet read why it is closed."""
MAX_CHUNK = 4096
"""Bytes that are parsed before anything looks at what they were: a read may be 256 KiB."""
TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"Content-Length: 0\r\nConnection: close\r\n\r\n"
)


# WebSockets


class BoundedProtocol(WebSocketsSansIOProtocol):
    """Bounds what one peer can make a socket hold."""

    # Here and not in `__init__`: a socket may become one of this class in mid-life.
    _owed = b""
    _drained = 0
    _limiter: ControlFrameLimiter | None = None

    @classmethod
    def take_over(cls, protocol: Any) -> None:
        """Makes a socket of the stock class one of this; nothing else tells them apart."""
        protocol.__class__ = cls
        # uvloop looked up `data_received` when it was given the protocol.
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
        """Reads slowly on after our close; True while the client's own close is still looked for.

        Without reading, what the client has sent would turn the end of the connection into a reset,
        which takes the close frame from it. Read at full speed, a client that only sends never
        comes to read, and parsing it takes the time of all others.
        """
        self._drained += size
        if self._drained > MAX_DRAIN and not self.transport.is_closing():
            self.transport.pause_reading()
            self.loop.call_later(DRAIN_INTERVAL, self._drain_on)
        return self._drained <= MAX_DRAIN

    def _drain_on(self) -> None:
        if not self.transport.is_closing():
            self.transport.resume_reading()

    def _cut_if_noisy(self) -> bool:
        if self._limiter is None:
            self._limiter = ControlFrameLimiter()
        if not self._limiter.is_too_much():
            return False
        self.transport.abort()
        return True

    @override
    def handle_ping(self) -> None:
        """Owes a peer that does not read a pong to its latest ping alone (RFC 6455 §5.5.3)."""
        if self._cut_if_noisy():
            return
        # What else stands behind the pongs is our answer to a close: no ping comes after it.
        if self.writable.is_set() or self.conn.close_rcvd is not None:
            super().handle_ping()
            return
        pongs = self.conn.data_to_send()
        if pongs:  # those of all pings that came at once, at the first of them
            self._owed = pongs[-1]

    @override
    def handle_pong(self, event: Frame) -> None:
        if not self._cut_if_noisy():
            super().handle_pong(event)

    @override
    def resume_writing(self) -> None:
        super().resume_writing()
        owed, self._owed = self._owed, b""
        if owed and not self.close_sent and not self.transport.is_closing():
            self.transport.write(owed)

    @override
    def handle_cont(self, event: Frame) -> None:
        """Joins the pieces as they come: the largest message bounds bytes, not empty pieces."""
        if self._cut_if_noisy():
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
        # The close waits until the peer has read what it was sent, and it may never do so.
        self.loop.call_later(ABORT_DELAY, self.transport.abort)


class DirectWriteProtocol(BoundedProtocol):
    """Lets frames be written past `send`."""

    on_writer_change: Callable[[], None] = staticmethod(ignore_change)
    """See `interface.Connection.watch`."""

    def direct_writer(self) -> Write | None:
        """The transport's own `write`; None while frames have to go by `send`."""
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
        # The peer has closed, or broken the protocol, and that was answered.
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
        # The writer would raise from here on; and what watched is let go of.
        self.on_writer_change()
        self.on_writer_change = ignore_change


class UvicornConnection:
    """A socket of the stock class, taken over."""

    __slots__ = ("_protocol", "receive", "send")

    def __init__(self, protocol: Any) -> None:
        if type(protocol) is WebSocketsSansIOProtocol:
            DirectWriteProtocol.take_over(protocol)
        self._protocol = protocol
        self.receive: Receive = protocol.receive
        self.send: Send = protocol.send
        bound_kernel(protocol.transport.get_extra_info("socket"))

    def direct_writer(self) -> Write | None:
        writer: Write | None = self._protocol.direct_writer()
        return writer

    def watch(self, on_writer_change: Callable[[], None]) -> None:
        self._protocol.on_writer_change = on_writer_change

    def abort(self) -> bool:
        self._protocol.transport.abort()
        return True


CAN_TAKE_OVER = not missing_names(WEBSOCKETS)


def connection(_: Receive, send: Send) -> UvicornConnection | None:
    """None when `send` is of another class, or of one whose inside has changed."""
    protocol = getattr(send, "__self__", None)
    if not CAN_TAKE_OVER or not isinstance(protocol, WebSocketsSansIOProtocol):
        return None
    return UvicornConnection(protocol)


# HTTP


class HttpConnection:
    """What both HTTP classes do: a deadline for each request head, and a place for each address."""

    open_connections: ClassVar[OpenConnections]
    """Set by `bound_http`: uvicorn builds the protocols that build this."""

    def __init__(self, protocol: Any) -> None:
        self._protocol = protocol
        self._deadline = HeadDeadline(self._expire)
        self._leave: Callable[[], None] | None = None
        self.is_upgraded = False

    def opened(self) -> None:
        transport = self._protocol.transport
        peer = transport.get_extra_info("peername")
        # On a Unix socket it is a text, mostly an empty one.
        self._leave = self.open_connections.enter(peer[0] if isinstance(peer, tuple) else None)
        if self._leave is None:
            transport.abort()
        else:
            self._deadline.begin()

    def received(self) -> None:
        """After bytes of the client: one that waits for nothing has to complete a head."""
        protocol = self._protocol
        if self.is_upgraded:
            return
        if self._is_answered():
            if protocol.timeout_keep_alive_task is None and not protocol.transport.is_closing():
                self._deadline.begin()
        else:
            self._deadline.end()

    def upgraded(self) -> None:
        """The deadline ends here; the connection keeps its place until the WebSocket is lost."""
        self.is_upgraded = True
        self._deadline.end()
        leave, self._leave = self._leave, None
        if leave not in (None, leave_uncounted):
            _call_when_lost(self._protocol.transport.get_protocol(), leave)

    def lost(self) -> None:
        self._deadline.end()
        if self._leave is not None:
            self._leave()
            self._leave = None

    def refuse_head(self) -> None:
        self._protocol.transport.write(TOO_LARGE)
        self._protocol.transport.close()

    def _is_answered(self) -> bool:
        cycle = self._protocol.cycle
        return cycle is None or cycle.response_complete

    def _expire(self) -> None:
        self._deadline.end()
        if self._is_answered() and not self._protocol.transport.is_closing():
            count_refusal("CHAT_HEADER_TIMEOUT")
            self._protocol.transport.close()


def refuse_compression(config: Config) -> None:
    """Negotiates no permessage-deflate, whatever the command line says (decision 45).

    uvicorn reads this setting each time it builds a WebSocket protocol, of any of its classes.
    """
    config.ws_per_message_deflate = False


def _call_when_lost(protocol: Any, call: Callable[[], None]) -> None:
    """Calls it once, before the protocol's own `connection_lost`, of whatever class it is then."""

    def connection_lost(exc: Exception | None) -> None:
        del protocol.connection_lost
        call()
        protocol.connection_lost(exc)

    protocol.connection_lost = connection_lost


class BoundedHttpTools(HttpToolsProtocol):
    """With httptools, which itself takes a head of any size."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._connection = HttpConnection(self)
        self._head_size = 0
        self._in_head = True
        self._is_refused = False

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._connection.opened()

    @override
    def data_received(self, data: bytes) -> None:
        # Of a head no more than a bit beyond its bound is parsed; bodies go through whole.
        step = MAX_CHUNK if self._in_head else len(data)
        for start in range(0, len(data), step or 1):
            if self.transport.is_closing() or self._connection.is_upgraded:
                return
            self._feed(data[start : start + step])
        self._connection.received()

    def _feed(self, data: bytes) -> None:
        if self._in_head:
            self._head_size += len(data)
            if too_large_head(self._head_size):
                self._connection.refuse_head()
                return
        super().data_received(data)

    @override
    def on_headers_complete(self) -> None:
        self._in_head, self._head_size = False, 0
        if too_many_headers(len(self.headers)):
            self._is_refused = True
            raise ValueError("too many headers")
        super().on_headers_complete()

    @override
    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._in_head = True

    @override
    def send_400_response(self, msg: str) -> None:
        if self._is_refused:
            self._connection.refuse_head()
        else:
            super().send_400_response(msg)

    @override
    def handle_websocket_upgrade(self) -> None:
        refuse_compression(self.config)
        super().handle_websocket_upgrade()
        self._connection.upgraded()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._connection.lost()
        super().connection_lost(exc)


class HeadBoundedH11(h11.Connection):
    """h11 bounds a head that is not complete yet; here also one that came at once."""

    @override
    def next_event(self) -> Any:
        event = super().next_event()
        if isinstance(event, h11.Request):
            headers = event.headers.raw_items()
            size = len(event.target) + sum(len(name) + len(value) for name, value in headers)
            if too_many_headers(len(headers)) or too_large_head(size):
                raise h11.RemoteProtocolError("too large", error_status_hint=431)
        return event


class BoundedH11(H11Protocol):
    """With h11."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.conn = HeadBoundedH11(h11.SERVER, settings.CHAT_HEADER_SIZE or sys.maxsize)
        self._connection = HttpConnection(self)

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._connection.opened()

    @override
    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        super().data_received(data)
        self._connection.received()

    @override
    def send_400_response(self, msg: str) -> None:
        error = sys.exception()
        if (
            isinstance(error, h11.RemoteProtocolError)
            and error.error_status_hint == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        ):
            self._connection.refuse_head()
        else:
            super().send_400_response(msg)

    @override
    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        refuse_compression(self.config)
        super().handle_websocket_upgrade(event)
        self._connection.upgraded()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._connection.lost()
        super().connection_lost(exc)


def bound_http(connections: OpenConnections, _: UnfinishedBodies) -> None:
    """Makes uvicorn build bounded protocols from now on.

    It has chosen its classes by now, and is to be started by its own command: so a class of its
    own makes ours where one of it is asked for.
    """
    HttpConnection.open_connections = connections
    for stock, bounded, required in (
        (HttpToolsProtocol, BoundedHttpTools, HTTPTOOLS),
        (H11Protocol, BoundedH11, H11),
    ):
        if not missing_names(required) and "__new__" not in vars(stock):
            stock.__new__ = _making(stock, bounded)  # type: ignore[method-assign]


def _making(stock: type, bounded: type) -> Any:
    def new(cls: type, *_: Any, **__: Any) -> Any:
        return object.__new__(bounded if cls is stock else cls)

    return staticmethod(new)
