"""Daphne: backpressure in both directions, direct writes, and bounds on what a client holds.

Daphne's `send` never waits and its queue of incoming frames has no end. So we put ourselves
between, as the producer that Twisted pauses (twisted.internet.interfaces.IPushProducer). Autobahn
answers pings by itself, read or unread: those answers are bounded here too (decision 22). Twisted
waits for a request head as long as bytes drip in (decision 31).

`REQUIRED` names what is used of the inside of daphne, autobahn and Twisted. Without the names of
autobahn frames go by `send`, and its documented hooks keep the bounds.
"""

import asyncio
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, ClassVar

import daphne.server  # noqa: F401 - before anything of Twisted: it chooses the reactor
from daphne.http_protocol import HTTPFactory, WebRequest
from daphne.ws_protocol import WebSocketProtocol
from django.conf import settings
from twisted.internet.protocol import connectionDone
from twisted.internet.tcp import Server
from twisted.python.failure import Failure
from twisted.web import http
from typing_extensions import override

from accounts.kernel.metrics import count_refusal

from . import http_responses
from .control_frames import ControlFrameLimiter
from .daphne_bodies import BODIES, bound_bodies
from .draining import DRAIN_INTERVAL, MAX_DRAIN
from .http_bodies import UnfinishedBodies
from .http_connections import HeadDeadline, OpenConnections, leave_uncounted
from .interface import Event, Receive, Send, Write, ignore_change
from .kernel_buffers import bound_kernel
from .required import Inside, missing_names

AUTOBAHN = (
    Inside(
        WebSocketProtocol,
        (
            "STATE_CONNECTING",
            "STATE_OPEN",
            "_perMessageCompress",
            "closeHandshakeTimeout",
            "dropConnection",
            "failedByMe",
            "is_closed",
            "message_data",
            "sendCloseFrame",
            "send_queue",
            "state",
        ),
    ),
)
TCP = (Inside(Server, ("TLS", "_tempDataLen", "connected", "dataBuffer", "writeSomeData")),)
HTTP = (
    Inside(http, ("_GenericHTTPChannelProtocol",)),
    Inside(HTTPFactory, ("protocol",)),
    Inside(
        http.HTTPChannel,
        (
            "_receivedHeaderCount",
            "_receivedHeaderSize",
            "allHeadersReceived",
            "maxHeaders",
            "requestDone",
            "totalHeadersSize",
        ),
    ),
)
RESPONSES = (
    Inside(WebRequest, http_responses.TWISTED_REQUEST),
    Inside(http.HTTPChannel, http_responses.TWISTED_CHANNEL),
    Inside(Server, http_responses.TWISTED_TRANSPORT),
)
REQUIRED = (*AUTOBAHN, *TCP, *HTTP, *BODIES, *RESPONSES)
KNOWS_AUTOBAHN = not missing_names(AUTOBAHN)
KNOWS_TCP = not missing_names(TCP)

TRANSPORT = ("registerProducer", "unregisterProducer", "pauseProducing", "abortConnection")
"""What Twisted documents of a TCP transport."""
CLOSE_TIMEOUT = 10.0
"""Seconds that a client has to answer our close; autobahn would give it one."""


def connection(receive: Receive, send: Send) -> "DaphneConnection | None":
    """None when `send` does not lead to a protocol on a transport of Twisted's."""
    for owner in _owners(send):
        transport = getattr(owner, "transport", None)
        if all(hasattr(transport, name) for name in TRANSPORT):
            return DaphneConnection(owner, receive, send)
    return None


def _owners(send: Any) -> Iterator[Any]:
    """What a callable carries with it. Daphne's is a `partial` with the protocol as an argument."""
    if isinstance(send, partial):
        yield from send.args
        yield from _owners(send.func)
    else:
        yield getattr(send, "__self__", None)


def _can_write_at_once(transport: Any) -> bool:
    """Whether it is plain TCP, in a Twisted that we know.

    We ask its class: one that encrypts answers for whatever it lacks with what is below it.
    """
    is_known = all(
        hasattr(type(transport), name) for name in ("writeSomeData", "dataBuffer", "TLS")
    )
    return KNOWS_TCP and is_known and not transport.TLS


