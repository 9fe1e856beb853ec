"""Replay: what a client missed, in order, before it hears what comes now (promise 3)."""

import asyncio
import time

from accounts.auth import Caller
from accounts.kernel.errors import DomainError, Forbidden, RateLimited
from accounts.kernel.rate_limits import Rate, buckets
from realtime.close_codes import Removed
from realtime.db_threads import on_database
from realtime.protocol import Resumed, encode
from realtime.servers.interface import Event
from rooms.errors import NoSuchRoom, NotAMember
from rooms.models import Room
from rooms.selectors import room_access

from .local_room import LocalRoom
from .replay_cache import Entry, Page, Place, replays
from .replay_turns import STALL_TIMEOUT, TURN_TIMEOUT, replay_turns
from .send_buffers import send_buffers
from .subscriber import Subscriber

REPLAYS = Rate(times=5, seconds=1, burst=100)
"""Per user and process, `?since=` and `resume` alike: a thousand frames cost more than a frame. The
burst is for all sockets of one who comes back after a restart."""
TURN = 100
"""Frames after which others have their turn."""


def consume_replay(user_id: int) -> None:
    """Raises RateLimited."""
    wait = buckets.consume("replay", user_id, REPLAYS)
    if wait > 0:
        raise RateLimited("Too many replays: wait a moment", retry_after=wait)


class Progress:
    """How far the replay of one socket has come."""

    __slots__ = ("ids", "since", "told")

    def __init__(self, since: int) -> None:
        self.since = since
        self.told = since
        """The version up to which everything was written."""
        self.ids: set[int] = set()
        """Messages that were written: one that changes during the replay comes once more."""

    def next_event(self, entry: Entry) -> Event:
        event = entry.changed_event() if entry.message_id in self.ids else entry.event
        self.ids.add(entry.message_id)
        self.told = entry.version
        return event

    def reached(self, heard: int) -> int:
        """What a socket has that had `heard` before and goes on after this much of a replay."""
        return max(heard, self.told) if self.told > self.since else heard


async def replay(
    here: LocalRoom, subscriber: Subscriber, since: int, ref: str | None = None
) -> None:
    """Sends what changed after `since`, then `resumed`; what comes meanwhile is held back.

    At the reader's pace. Raises Busy when the database is away or too many replay, and Removed.
    Then an open socket continues as before. One that just comes in must be closed: its held back
    frames follow changes that it never received.
    """
    comes_in = subscriber.buffer is not None
    here.begin_catch_up(subscriber)
    heard = max(subscriber.version, here.version)
    progress = Progress(since)
    try:
        is_complete = await _write_all(subscriber, progress, heard)
    except BaseException:
        if not comes_in:
            here.finish_catch_up(subscriber, progress.reached(heard))
        raise
    reached = progress.told if is_complete else heard
    subscriber.say(encode(Resumed(first=since + 1, to=reached, complete=is_complete, ref=ref)))
    here.finish_catch_up(subscriber, reached)


async def catch_up(here: LocalRoom, subscriber: Subscriber) -> None:
    """What was said between the check of a newcomer and its subscription: no frame tells of it.

    Raises Busy, Removed: then the socket must be closed, as after a failed `replay`.
    """
    progress = Progress(subscriber.version)
    if not await _write_all(subscriber, progress, max(subscriber.version, here.version)):
        subscriber.drop_as_too_slow()
    here.finish_catch_up(subscriber, progress.told)


async def _write_all(subscriber: Subscriber, progress: Progress, needed: int) -> bool:
    """Writes page after page, up to version `needed` at least. False when there are too many.

    Whether the client may have a page is asked after it was read: one removed in between gets
    nothing of it. Nothing is asked when it reaches no further than the listener itself: it was let
    in with the room at that version, or heard it as a member, and a removal takes away what is
    newer.
    """
    user_id, outbox = subscriber.caller.user_id, subscriber.outbox
    place, not_before = Place(subscriber.room_id, progress.since, progress.since), 0.0
    while True:
        # Before the page is held, which a client that does not read would hold for ever.
        await outbox.drained()
        if outbox.closing or outbox.gone:
            return True
        async with (
            replay_turns.turn(user_id),
            replays.page(place, needed, not_before) as page,
        ):
            if page.version > subscriber.version:
                await on_database(check_member, subscriber.caller, subscriber.room_id)
            if page.entries is None:
                return False
            is_written = await _write_page(subscriber, page, progress)
        subscriber.forget_held(progress.reached(0))
        if is_written and page.is_last:
            return True
        if is_written:
            place, not_before = place._replace(after=page.version), page.read_at
        elif not replays.keeps(place, page):
            place, not_before = place._replace(after=progress.told), page.read_at


async def _write_page(subscriber: Subscriber, page: Page, progress: Progress) -> bool:
    """Writes what the client takes within a turn. True when that is all."""
    entries = page.entries or []
    deadline = time.monotonic() + TURN_TIMEOUT
    send_buffers.add(subscriber.caller.user_id, page.size)
    try:
        for number, entry in enumerate(entries, 1):
            if entry.version <= progress.told:
                continue  # written in an earlier turn
            subscriber.write(progress.next_event(entry))
            took_it = await subscriber.outbox.drained_within(STALL_TIMEOUT)
            if not took_it or time.monotonic() > deadline:
                return entry is entries[-1]
            if number % TURN == 0:
                await asyncio.sleep(0)
    finally:
        send_buffers.add(subscriber.caller.user_id, -page.size)
    return True


def lost_room(room_id: int) -> DomainError:
    """Why a room that a socket was let into is not to be seen any more."""
    there = Room.objects.filter(pk=room_id, deleted_at=None).exists()
    return Removed() if there else NoSuchRoom()


def check_member(caller: Caller, room_id: int) -> None:
    """Raises Removed, NoSuchRoom, NotAMember."""
    try:
        here = room_access(caller.user_id, room_id)
        here.check_may_read()
    except Forbidden:
        raise Removed from None
    except NoSuchRoom:
        raise lost_room(room_id) from None
    if here.member is None:
        raise NotAMember
