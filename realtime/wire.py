"""Frames on their way to many sockets: each built once, and several of a room written at once."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from websockets.frames import Frame, Opcode

Write = Callable[[bytes], object]


def nobody_writes() -> None:
    """Where nobody is to be told that a way past `send` has come or gone."""


class LastFrame:
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


last_frame = LastFrame()


class Bundled(Protocol):
    def write_out(self) -> None: ...


class Bundle:
    """While it is open rooms keep the frames that they are told, and write them together when it
    closes. Nothing is waited for meanwhile.
    """

    def __init__(self) -> None:
        self.is_open = False
        self._rooms: list[Bundled] = []

    def add(self, room: Bundled) -> None:
        self._rooms.append(room)

    def __enter__(self) -> None:
        self.is_open = True

    def __exit__(self, *error: object) -> None:
        self.is_open = False
        rooms, self._rooms = self._rooms, []
        for room in rooms:
            room.write_out()


bundle = Bundle()


def telling(count: int) -> AbstractContextManager[None]:
    """Around the telling of so many frames: a single one has none to wait for."""
    return bundle if count > 1 else nullcontext()
