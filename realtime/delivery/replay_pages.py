"""Reads the changes of a room for a replay, page by page.

A page ends at about 1 MB. Runs on a database thread.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from messaging.changes_since import StoredChange, changes_since
from realtime.protocol.encoding import message_text
from realtime.servers.interface import Event
from rooms.models import Room
from rooms.selectors import room_row

from .replay_limits import is_too_far
from .send_buffers import size_of
from .subscriber import text_event

MAX_PAGE_BYTES = 1024 * 1024
ROWS_PER_QUERY = 64
"""One query suffices for most clients; with the longest messages it reads 1 MB."""
ENVELOPE = 500
"""Bytes that a frame takes in a page in addition to its text."""


class Entry(NamedTuple):
    """A frame of a page.

    `event` is a `message` frame for a message created after `since`. `change` is set when the
    message changed later: a client that received it on an earlier page receives the change.
    """

    version: int
    message_id: int
    event: Event
    change: StoredChange | None

    @property
    def size(self) -> int:
        return size_of(self.event) * (1 if self.change is None else 2) + ENVELOPE

    def changed_event(self) -> Event:
        if self.change is None:
            return self.event
        return text_event(message_text(self.change.change, self.change.message))


@dataclass(slots=True, eq=False)
class Page:
    """Holds the changes after a version, complete up to `version`.

    `is_last` marks the last page. `entries` is None when there are too many, or the client claims a
    version that the room does not have.
    """

    version: int
    entries: list[Entry] | None
    is_last: bool
    begun_at: float
    read_at: float
    size: int = 0
    readers: int = 0
    is_kept: bool = False


class Place(NamedTuple):
    """The position of a replay: it began after `since` and has reached `after`."""

    room_id: int
    since: int
    after: int


def read_page(place: Place) -> Page:
    """Reads a page on a database thread.

    The room's row is read first, so the changes reach at least its version.
    """
    begun_at = time.monotonic()
    room = room_row(place.room_id)
    if place.after == place.since and is_too_far(room, place.since):
        return Page(
            room.version,
            None,
            is_last=True,
            begun_at=begun_at,
            read_at=time.monotonic(),
            size=ENVELOPE,
        )
    entries: list[Entry] = []
    size, is_last = ENVELOPE, True
    for change in _changes(room, place.after):
        entry = _entry(change, place.since)
        if entries and size + entry.size > MAX_PAGE_BYTES:
            is_last = False
            break
        entries.append(entry)
        size += entry.size
    version = max([entry.version for entry in entries[-1:]] + ([room.version] if is_last else []))
    return Page(version, entries, is_last, begun_at, time.monotonic(), size)


def _changes(room: Room, after: int) -> Iterator[StoredChange]:
    """Yields the changes after a version, holding the rows of one query at a time."""
    while True:
        changes = changes_since(room, after, limit=ROWS_PER_QUERY)
        yield from changes
        if len(changes) < ROWS_PER_QUERY:
            return
        after = changes[-1].message.version


def _entry(change: StoredChange, since: int) -> Entry:
    kind = change.kind_since(since)
    event = text_event(message_text(kind, change.message))
    changed = change if kind != change.change else None
    return Entry(change.message.version, change.message.id, event, changed)
