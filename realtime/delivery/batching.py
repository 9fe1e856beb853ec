"""Several frames of a room, written to each of its sockets at once."""

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol


class Batched(Protocol):
    def write_out(self) -> None: ...


class WriteBatch:
    """While it is open, rooms keep the frames that they are given and write them when it closes.

    Nothing is awaited meanwhile.
    """

    def __init__(self) -> None:
        self.is_open = False
        self._rooms: list[Batched] = []

    def add(self, room: Batched) -> None:
        self._rooms.append(room)

    def __enter__(self) -> None:
        self.is_open = True

    def __exit__(self, *error: object) -> None:
        self.is_open = False
        rooms, self._rooms = self._rooms, []
        for room in rooms:
            room.write_out()


write_batch = WriteBatch()


def batching(count: int) -> AbstractContextManager[None]:
    """Opens the batch around the delivery of `count` frames: a single one has none to wait for."""
    return write_batch if count > 1 else nullcontext()
