"""Caches pages of a room's changes, for clients that reconnect together.

After a failure of server or network, all clients of a room reconnect with the same `since`. Each
would read the same rows and encode the same texts; a thousand clients cost ten seconds of CPU. A
page is valid while the room has no newer version, so it is kept for some seconds. `recovery.py`
checks for each client whether it may receive the page.

A page has up to about 1 MB. One limit covers all pages of the process (decision 32).
"""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import NamedTuple

from django.conf import settings

from accounts.kernel.errors import Busy
from accounts.kernel.metrics import count_refusal
from messaging.selectors import StoredChange, changes_since, has_more_changes
from realtime.db_threads import DatabaseThreads
from realtime.protocol import message_text
from realtime.servers.interface import Event
from rooms.models import Room
from rooms.selectors import room_row

from .send_buffers import size_of
from .subscriber import text_event

MAX_CHANGES = 1000
MAX_PAGE_BYTES = 1024 * 1024
ROWS_PER_QUERY = 64
"""One query suffices for most clients; with the longest messages it reads 1 MB."""
MAX_IDLE_BYTES = 4 * 1024 * 1024
"""Bytes of pages without readers; the most recently used pages are kept."""
CACHE_TTL = 10.0
"""Seconds in which the clients of a room reconnect."""
PAGE_TIMEOUT = 30.0
"""Seconds that a replay waits for other pages to be released."""
ENVELOPE = 500
"""Bytes that a frame takes in a page in addition to its text."""


class Entry(NamedTuple):
    """A frame of a page. `event` is a `message` frame when that is newer than `since`.

    `change` is set when that message changed since: a client that received it on an earlier page
    receives the change.
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
    """The changes after a version, complete up to `version`; the last one when `is_last`.

    `entries` is None when there are too many, or the client claims a version that the room does not
    have.
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
    if place.after == place.since and _is_too_far(room, place.since):
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


def _is_too_far(room: Room, since: int) -> bool:
    if since > room.version:
        return True
    return room.version - since > MAX_CHANGES and has_more_changes(room, since, MAX_CHANGES)


def _changes(room: Room, after: int) -> Iterator[StoredChange]:
    """Yields the changes after a version, holding the rows of one query at a time."""
    while True:
        changes = changes_since(room, after, limit=ROWS_PER_QUERY)
        yield from changes
        if len(changes) < ROWS_PER_QUERY:
            return
        after = changes[-1].message.version


def _entry(change: StoredChange, since: int) -> Entry:
    is_new = change.created > since
    event = text_event(message_text("message" if is_new else change.change, change.message))
    changed = change if is_new and change.change != "message" else None
    return Entry(change.message.version, change.message.id, event, changed)


class ReplayCache:
    """Holds the replay pages of this process. Runs on the loop."""

    def __init__(self, database: DatabaseThreads) -> None:
        self._database = database
        self.held = 0
        """Bytes of all pages: being read, in use, or kept."""
        self._idle = 0
        self._kept: OrderedDict[Place, Page] = OrderedDict()
        self._reading: dict[Place, asyncio.Task[Page]] = {}
        self._waiting: deque[asyncio.Future[None]] = deque()

    @asynccontextmanager
    async def page(self, place: Place, needed: int, not_before: float = 0) -> AsyncIterator[Page]:
        """Holds the page after a place for one reader. Raises Busy.

        The last page reaches at least version `needed`: the caller receives later versions live.
        No page's read began before `not_before`, the end of the read of the previous page: a
        message that changed in between would be on neither page.
        """
        page = self._use(await self._get(place, needed, not_before))
        try:
            yield page
        finally:
            self._release(page)

    def keeps(self, place: Place, page: Page) -> bool:
        return self._kept.get(place) is page

    async def _get(self, place: Place, needed: int, not_before: float) -> Page:
        if place.since == place.after == needed:
            return Page(needed, [], is_last=True, begun_at=0, read_at=0)

        def is_good(page: Page) -> bool:
            reaches = not page.is_last or page.version >= needed
            return reaches and page.begun_at >= not_before

        kept = self._kept.get(place)
        if kept is not None and is_good(kept) and _is_fresh(kept):
            self._kept.move_to_end(place)
            return kept
        reading = self._reading.get(place)
        if reading is not None:
            # It may have begun too early. The shield keeps it running for other readers when this
            # one is cancelled.
            page = await asyncio.shield(reading)
            if is_good(page):
                return page
        return await asyncio.shield(self._read(place))

    def _read(self, place: Place) -> asyncio.Task[Page]:
        reading = self._reading[place] = asyncio.ensure_future(self._read_within_bounds(place))
        reading.add_done_callback(lambda done: self._keep(place, done))
        return reading

    async def _read_within_bounds(self, place: Place) -> Page:
        await self._reserve()
        try:
            return await self._database.run(read_page, place)
        finally:
            self._free(MAX_PAGE_BYTES)

    def _keep(self, place: Place, done: asyncio.Task[Page]) -> None:
        if self._reading.get(place) is done:
            del self._reading[place]
        if done.cancelled() or done.exception() is not None:
            return
        page, kept = done.result(), self._kept.get(place)
        if kept is not None and kept.begun_at > page.begun_at:
            return
        self._forget(place)
        self._kept[place] = page
        page.is_kept = True
        self.held += page.size
        self._idle += page.size
        self._trim()

    # Use of a page

    def _use(self, page: Page) -> Page:
        if not page.readers:
            if page.is_kept:
                self._idle -= page.size
            else:
                self.held += page.size
        page.readers += 1
        return page

    def _release(self, page: Page) -> None:
        page.readers -= 1
        if page.readers:
            return
        if page.is_kept:
            self._idle += page.size
            self._trim()
        else:
            self._free(page.size)

    def _forget(self, place: Place) -> None:
        page = self._kept.pop(place, None)
        if page is None:
            return
        page.is_kept = False
        if not page.readers:
            self._idle -= page.size
            self.held -= page.size

    # The limit

    async def _reserve(self) -> None:
        """Waits until one more page may be held. Raises Busy."""
        if not self._waiting and self._has_room():
            self.held += MAX_PAGE_BYTES
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout(PAGE_TIMEOUT):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self._free(MAX_PAGE_BYTES)  # granted at the moment of the timeout
            if not isinstance(error, TimeoutError):
                raise
            count_refusal("CHAT_REPLAY_BYTES")
            raise Busy from None

    def _has_room(self) -> bool:
        """Whether one more page fits after idle pages are dropped. One page always fits."""
        limit: int | None = settings.CHAT_REPLAY_BYTES
        if limit is None:
            return True
        while self._idle and self.held + MAX_PAGE_BYTES > limit:
            self._forget_oldest_idle()
        return not self.held or self.held + MAX_PAGE_BYTES <= limit

    def _free(self, size: int) -> None:
        self.held -= size
        while self._waiting and (self._waiting[0].done() or self._has_room()):
            turn = self._waiting.popleft()
            if not turn.done():
                self.held += MAX_PAGE_BYTES
                turn.set_result(None)

    def _trim(self) -> None:
        while self._idle > MAX_IDLE_BYTES:
            self._forget_oldest_idle()
        self._free(0)

    def _forget_oldest_idle(self) -> None:
        self._forget(next(place for place, page in self._kept.items() if not page.readers))


def _is_fresh(page: Page) -> bool:
    return time.monotonic() - page.read_at < CACHE_TTL
