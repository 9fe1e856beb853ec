"""uvicorn's `websockets-sansio` class, with faster fan-out and bounds for each peer.

Its own `send` builds the WebSocket frame of a text anew for each recipient, the dearest part of a
delivery. Here the bytes of a frame that was built once can be written to the transport itself, as
long as `send` would do no more: not for a compressed socket, nor for a peer that does not read.

The stock class answers each ping at once, read or unread, however many there are, keeps every piece
of a message until the last, and closes by waiting until all is read (decision 22).

A socket of the stock class becomes one of ours when it reaches us (`take_over`).
"""

from collections.abc import Callable
from typing import Any

import uvicorn
from typing_extensions import override
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame

from .control_frames import ControlFrameLimiter
from .interface import Write, ignore_change

KNOWN_VERSIONS = ("0.54.",)
ABORT_DELAY = 1.0
"""Seconds in which a peer that answered no ping may yet read why it is closed."""
MAX_CHUNK = 4096
"""Bytes that are parsed before anything looks at what they were: a read may be 256 KiB."""


def is_known(protocol: object) -> bool:
    """Whether this is a socket of the stock class, in a version that was read."""
    return type(protocol) is WebSocketsSansIOProtocol and uvicorn.__version__.startswith(
        KNOWN_VERSIONS
    )


class BoundedProtocol(WebSocketsSansIOProtocol):
    """Bounds what one peer can make a socket hold."""

    # Here and not in `__init__`: a socket may become one of this class in mid-life.
    _owed = b""
    _limiter: ControlFrameLimiter | None = None

    @classmethod
    def take_over(cls, protocol: Any) -> None:
        """Makes a socket of the stock class one of this; nothing else tells them apart."""
        protocol.__class__ = cls
        # uvloop looked up `data_received` when it was given the protocol.
        protocol.transport.set_protocol(protocol)

    @override
    def data_received(self, data: bytes) -> None:
        for start in range(0, len(data), MAX_CHUNK):
            if self.transport.is_closing():
                return
            super().data_received(data[start : start + MAX_CHUNK])

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