class DaphneConnection:
    """Stands in as the producer of its transport, in both directions."""

    __slots__ = (
        "_drained",
        "_is_closing",
        "_is_plain",
        "_limiter",
        "_on_writer_change",
        "_owed",
        "_protocol",
        "_receive",
        "_send",
        "_transport",
        "_writable",
        "_writes_at_once",
    )

    def __init__(self, protocol: Any, receive: Receive, send: Send) -> None:
        self._protocol = protocol
        self._transport = transport = protocol.transport
        self._writes_at_once = _can_write_at_once(transport)
        self._receive = receive
        self._send = send
        self._writable = asyncio.Event()
        self._writable.set()
        self._on_writer_change: Callable[[], None] = ignore_change
        self._owed: bytes | None = None
        self._limiter = ControlFrameLimiter()
        self._drained = 0
        self._is_closing = False
        self._is_plain = KNOWS_AUTOBAHN
        self._hook_in(protocol)
        bound_kernel(getattr(transport, "socket", None))
        # In place of the HTTP channel, which has no more to do with this connection.
        transport.unregisterProducer()
        transport.registerProducer(self, streaming=True)

    def _hook_in(self, protocol: Any) -> None:
        """Sets autobahn's own hooks (autobahn.websocket.interfaces), which daphne leaves free."""
        protocol.onPing = self._pong
        protocol.onPong = self._count_pong
        if KNOWS_AUTOBAHN:
            protocol.onMessageFrame = self._join
            protocol.is_closed.addBoth(self._closed)
        else:
            protocol.onMessageFrame = self._count_piece

    def direct_writer(self) -> Write | None:
        """Past daphne and autobahn, which build a frame anew for each recipient.

        Only while autobahn itself would have nothing to add: open, nothing queued, no compression.
        """
        protocol = self._protocol
        if not self._is_plain or not self._writable.is_set():
            return None
        if protocol.state != protocol.STATE_OPEN or protocol.send_queue:
            return None
        return self._write if protocol._perMessageCompress is None else None

    def _write(self, data: bytes) -> None:
        """To the kernel, as far as it takes it; the rest waits with Twisted.

        Twisted itself leaves even the first byte for the next turn of its loop: three system calls
        for each recipient in place of one, and any 64 KiB in one turn look like a peer that does
        not read, to be paused and resumed.
        """
        # Of a close by the peer nobody tells us at once, and nothing may follow ours.
        if self._protocol.state != self._protocol.STATE_OPEN:
            return
        transport = self._transport
        if (
            self._writes_at_once
            and transport.connected
            and not (transport._tempDataLen or transport.dataBuffer)  # what it holds back
        ):
            sent = transport.writeSomeData(data)
            if sent == len(data):
                return
            if isinstance(sent, int):
                data = data[sent:]
        # Of a connection that is lost Twisted finds out by itself when it tries.
        transport.write(data)

    def watch(self, on_writer_change: Callable[[], None]) -> None:
        self._on_writer_change = on_writer_change

    async def send(self, event: Event) -> None:
        if not self._writable.is_set():
            await self._writable.wait()
        if event["type"] == "websocket.close" and self._is_connected():
            self._close(event)
        else:
            await self._send(event)

    def _is_connected(self) -> bool:
        """Whether autobahn takes a close frame; it ignores one that comes too late."""
        return KNOWS_AUTOBAHN and self._protocol.state != self._protocol.STATE_CONNECTING

    def _close(self, event: Event) -> None:
        """Says close and reads slowly on until the client answers, so that the close reaches it.

        Without reading, its unread bytes would turn the end of the connection into a reset, which
        takes the close frame from the client. Read at full speed, a client that only sends never
        comes to read, and parsing it takes the time of all others.
        """
        protocol = self._protocol
        protocol.closeHandshakeTimeout = CLOSE_TIMEOUT
        # Not `sendClose`, which takes no code below 3000 but 1000. A control frame has 125 bytes.
        reason = (event.get("reason") or "").encode()[:123]
        protocol.sendCloseFrame(code=event.get("code", 1000), reasonUtf8=reason or None)
        if not self._is_closing:
            self._is_closing = True
            protocol.onMessage = _discard
            protocol.dataReceived = self._drain
        self._transport.resumeProducing()

    async def receive(self) -> Event:
        """Reads on only while we wait for a frame, so that a flood stays with its sender."""
        if self._is_closing:
            return await self._receive()
        self._transport.resumeProducing()
        event = await self._receive()
        if not self._is_closing:
            self._transport.pauseProducing()
        return event

    def _drain(self, data: bytes) -> None:
        protocol = self._protocol
        self._drained += len(data)
        if self._drained <= MAX_DRAIN:
            type(protocol).dataReceived(protocol, data)
        if self._drained > MAX_DRAIN:
            self._transport.pauseProducing()
            # Twisted ignores it once the connection has ended.
            asyncio.get_running_loop().call_later(DRAIN_INTERVAL, self._transport.resumeProducing)

    def abort(self) -> bool:
        self._writable.set()
        self._transport.abortConnection()
        return True

    # Called by autobahn

    def _pong(self, payload: bytes) -> None:
        """One that does not read is owed a pong to its latest ping alone (RFC 6455 §5.5.3)."""
        if self._cut_if_noisy():
            return
        if self._writable.is_set():
            self._protocol.sendPong(payload)
        else:
            self._owed = payload

    def _count_pong(self, _: bytes) -> None:
        self._cut_if_noisy()

    def _cut_if_noisy(self) -> bool:
        if not self._limiter.is_too_much():
            return False
        if KNOWS_AUTOBAHN:
            # Not our `abort`: autobahn shall not go on with what it has read already.
            self._protocol.dropConnection(abort=True)
        else:
            self.abort()
        return True

    def _count_piece(self, parts: list[bytes]) -> None:
        """Leaves a piece to an autobahn that we do not know, and bounds how many there are."""
        if not self._cut_if_noisy():
            type(self._protocol).onMessageFrame(self._protocol, parts)

    def _join(self, parts: list[bytes]) -> None:
        """Takes a piece of a message: the largest message bounds bytes, not empty pieces."""
        protocol = self._protocol
        if protocol.failedByMe or (protocol.message_data and self._cut_if_noisy()):
            return
        if not protocol.message_data:
            protocol.message_data.append(bytearray())
        protocol.message_data[0] += b"".join(parts)

    def _closed(self, _: object) -> None:
        """Autobahn takes its producer away before it closes: nobody else would tell `send`."""
        self._is_plain = False
        self._on_writer_change()
        self._on_writer_change = ignore_change  # what watched is let go of
        self._writable.set()

    # Called by Twisted, which names them

    def pauseProducing(self) -> None:  # noqa: N802
        self._writable.clear()
        self._on_writer_change()

    def resumeProducing(self) -> None:  # noqa: N802
        self._writable.set()
        owed, self._owed = self._owed, None
        if owed is not None:
            self._protocol.sendPong(owed)
        self._on_writer_change()

    def stopProducing(self) -> None:  # noqa: N802
        self._is_plain = False
        self._on_writer_change()
        self._writable.set()


