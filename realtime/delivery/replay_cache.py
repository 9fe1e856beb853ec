"""Caches pages of a room's changes, for clients that reconnect together.

After a failure of server or network, all clients of a room reconnect with the same `since`. Each
would read the same rows and encode the same texts; a thousand clients cost ten seconds of CPU. A
page is kept for some seconds; the last one is read again for a client that needs a newer version.
`recovery.py` checks for each client whether it may receive the page.

A page has up to about 1 MB. One limit covers all pages of the process (decision 32).
"""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from django.conf import settings

from accounts.kernel.errors import Busy
from accounts.kernel.metrics import count_refusal
from realtime.db_threads import DatabaseThreads

from .replay_pages import MAX_PAGE_BYTES, Page, Place, read_page

MAX_IDLE_BYTES = 4 * 1024 * 1024
"""Bytes of pages without readers; the most recently used pages are kept."""
CACHE_TTL = 10.0
"""Seconds in which the clients of a room reconnect."""
PAGE_TIMEOUT = 30.0
"""Seconds that a replay waits for other pages to be released."""


class ReplayCache:
    """Holds the replay pages of this process. Runs on the loop."""

    def __init__(self, database: DatabaseThreads) -> None:
        self._database = database
        self.held_bytes = 0
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
        self.held_bytes += page.size
        self._idle += page.size
        self._trim()

    # Use of a page

    def _use(self, page: Page) -> Page:
        if not page.readers:
            if page.is_kept:
                self._idle -= page.size
            else:
                self.held_bytes += page.size
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
            self.held_bytes -= page.size

    # The limit

    async def _reserve(self) -> None:
        """Waits until one more page may be held. Raises Busy."""
        if not self._waiting and self._has_room():
            self.held_bytes += MAX_PAGE_BYTES
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
        while self._idle and self.held_bytes + MAX_PAGE_BYTES > limit:
            self._forget_oldest_idle()
        return not self.held_bytes or self.held_bytes + MAX_PAGE_BYTES <= limit

    def _free(self, size: int) -> None:
        self.held_bytes -= size
        while self._waiting and (self._waiting[0].done() or self._has_room()):
            turn = self._waiting.popleft()
            if not turn.done():
                self.held_bytes += MAX_PAGE_BYTES
                turn.set_result(None)

    def _trim(self) -> None:
        while self._idle > MAX_IDLE_BYTES:
            self._forget_oldest_idle()
        self._free(0)

    def _forget_oldest_idle(self) -> None:
        self._forget(next(place for place, page in self._kept.items() if not page.readers))


def _is_fresh(page: Page) -> bool:
    return time.monotonic() - page.read_at < CACHE_TTL
