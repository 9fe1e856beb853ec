"""uvicorn's `websockets-sansio` class, fanning out faster: `--ws realtime.quick_uvicorn:Protocol`.

Its own `send` builds the WebSocket frame of a text anew for each recipient, the dearest part of a
delivery, and writes each by itself. Here a frame that many hear is built once, and those that are
told together leave in one write for each socket. Whatever is no text, and whatever `send` would
have more to do with (compression, a peer that does not read), goes by `send`.

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
from .wire import bundle, last_frame

log = logging.getLogger(__name__)

LARGEST_BUNDLE = 65_536
"""Bytes after which a socket writes before the bundle closes, so that backpressure is felt."""


class QuickProtocol(BoundedProtocol):
    # Here and not in `__init__`: a socket may become one of this class in mid-life.
    _is_plain = False
    _frames: list[bytes] | None = None
    _size = 0

    def offer(self, event: dict[str, Any]) -> bool:
        """Takes a text without a coroutine, for each recipient of each frame; False when it has to
        go by `send`, which waits for a peer that does not read.
        """
        text = event.get("text")
        if (
            text is None
            or not self.writable.is_set()
            or self.close_sent
            or self.disconnected
            or self.transport.is_closing()
        ):
            return False
        # Once so, it stays so. In a large room each recipient's memory is in no cache.
        if not self._is_plain:
            self._is_plain = self.handshake_complete and not self.conn.extensions
            if not self._is_plain:
                return False
        frame = last_frame.of(text)
        if not bundle.is_open:
            self.transport.write(frame)
            return True
        if self._frames is None:
            self._frames, self._size = [], 0
            bundle.add(self)
        self._frames.append(frame)
        self._size += len(frame)
        if self._size > LARGEST_BUNDLE:
            self.write_bundle()
        return True

    def write_bundle(self) -> None:
        frames, self._frames = self._frames, None
        if frames and not self.transport.is_closing():
            self.transport.write(b"".join(frames))

    async def send(self, message: Any) -> None:
        # What was offered before goes out before.
        self.write_bundle()
        await super().send(message)


def _choose() -> type[asyncio.Protocol]:
    if uvicorn.__version__.startswith(KNOWN_VERSIONS):
        return QuickProtocol
    log.warning("uvicorn %s is not known here: serving with its own class", uvicorn.__version__)
    return WebSocketsSansIOProtocol


Protocol = _choose()