def _discard(payload: bytes, is_binary: bool) -> None:  # noqa: FBT001 - autobahn calls it
    """In place of daphne's queue, which nothing reads any more and which has no end."""


# HTTP


class BoundedChannel(http.HTTPChannel):
    """One HTTP connection, with a deadline for each request head."""

    open_connections: ClassVar[OpenConnections]
    """Set by `bound_http`: Twisted builds this."""
    transport: Any
    _in_head = True
    _is_idle = False

    @override
    def connectionMade(self) -> None:
        super().connectionMade()
        self._deadline = HeadDeadline(self._expire)
        self.maxHeaders = settings.CHAT_HEADER_COUNT or sys.maxsize
        self.totalHeadersSize = settings.CHAT_HEADER_SIZE or sys.maxsize
        leave = self.open_connections.enter(getattr(self.transport.getPeer(), "host", None))
        if leave is None:
            self.transport.abortConnection()
            return
        self._deadline.begin()
        if leave is not leave_uncounted:
            _call_when_lost(self.transport, leave)

    @override
    def dataReceived(self, data: bytes) -> None:
        if self._is_idle:
            self._is_idle = False
            self._deadline.end()
        super().dataReceived(data)
        if self._in_head:
            self._deadline.begin()
            self._note_refusal()

    def _note_refusal(self) -> None:
        """Twisted has answered a head that is too large, and hangs up."""
        if self._receivedHeaderSize > self.totalHeadersSize:
            count_refusal("CHAT_HEADER_SIZE")
        elif self._receivedHeaderCount > self.maxHeaders:
            count_refusal("CHAT_HEADER_COUNT")

    @override
    def allHeadersReceived(self) -> None:
        self._in_head = False
        self._deadline.end()
        super().allHeadersReceived()

    @override
    def requestDone(self, request: Any) -> None:
        # Before it: the next request may have come already, and is taken there.
        self._in_head = self._is_idle = True
        self._deadline.begin()
        super().requestDone(request)

    @override
    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._deadline.end()
        super().connectionLost(reason)

    def _expire(self) -> None:
        self._deadline.end()
        if not self._is_idle:
            count_refusal("CHAT_HEADER_TIMEOUT")
        self.loseConnection()


def _call_when_lost(transport: Any, call: Callable[[], None]) -> None:
    """Calls it once when the connection has ended, whichever protocol has it by then."""

    def connection_lost(reason: Any) -> None:
        del transport.connectionLost
        call()
        transport.connectionLost(reason)

    transport.connectionLost = connection_lost


def bound_http(connections: OpenConnections, bodies: UnfinishedBodies) -> None:
    """Makes daphne build bounded channels and requests from now on."""
    BoundedChannel.open_connections = connections
    if not missing_names(HTTP):
        HTTPFactory.protocol = staticmethod(_new_channel)
    if not missing_names(BODIES):
        bound_bodies(bodies)


def _new_channel() -> Any:
    return http._GenericHTTPChannelProtocol(BoundedChannel())
