"""uvicorn's `websockets-sansio` class, with an end to what one peer can make it hold (decision 22).

The stock class answers each ping at once, read or unread, however many there are, keeps every piece
of a message until the last, and closes by waiting until all is read. Only for the versions that
`sansio` knows.
"""

from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame

from .noise import Noise

ABORTS_AFTER = 1.0
"""Seconds in which one that answered no ping may yet read why it is closed."""
PORTION = 4096
"""Bytes that are taken apart before anybody looks at what they were: a chunk may be 256 KiB."""


class BoundedProtocol(WebSocketsSansIOProtocol):
    # Here and not in `__init__`: a socket may become one of this class in mid-life.
    _owed = b""
    _noise: Noise | None = None

    @classmethod
    def take_over(cls, protocol: Any) -> None:
        """Makes a socket of the stock class one of this; nothing else tells them apart."""
        protocol.__class__ = cls
        # uvloop looked up `data_received` when it was given the protocol.
        protocol.transport.set_protocol(protocol)

    def data_received(self, data: bytes) -> None:
        for start in range(0, len(data), PORTION):
            if self.transport.is_closing():
                return
            super().data_received(data[start : start + PORTION])

    def _cut_if_noisy(self) -> bool:
        if self._noise is None:
            self._noise = Noise()
        if not self._noise.is_too_much():
            return False
        self.transport.abort()
        return True

    def handle_ping(self) -> None:
        """One that does not read is owed a pong to its latest ping alone (RFC 6455 §5.5.3)."""
        if self._cut_if_noisy():
            return
        # What else stands behind the pongs is our answer to a close: no ping comes after it.
        if self.writable.is_set() or self.conn.close_rcvd is not None:
            super().handle_ping()
            return
        pongs = self.conn.data_to_send()
        if pongs:  # those of all pings that came at once, at the first of them
            self._owed = pongs[-1]

    def handle_pong(self, event: Frame) -> None:
        if not self._cut_if_noisy():
            super().handle_pong(event)

    def resume_writing(self) -> None:
        super().resume_writing()
        owed, self._owed = self._owed, b""
        if owed and not self.close_sent and not self.transport.is_closing():
            self.transport.write(owed)

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

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        # The close waits until the peer has read what it was sent, and it may never do so.
        self.loop.call_later(ABORTS_AFTER, self.transport.abort)
