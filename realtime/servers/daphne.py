"""Daphne: backpressure in both directions, direct writes and bounds on control frames.

Daphne's `send` never waits and its queue of incoming frames has no end. So we put ourselves
between, as the producer that Twisted pauses (twisted.internet.interfaces.IPushProducer). Autobahn answers
pings by itself, read or unread: those answers are bounded here too (decision 22).
"""

import asyncio
from collections.abc import Callable
from typing import Any

from .control_frames import ControlFrameLimiter
from .interface import Event, Receive, Send, Write, ignore_change
from .kernel import bound_kernel

SERVER_CODES = range(1001, 3000)
AUTOBAHN = (
    "state",
    "STATE_OPEN",
    "send_queue",
    "_perMessageCompress",
    "sendPong",
    "dropConnection",
    "is_closed",
)
AT_ONCE = ("writeSomeData", "dataBuffer", "TLS")
TWISTED = ("registerProducer", "unregisterProducer", "pauseProducing", "abortConnection")


def _can_write_at_once(transport: Any) -> bool:
    """Whether it is plain TCP, in a Twisted that we know.

    We ask its class: one that encrypts answers for whatever it lacks with what is below it.
    """
    is_known = all(hasattr(type(transport), name) for name in AT_ONCE)
    return is_known and hasattr(transport, "_tempDataLen") and not transport.TLS


class DaphneConnection:
    """Stands in as the producer of its transport, in both directions."""

    __slots__ = (
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
        self._is_plain = all(hasattr(protocol, name) for name in AUTOBAHN)
        if self._is_plain:
            # Autobahn's own hooks (autobahn.websocket.interfaces), which daphne leaves free.
            protocol.onPing = self._pong
            protocol.onPong = self._count_pong
            protocol.onMessageFrame = self._join
            protocol.is_closed.addBoth(self._closed)
        bound_kernel(getattr(transport, "socket", None))
        # In place of the HTTP channel, which has no more to do with this connection.
        transport.unregisterProducer()
        transport.registerProducer(self, True)

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
        if event["type"] == "websocket.close" and event["code"] in SERVER_CODES:
            # Autobahn takes these from servers only by this door; daphne uses it as well.
            self._protocol.sendCloseFrame(code=event["code"])
        else:
            await self._send(event)

    async def receive(self) -> Event:
        """Reads on only while we wait for a frame, so that a flood stays with its sender."""
        self._transport.resumeProducing()
        event = await self._receive()
        self._transport.pauseProducing()
        return event

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
        # Not our `abort`: autobahn shall not go on with what it has read already.
        self._protocol.dropConnection(abort=True)
        return True

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
        self._on_writer_change = ignore_change  # whom it led to is let go of
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
