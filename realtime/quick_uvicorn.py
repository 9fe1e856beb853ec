"""uvicorn's `websockets-sansio` class, fanning out faster: `--ws realtime.quick_uvicorn:Protocol`.

Its own `send` builds the WebSocket frame of a text anew for each recipient, the dearest part of a
delivery. Here the bytes of a frame that was built once can be written to the transport itself, as
long as `send` would do no more: not for a compressed socket, nor for a peer that does not read.

Sockets of the stock class become of this one as they come to us (`sansio`). On a uvicorn whose
inside we do not know `Protocol` is the stock class itself.
"""

import asyncio
import logging
from collections.abc import Callable

import uvicorn
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from .bounded_uvicorn import BoundedProtocol
from .sansio import KNOWN_VERSIONS
from .wire import Write, nobody_writes

log = logging.getLogger(__name__)


class QuickProtocol(BoundedProtocol):
    # Here and not in `__init__`: a socket may become one of this class in mid-life.
    on_way_change: Callable[[], None] = staticmethod(nobody_writes)
    """See `transport.Connection.watch`."""

    def way(self) -> Write | None:
        """Takes the bytes of whole frames; None while they have to go by `send`."""
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

    def pause_writing(self) -> None:
        super().pause_writing()
        self.on_way_change()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.on_way_change()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        # The peer has closed, or broken the protocol, and that was answered.
        if self.transport.is_closing():
            self.on_way_change()

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        self.on_way_change()

    def shutdown(self) -> None:
        super().shutdown()
        self.on_way_change()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        # The way would raise from here on. Whom it led to is let go of.
        self.on_way_change()
        self.on_way_change = nobody_writes


def _choose() -> type[asyncio.Protocol]:
    if uvicorn.__version__.startswith(KNOWN_VERSIONS):
        return QuickProtocol
    log.warning("uvicorn %s is not known here: serving with its own class", uvicorn.__version__)
    return WebSocketsSansIOProtocol


Protocol = _choose()
