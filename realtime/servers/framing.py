"""Builds WebSocket frames past a server's own code."""

from websockets.frames import Frame, Opcode


class FrameCache:
    """Remembers one frame: a fan-out asks for the same text object again and again."""

    def __init__(self) -> None:
        self._text = ""
        self._frame = b""

    def of(self, text: str) -> bytes:
        """The unmasked, uncompressed text frame (RFC 6455 §5.2)."""
        if text is not self._text:
            self._frame = Frame(Opcode.TEXT, text.encode()).serialize(mask=False)
            self._text = text
        return self._frame
