"""Replays what a client missed before it receives live frames (promise 3)."""

import asyncio
import time

from accounts.auth import Caller
from accounts.kernel.errors import DomainError, Forbidden
from realtime.db_threads import DatabaseThreads
from realtime.errors import Removed
from realtime.protocol.encoding import encode
from realtime.protocol.server_frames import Resumed
from realtime.servers.interface import Event
from rooms.errors import NoSuchRoom, NotAMember
from rooms.selectors import room_access, room_exists

from .local_room import LocalRoom
from .replay_cache import ReplayCache
from .replay_pages import Entry, Page, Place
from .replay_turns import STALL_TIMEOUT, TURN_TIMEOUT, ReplayTurns
from .subscriber import Subscriber

FRAMES_PER_STEP = 100
"""Frames after which other tasks of the loop run."""


class Progress:
    """Tracks the replay of one socket."""

    __slots__ = ("message_ids", "since", "written")

    def __init__(self, since: int) -> None:
        self.since = since
        self.written = since
        """The version up to which everything was written."""
        self.message_ids: set[int] = set()
        """Messages that were written: one that changes during the replay is written again."""

    def next_event(self, entry: Entry) -> Event:
        event = entry.changed_event() if entry.message_id in self.message_ids else entry.event
        self.message_ids.add(entry.message_id)
        self.written = entry.version
        return event

    def reached(self, before: int) -> int:
        """Returns the version of a socket that had `before` after a part of a replay."""
        return max(before, self.written) if self.written > self.since else before


class Recovery:
    """Replays for the sockets of this process, within the bounds of decision 32."""

    def __init__(self, cache: ReplayCache, turns: ReplayTurns, database: DatabaseThreads) -> None:
        self.cache = cache
        self.turns = turns
        self._database = database

    async def replay(
        self, room: LocalRoom, subscriber: Subscriber, since: int, ref: str | None = None
    ) -> None:
        """Sends what changed after `since`, then `resumed`.

        Live frames are buffered meanwhile. Each page waits until the client has read the one
        before. Raises Busy when the database is away or too many replays wait, and Removed,
        NoSuchRoom or NotAMember. On failure an open socket continues as before. A new one must be
        closed: its buffered frames follow changes it never received.
        """
        is_new = subscriber.buffer is not None
        room.begin_catch_up(subscriber)
        before = max(subscriber.version, room.version)
        progress = Progress(since)
        try:
            is_complete = await self._write_all(subscriber, progress, before)
        except BaseException:
            if not is_new:
                room.finish_catch_up(subscriber, progress.reached(before))
            raise
        reached = progress.written if is_complete else before
        resumed = Resumed(first=since + 1, to=reached, complete=is_complete, ref=ref)
        subscriber.send(encode(resumed))
        room.finish_catch_up(subscriber, reached)

    async def catch_up(self, room: LocalRoom, subscriber: Subscriber) -> None:
        """Sends changes from between a new socket's check and its subscription.

        No live frame contains them. Raises as `replay` does: the socket must then be closed.
        """
        progress = Progress(subscriber.version)
        needed = max(subscriber.version, room.version)
        if not await self._write_all(subscriber, progress, needed):
            subscriber.disconnect_slow_consumer()
        room.finish_catch_up(subscriber, progress.written)

    async def _write_all(self, subscriber: Subscriber, progress: Progress, needed: int) -> bool:
        """Writes page after page, up to version `needed` at least.

        False when there are too many. Membership is checked after a page was read: a user removed
        in between gets nothing of it. No check is needed for a page that reaches no further than
        the subscriber's own version: it received that version as a member, and a removal takes away
        newer ones only.
        """
        user_id, queue = subscriber.caller.user_id, subscriber.queue
        place, not_before = Place(subscriber.room_id, progress.since, progress.since), 0.0
        while True:
            # Before the page is held: a client that does not read would hold it for good.
            await queue.drained()
            if queue.closing or queue.disconnected:
                return True
            async with (
                self.turns.turn(user_id),
                self.cache.page(place, needed, not_before) as page,
            ):
                if page.version > subscriber.version:
                    await self._database.run(check_member, subscriber.caller, subscriber.room_id)
                if page.entries is None:
                    return False
                is_written = await _write_page(subscriber, page, progress)
            subscriber.forget_buffered(progress.reached(0))
            if is_written and page.is_last:
                return True
            if is_written:
                place, not_before = place._replace(after=page.version), page.read_at
            elif not self.cache.keeps(place, page):
                place, not_before = place._replace(after=progress.written), page.read_at


async def _write_page(subscriber: Subscriber, page: Page, progress: Progress) -> bool:
    """Writes what the client reads within a turn. True when the page is complete."""
    entries = page.entries or []
    deadline = time.monotonic() + TURN_TIMEOUT
    buffers = subscriber.queue.buffers
    buffers.add(subscriber.caller.user_id, page.size)
    try:
        for number, entry in enumerate(entries, 1):
            if entry.version <= progress.written:
                continue  # written in an earlier turn
            subscriber.write(progress.next_event(entry))
            is_taken = await subscriber.queue.drained_within(STALL_TIMEOUT)
            if not is_taken or time.monotonic() > deadline:
                return entry is entries[-1]
            if number % FRAMES_PER_STEP == 0:
                await asyncio.sleep(0)
    finally:
        buffers.add(subscriber.caller.user_id, -page.size)
    return True


def loss_of_access(room_id: int) -> DomainError:
    """Returns why an open socket may no longer read its room."""
    return Removed() if room_exists(room_id) else NoSuchRoom()


def check_member(caller: Caller, room_id: int) -> None:
    """Checks the membership. Raises Removed, NoSuchRoom, NotAMember."""
    try:
        access = room_access(caller.user_id, room_id)
        access.check_may_read()
    except Forbidden:
        raise Removed from None
    except NoSuchRoom:
        raise loss_of_access(room_id) from None
    if access.member is None:
        raise NotAMember
