"""What a server lets us do beyond ASGI: feel that a peer does not read, and cut its connection.

uvicorn's `send` waits while the peer does not read, and it reads no further than we take. Daphne's
`send` never waits and its queue of incoming frames has no end: there we put ourselves between, as
the producer that Twisted pauses (twisted.internet.interfaces.IPushProducer). ASGI knows no cutting;
both servers hand us a `send` from which their connection can be reached. On a server that we do not
know nothing is cut and its own keep-alive ends the socket later.

Both answer pings by themselves, read or unread: those answers are bounded here too (decision 22).
"""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Protocol

from . import sansio
from .noise import Noise
from .servers.kernel_buffers import bound_kernel
from .wire import Write, nobody_writes

Event = dict[str, Any]
Send = Callable[[Event], Coroutine[Any, Any, None]]
Receive = Callable[[], Coroutine[Any, Any, Event]]


class Connection(Protocol):
    """The two ends of a socket. `send` waits while the peer does not read."""

    @property
    def send(self) -> Send: ...

    @property
    def receive(self) -> Receive: ...

    def way(self) -> Write | None:
        """Takes the bytes of frames at once, past `send`; None while `send` has more to do."""

    def watch(self, on_way_change: Callable[[], None]) -> None:
        """Calls it whenever `way` has come or gone.

        What goes that way a moment too late goes out in order or, if the connection ends, nowhere.
        """

    def abort(self) -> bool:
        """Cuts it at once. False when this server offers no way."""


def connection_of(receive: Receive, send: Send) -> Connection:
    protocol = send.args[0] if isinstance(send, partial) and send.args else None
    transport = getattr(protocol, "transport", None)
    if all(hasattr(transport, name) for name in TWISTED):
        return TwistedConnection(protocol, receive, send)
    return PlainConnection(receive, send)


class PlainConnection:
    __slots__ = ("_protocol", "receive", "send")

    def __init__(self, receive: Receive, send: Send) -> None:
        self.receive = receive
        self.send = send
        protocol: Any = getattr(send, "__self__", None)
        if sansio.is_known(protocol):
            sansio.take_over(protocol)
            self.send = protocol.send
        self._protocol = protocol if hasattr(protocol, "way") else None
        transport = getattr(protocol, "transport", None)
        if transport is not None:
            bound_kernel(transport.get_extra_info("socket"))

    def way(self) -> Write | None:
        return None if self._protocol is None else self._protocol.way()

    def watch(self, on_way_change: Callable[[], None]) -> None:
        if self._protocol is not None:
            self._protocol.on_way_change = on_way_change

    def abort(self) -> bool:
        transport = getattr(getattr(self.send, "__self__", None), "transport", None)
        cut = getattr(transport, "abort", None)  # asyncio's; uvicorn's `send` is a bound method
        if callable(cut):
            cut()
        return callable(cut)


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


class TwistedConnection:
    """Daphne: stands in as the producer of its transport, in both directions."""

    __slots__ = (
        "_is_plain",
        "_noise",
        "_on_way_change",
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
        self._on_way_change: Callable[[], None] = nobody_writes
        self._owed: bytes | None = None
        self._noise = Noise()
        self._is_plain = all(hasattr(protocol, name) for name in AUTOBAHN)
        if self._is_plain:
            # Autobahn's own hooks (autobahn.websocket.interfaces), which daphne leaves free.
            protocol.onPing = self._pong
            protocol.onPong = self._hear_pong
            protocol.onMessageFrame = self._join
            protocol.is_closed.addBoth(self._closed)
        bound_kernel(getattr(transport, "socket", None))
        # In place of the HTTP channel, which has no more to do with this connection.
        transport.unregisterProducer()
        transport.registerProducer(self, True)

    def way(self) -> Write | None:
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

    def watch(self, on_way_change: Callable[[], None]) -> None:
        self._on_way_change = on_way_change

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

    def _hear_pong(self, _: bytes) -> None:
        self._cut_if_noisy()

    def _cut_if_noisy(self) -> bool:
        if not self._noise.is_too_much():
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
        self._on_way_change()
        self._on_way_change = nobody_writes  # whom it led to is let go of
        self._writable.set()

    # Called by Twisted, which names them

    def pauseProducing(self) -> None:  # noqa: N802
        self._writable.clear()
        self._on_way_change()

    def resumeProducing(self) -> None:  # noqa: N802
        self._writable.set()
        owed, self._owed = self._owed, None
        if owed is not None:
            self._protocol.sendPong(owed)
        self._on_way_change()

    def stopProducing(self) -> None:  # noqa: N802
        self._is_plain = False
        self._on_way_change()
        self._writable.set()
