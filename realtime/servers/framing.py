"""Builds WebSocket frames without the server's own code."""

from websockets.frames import Frame, Opcode


class FrameCache:
    """Keeps the last frame: a fan-out sends the same text object to many sockets."""

    def __init__(self) -> None:
        self._text = ""
        self._frame = b""

    def of(self, text: str) -> bytes:
        """Returns the unmasked, uncompressed text frame (RFC 6455 §5.2)."""
        if text is not self._text:
            self._frame = Frame(Opcode.TEXT, text.encode()).serialize(mask=False)
            self._text = text
        return self._frame
