"""What uvicorn's `websockets-sansio` class lets us do beyond ASGI, where we know its inside.

Its `send` builds the WebSocket frame of a text anew for each recipient, the dearest part of a
delivery. A text that many hear is written past it, as one frame built once, while `send` itself
would have nothing to add. On a uvicorn that is not known here everything goes by `send`.
"""

import sys
from typing import Any

from .wire import last_frame

KNOWN_VERSIONS = ("0.54.",)
STOCK = "uvicorn.protocols.websockets.websockets_sansio_impl"


def is_known(protocol: object) -> bool:
    """Whether this is the stock class of a version that was read. Daphne need not import it."""
    if type(protocol).__module__ != STOCK:
        return False
    version: str = getattr(sys.modules.get("uvicorn"), "__version__", "")
    return version.startswith(KNOWN_VERSIONS)


def is_plain(protocol: Any) -> bool:
    """Whether a text would go out now just as it is: open, uncompressed, and the peer reads."""
    return (
        protocol.handshake_complete
        and not protocol.close_sent
        and not protocol.disconnected
        and not protocol.transport.is_closing()
        and protocol.writable.is_set()
        and not protocol.conn.extensions
    )


class Direct:
    """Writes texts past `send`. `offer` is called for each recipient of each frame."""

    __slots__ = ("_protocol",)

    def __init__(self, protocol: Any) -> None:
        self._protocol = protocol

    def offer(self, event: dict[str, Any]) -> bool:
        """False when the event has to go by `send`."""
        protocol = self._protocol
        text = event.get("text")
        if text is None or not is_plain(protocol):
            return False
        protocol.transport.write(last_frame.of(text))
        return True
