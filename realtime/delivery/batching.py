"""Writes several frames of a room to each of its sockets at once."""

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol


class Batched(Protocol):
    def write_out(self) -> None: ...


class WriteBatch:
    """Holds the frames of rooms while it is open; they are written when it closes.

    No code awaits meanwhile.
    """

    def __init__(self) -> None:
        self.is_open = False
        self._rooms: list[Batched] = []

    def add(self, room: Batched) -> None:
        self._rooms.append(room)

    def for_frames(self, count: int) -> AbstractContextManager[None]:
        """Opens the batch for the delivery of `count` frames. A single frame needs none."""
        return self if count > 1 else nullcontext()

    def __enter__(self) -> None:
        self.is_open = True

    def __exit__(self, *error: object) -> None:
        self.is_open = False
        rooms, self._rooms = self._rooms, []
        for room in rooms:
            room.write_out()
