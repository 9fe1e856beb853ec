"""What uvicorn's `websockets-sansio` class lets us do beyond ASGI, where we know its inside.

Its `send` builds the WebSocket frame of a text anew for each recipient, the dearest part of a
delivery. A text that many hear is written past it, as one frame built once, while `send` itself
would have nothing to add. What a peer can make it hold gets an end (`bounded_uvicorn`). A uvicorn
that is not known here is left as it is, and everything goes by `send`.
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


def bound(protocol: object) -> None:
    """Gives an end to what the peer of this known socket can make it hold."""
    from .bounded_uvicorn import BoundedProtocol  # noqa: PLC0415 - needs uvicorn

    BoundedProtocol.take_over(protocol)


def agreed_on_plain_text(protocol: Any) -> bool:
    """Whether the handshake is over and agreed on no compression: once so, it stays so."""
    return protocol.handshake_complete and not protocol.conn.extensions


def is_writable(protocol: Any) -> bool:
    """Whether a frame would go out now just as it is: the socket is open and the peer reads."""
    return (
        protocol.writable.is_set()
        and not protocol.close_sent
        and not protocol.disconnected
        and not protocol.transport.is_closing()
    )


class Direct:
    """Writes texts past `send`. `offer` is called for each recipient of each frame.

    In a large room each recipient's memory is in no cache, so what cannot change is asked once.
    """

    __slots__ = ("_is_plain", "_protocol")

    def __init__(self, protocol: Any) -> None:
        self._protocol = protocol
        self._is_plain = False

    def offer(self, event: dict[str, Any]) -> bool:
        """False when the event has to go by `send`."""
        protocol = self._protocol
        text = event.get("text")
        if text is None or not is_writable(protocol):
            return False
        if not self._is_plain:
            self._is_plain = agreed_on_plain_text(protocol)
            if not self._is_plain:
                return False
        protocol.transport.write(last_frame.of(text))
        return True
