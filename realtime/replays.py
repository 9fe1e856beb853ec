"""What a room went through after some version: read once for all who come back at the same moment.

When a server or a network goes down, everybody in a room comes back with the same `since`. Each
would read the same rows and encode the same texts; a thousand clients cost ten seconds of CPU. A
replay that was read stays good for as long as the room has no newer version than it reaches, so it
is also kept for some seconds. Who may have it is judged for each client (`resume`).
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field

from messaging.selectors import StoredChange, changes_since
from rooms.models import Room

from .database import on_database
from .listener import text_event
from .protocol import message_text
from .servers.interface import Event

MOST_CHANGES = 1000
LARGEST_KEPT = 4 * 1024 * 1024
"""Characters of texts, about; the replays that were asked for last are kept."""
KEPT_FOR = 10.0
"""Seconds, as long as a crowd takes to come back."""
ENVELOPE = 300


@dataclass(slots=True)
class Replay:
    """The changes after a version, complete up to `version`; None when they are too many, or the
    client claims a version that the room does not have. The texts are made when first asked for.
    """

    version: int
    changes: list[StoredChange] | None
    read_at: float = field(default_factory=time.monotonic)
    _events: list[Event] = field(default_factory=list)

    def events(self) -> Iterator[tuple[int, Event]]:
        """Version and event of each frame, rising."""
        for number, change in enumerate(self.changes or ()):
            if number == len(self._events):
                self._events.append(text_event(message_text(change.kind, change.message)))
            yield change.message.version, self._events[number]

    @property
    def size(self) -> int:
        """About as many characters as its texts have, and something for itself."""
        texts = [len(change.message.content) for change in self.changes or ()]
        return sum(texts) + ENVELOPE * (1 + len(texts))


def read_replay(room_id: int, since: int) -> Replay:
    """On a database thread. The room's row first: what is read after it reaches at least as far."""
    room = Room.objects.get(pk=room_id)
    if since > room.version:
        return Replay(room.version, None)
    changes = changes_since(room, since, limit=MOST_CHANGES + 1)
    reached = max([room.version, *(change.message.version for change in changes[-1:])])
    return Replay(reached, changes if len(changes) <= MOST_CHANGES else None)


class Replays:
    """Those of this process. On the loop."""

    def __init__(self, largest: int = LARGEST_KEPT) -> None:
        self._largest = largest
        self._size = 0
        self._kept: OrderedDict[tuple[int, int], Replay] = OrderedDict()
        self._reading: dict[tuple[int, int], asyncio.Task[Replay]] = {}

    async def get(self, room_id: int, since: int, needed: int) -> Replay:
        """What changed after `since`, at least up to version `needed`. Raises Busy.

        The caller hears everything above `needed` by itself, from before this call on.
        """
        if since == needed:
            return Replay(needed, [])
        key = (room_id, since)
        kept = self._kept.get(key)
        if kept is not None and kept.version >= needed and _is_fresh(kept):
            self._kept.move_to_end(key)
            return kept
        reading = self._reading.get(key)
        if reading is not None:
            # It may have begun too early for us; one who gives up must not take it from the others.
            replay = await asyncio.shield(reading)
            if replay.version >= needed:
                return replay
        return await asyncio.shield(self._read(key))

    def _read(self, key: tuple[int, int]) -> asyncio.Task[Replay]:
        reading = self._reading[key] = asyncio.ensure_future(on_database(read_replay, *key))
        reading.add_done_callback(lambda done: self._keep(key, done))
        return reading

    def _keep(self, key: tuple[int, int], done: asyncio.Task[Replay]) -> None:
        if self._reading.get(key) is done:
            del self._reading[key]
        if done.cancelled() or done.exception() is not None:
            return
        self._forget(key)
        self._kept[key] = done.result()
        self._size += done.result().size
        while self._size > self._largest:
            self._forget(next(iter(self._kept)))

    def _forget(self, key: tuple[int, int]) -> None:
        old = self._kept.pop(key, None)
        if old is not None:
            self._size -= old.size


def _is_fresh(replay: Replay) -> bool:
    return time.monotonic() - replay.read_at < KEPT_FOR


replays = Replays()
