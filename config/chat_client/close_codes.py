"""Decides what to do after the server closes the socket (docs/websocket.md)."""

from enum import Enum


class After(Enum):
    STOP = "stop"
    RECONNECT = "reconnect"
    RENEW = "get new tokens, then reconnect"


def after_close(code: int, error: str) -> After:
    """Decides by the close code and the `code` of the error frame before it, if any."""
    if error == "session_ended":
        # Ended on purpose on another device: an automatic login would undo that.
        return After.STOP
    if code == 4401:  # noqa: PLR2004
        return After.RENEW
    return After.STOP if code in (1000, 4400, 4403, 4404) else After.RECONNECT
