"""uvicorn's `websockets-sansio` class, fanning out faster: `--ws realtime.quick_uvicorn:Protocol`.

Its own `send` builds the WebSocket frame of a text anew for each recipient, the dearest part of a
delivery, and writes each by itself. Here a frame that many hear is built once, and what a socket
gets within one turn of the event loop leaves in one write. Whatever is no text, and whatever `send`
would have more to do with (compression, a peer that does not read), goes by `send`.

Sockets of the stock class become of this one as they come to us (`sansio`). On a uvicorn whose
inside we do not know `Protocol` is the stock class itself.
"""

import asyncio
import logging
from typing import Any

import uvicorn
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from .bounded_uvicorn import BoundedProtocol
from .sansio import KNOWN_VERSIONS
from .wire import last_frame

log = logging.getLogger(__name__)

LARGEST_TURN = 65_536
"""Bytes after which a socket is written to within the turn, so that backpressure is felt."""


class Turn:
    """What the sockets of this process write at the end of this turn of the loop."""

    def __init__(self) -> None:
        self._waiting: list[QuickProtocol] = []

    def add(self, protocol: "QuickProtocol") -> None:
        if not self._waiting:
            protocol.loop.call_soon(self._write_all)
        self._waiting.append(protocol)

    def _write_all(self) -> None:
        waiting, self._waiting = self._waiting, []
        for protocol in waiting:
            protocol.write_turn()


turn = Turn()


class QuickProtocol(BoundedProtocol):
    # Here and not in `__init__`: a socket may become one of this class in mid-life.
    _is_plain = False
    _frames: list[bytes] | None = None
    _size = 0

    def offer(self, event: dict[str, Any]) -> bool:
        """Takes a text without a coroutine, for each recipient of each frame; False when it has to
        go by `send`.
        """
        text = event.get("text")
        if text is None or not self._is_writable():
            return False
        # Once so, it stays so. In a large room each recipient's memory is in no cache.
        if not self._is_plain:
            self._is_plain = self.handshake_complete and not self.conn.extensions
            if not self._is_plain:
                return False
        frame = last_frame.of(text)
        if self._frames is None:
            self._frames = [frame]
            self._size = len(frame)
            turn.add(self)
        else:
            self._frames.append(frame)
            self._size += len(frame)
        if self._size > LARGEST_TURN:
            self.write_turn()
        return True

    def _is_writable(self) -> bool:
        """Whether a frame would go out now just as it is: the socket is open and the peer reads."""
        return (
            self.writable.is_set()
            and not self.close_sent
            and not self.disconnected
            and not self.transport.is_closing()
        )

    def write_turn(self) -> None:
        frames, self._frames = self._frames, None
        if frames and not self.transport.is_closing():
            self.transport.write(frames[0] if len(frames) == 1 else b"".join(frames))

    async def send(self, message: Any) -> None:
        # What was offered before goes out before.
        self.write_turn()
        await super().send(message)

    def shutdown(self) -> None:
        self.write_turn()
        super().shutdown()


def _choose() -> type[asyncio.Protocol]:
    if uvicorn.__version__.startswith(KNOWN_VERSIONS):
        return QuickProtocol
    log.warning("uvicorn %s is not known here: serving with its own class", uvicorn.__version__)
    return WebSocketsSansIOProtocol


Protocol = _choose()
