"""Adds backpressure, direct writes and limits to the WebSockets of daphne.

Daphne's `send` never waits, and its queue of incoming frames is unbounded. So our connection
registers as the producer that Twisted pauses (twisted.internet.interfaces.IPushProducer). Autobahn
answers pings even if the peer does not read; these pongs are bounded too (decision 22).

`REQUIRED` lists the names of daphne, autobahn and Twisted that this file uses. If names of autobahn
are missing, frames go through `send`, and autobahn's documented hooks keep the limits.
"""

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import daphne.server  # noqa: F401 - before Twisted: it installs the reactor
from daphne.ws_protocol import WebSocketProtocol
from twisted.internet.tcp import Server

from .control_frames import ControlFrameLimiter
from .draining import DRAIN_INTERVAL, MAX_DRAIN
from .interface import Event, Receive, Send, WriteFunction, ignore_change
from .kernel_buffers import bound_kernel
from .required import RequiredNames, missing_names

AUTOBAHN = (
    RequiredNames(
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
TCP = (RequiredNames(Server, ("TLS", "_tempDataLen", "connected", "dataBuffer", "writeSomeData")),)
REQUIRED = (*AUTOBAHN, *TCP)
KNOWS_AUTOBAHN = not missing_names(AUTOBAHN)
KNOWS_TCP = not missing_names(TCP)

TRANSPORT = ("registerProducer", "unregisterProducer", "pauseProducing", "abortConnection")
"""Documented by Twisted for TCP transports."""
CLOSE_TIMEOUT = 10.0
"""Seconds that a client has to answer our close frame; autobahn's default is one."""


def connection(receive: Receive, send: Send) -> "DaphneConnection | None":
    """Returns None if `send` belongs to no protocol with a Twisted transport."""
    for owner in _owners(send):
        transport = getattr(owner, "transport", None)
        if all(hasattr(transport, name) for name in TRANSPORT):
            return DaphneConnection(owner, receive, send)
    return None


def _owners(send: Any) -> Iterator[Any]:
    """Yields objects bound to `send`: daphne's is a `partial` with its protocol."""
    if isinstance(send, partial):
        yield from send.args
        yield from _owners(send.func)
    else:
        yield getattr(send, "__self__", None)


def _can_write_at_once(transport: Any) -> bool:
    """Returns whether the transport is plain TCP of a compatible Twisted.

    Checks its class: a TLS transport delegates missing attributes to the transport below it.
    """
    is_known = all(
        hasattr(type(transport), name) for name in ("writeSomeData", "dataBuffer", "TLS")
    )
    return KNOWS_TCP and is_known and not transport.TLS


class DaphneConnection:
    """Acts as the producer of its transport, for backpressure in both directions."""

    __slots__ = (
        "_drained",
        "_is_closing",
        "_is_plain",
        "_limiter",
        "_on_writer_change",
        "_pending_pong",
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
        self._pending_pong: bytes | None = None
        self._limiter = ControlFrameLimiter()
        self._drained = 0
        self._is_closing = False
        self._is_plain = KNOWS_AUTOBAHN
        self._hook_in(protocol)
        bound_kernel(getattr(transport, "socket", None))
        # Replaces the HTTP channel, which is done with this connection after the upgrade.
        transport.unregisterProducer()
        transport.registerProducer(self, streaming=True)

    def _hook_in(self, protocol: Any) -> None:
        """Sets documented hooks of autobahn that daphne does not use.

        See autobahn.websocket.interfaces.
        """
        protocol.onPing = self._pong
        protocol.onPong = self._count_pong
        if KNOWS_AUTOBAHN:
            protocol.onMessageFrame = self._join
            protocol.is_closed.addBoth(self._closed)
        else:
            protocol.onMessageFrame = self._count_piece

    def direct_writer(self) -> WriteFunction | None:
        """Returns a function that bypasses autobahn, which encodes once per recipient.

        None unless the socket is open, with nothing queued and no compression.
        """
        protocol = self._protocol
        if not self._is_plain or not self._writable.is_set():
            return None
        if protocol.state != protocol.STATE_OPEN or protocol.send_queue:
            return None
        return self._write if protocol._perMessageCompress is None else None

    def _write(self, data: bytes) -> None:
        """Writes to the kernel as much as it accepts. Twisted buffers the rest.

        Twisted alone would write in the next iteration of its loop: three system calls per
        recipient instead of one. And 64 KiB in one iteration would look like a peer that does not
        read, to be paused and resumed.
        """
        # Autobahn reports a close of the peer late, and nothing may follow our close frame.
        if self._protocol.state != self._protocol.STATE_OPEN:
            return
        transport = self._transport
        if (
            self._writes_at_once
            and transport.connected
            and not (transport._tempDataLen or transport.dataBuffer)  # its own buffers
        ):
            sent = transport.writeSomeData(data)
            if sent == len(data):
                return
            if isinstance(sent, int):
                data = data[sent:]
        # If the connection is lost, Twisted notices when it writes.
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
        """Returns whether autobahn accepts a close frame; it ignores a late one."""
        return KNOWS_AUTOBAHN and self._protocol.state != self._protocol.STATE_CONNECTING

    def _close(self, event: Event) -> None:
        """Sends a close frame and reads slowly until the client answers it.

        If unread data is left, the kernel ends the connection with a reset, and the client loses
        the close frame. At full speed, a client that only sends would never get to read, and
        parsing its data would take time from all others.
        """
        protocol = self._protocol
        protocol.closeHandshakeTimeout = CLOSE_TIMEOUT
        # `sendClose` refuses codes below 3000 except 1000. A control frame has at most 125 bytes.
        reason = (event.get("reason") or "").encode()[:123]
        protocol.sendCloseFrame(code=event.get("code", 1000), reasonUtf8=reason or None)
        if not self._is_closing:
            self._is_closing = True
            protocol.onMessage = _discard
            protocol.dataReceived = self._drain
        self._transport.resumeProducing()

    async def receive(self) -> Event:
        """Reads from the socket only while the consumer waits, so TCP slows down a flood."""
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
            # Twisted ignores this after the connection is lost.
            asyncio.get_running_loop().call_later(DRAIN_INTERVAL, self._transport.resumeProducing)

    def abort(self) -> bool:
        self._writable.set()
        self._transport.abortConnection()
        return True

    # Called by autobahn

    def _pong(self, payload: bytes) -> None:
        """Answers only the latest ping of a peer that does not read (RFC 6455 §5.5.3)."""
        if self._abort_if_flooding():
            return
        if self._writable.is_set():
            self._protocol.sendPong(payload)
        else:
            self._pending_pong = payload

    def _count_pong(self, _: bytes) -> None:
        self._abort_if_flooding()

    def _abort_if_flooding(self) -> bool:
        if not self._limiter.is_too_much():
            return False
        if KNOWS_AUTOBAHN:
            # Not our `abort`: autobahn would continue with data that it has already read.
            self._protocol.dropConnection(abort=True)
        else:
            self.abort()
        return True

    def _count_piece(self, parts: list[bytes]) -> None:
        """Limits the number of pieces, where autobahn lacks the names that `_join` needs."""
        if not self._abort_if_flooding():
            type(self._protocol).onMessageFrame(self._protocol, parts)

    def _join(self, parts: list[bytes]) -> None:
        """Joins pieces as they arrive: the message limit bounds bytes, not their number."""
        protocol = self._protocol
        if protocol.failedByMe or (protocol.message_data and self._abort_if_flooding()):
            return
        if not protocol.message_data:
            protocol.message_data.append(bytearray())
        protocol.message_data[0] += b"".join(parts)

    def _closed(self, _: object) -> None:
        """Wakes up `send`: autobahn unregisters the producer before it closes."""
        self._is_plain = False
        self._on_writer_change()
        self._on_writer_change = ignore_change  # frees the subscriber
        self._writable.set()

    # Called by Twisted (IPushProducer)

    def pauseProducing(self) -> None:  # noqa: N802
        self._writable.clear()
        self._on_writer_change()

    def resumeProducing(self) -> None:  # noqa: N802
        self._writable.set()
        pong, self._pending_pong = self._pending_pong, None
        if pong is not None:
            self._protocol.sendPong(pong)
        self._on_writer_change()

    def stopProducing(self) -> None:  # noqa: N802
        self._is_plain = False
        self._on_writer_change()
        self._writable.set()


def _discard(payload: bytes, is_binary: bool) -> None:  # noqa: FBT001 - autobahn calls it
    """Replaces daphne's unbounded queue, which nothing reads after a close."""
