"""Frames on their way to many sockets: each built once, and several at a time written at once."""

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from websockets.frames import Frame, Opcode


class LastFrame:
    """Remembers one frame: a fan-out asks for the same text object again and again."""

    def __init__(self) -> None:
        self._text = ""
        self._frame = b""

    def of(self, text: str) -> bytes:
        """The unmasked, uncompressed text frame (RFC 6455 §5.2)."""
        if text is not self._text:
            self._text = text
            self._frame = Frame(Opcode.TEXT, text.encode()).serialize(mask=False)
        return self._frame


last_frame = LastFrame()


class Bundled(Protocol):
    def write_bundle(self) -> None: ...


class Bundle:
    """While it is open sockets keep the frames that they are offered, and write them together when
    it closes. Nothing is waited for meanwhile.
    """

    def __init__(self) -> None:
        self.is_open = False
        self._sockets: list[Bundled] = []

    def add(self, socket: Bundled) -> None:
        self._sockets.append(socket)

    def __enter__(self) -> None:
        self.is_open = True

    def __exit__(self, *error: object) -> None:
        self.is_open = False
        sockets, self._sockets = self._sockets, []
        for socket in sockets:
            socket.write_bundle()


bundle = Bundle()


def telling(count: int) -> AbstractContextManager[None]:
    """Around the telling of so many frames. To keep a single one would cost more than it saves."""
    return bundle if count > 1 else nullcontext()
