"""A `--ws` class for uvicorn that fans out faster: `uvicorn --ws realtime.quick_uvicorn:Protocol`.

What one socket gets within one turn of the event loop leaves in one write. Everything else is the
stock class (bounded as `bounded_uvicorn` says), and on a uvicorn whose inside we do not know
`Protocol` is the stock class itself.
"""

import asyncio
import logging
from typing import Any

import uvicorn
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from .bounded_uvicorn import BoundedProtocol
from .sansio import KNOWN_VERSIONS, agreed_on_plain_text, is_writable
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
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._is_plain = False
        self._turn: list[bytes] = []
        self._turn_size = 0

    def offer(self, event: dict[str, Any]) -> bool:
        """Takes a text frame without a coroutine. False when it has to go by `send`."""
        text = event.get("text")
        if text is None or not is_writable(self):
            return False
        if not self._is_plain:
            self._is_plain = agreed_on_plain_text(self)
            if not self._is_plain:
                return False
        frame = last_frame.of(text)
        if not self._turn:
            turn.add(self)
        self._turn.append(frame)
        self._turn_size += len(frame)
        if self._turn_size > LARGEST_TURN:
            self.write_turn()
        return True

    def write_turn(self) -> None:
        if self._turn:
            frames, self._turn, self._turn_size = self._turn, [], 0
            if not self.transport.is_closing():
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
