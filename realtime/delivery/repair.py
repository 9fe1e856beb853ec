"""Repairs lost frames from the database.

A room is repaired soon after a frame in it had to wait (a version jumped, an access epoch rose),
and once a second all open rooms are compared with one query. So the delivery promise holds when the
channel layer loses everything, and between processes without a channel layer.
"""

import asyncio
import logging
import time

from accounts.kernel.errors import Busy
from accounts.selectors import changed_sharing, ended_sessions
from messaging.changes_since import StoredChange, room_snapshot
from realtime.db_threads import DatabaseThreads
from realtime.metrics import repaired_frames
from realtime.protocol.encoding import message_text
from rooms.errors import NoSuchRoom
from rooms.selectors import Counters, changed_room_counters

from .hub import Hub
from .local_room import LocalRoom
from .revocation import Revocation
from .subscriber import VersionedFrame, text_event

log = logging.getLogger(__name__)

REPAIR_DELAY = 0.03
"""Seconds that a jump waits by itself: two threads may report their commits in either order."""
CHECK_INTERVAL = 1.0
MAX_REPAIRED_CHANGES = 5000
MAX_REPAIRED_BYTES = 4 * 1024 * 1024
"""What a repair delivers. A room that missed more has its clients reconnect and replay in pages."""
ROOMS_PER_QUERY = 5000


class Repair:
    """Repairs the rooms of one process."""

    def __init__(self, hub: Hub, revocation: Revocation, database: DatabaseThreads) -> None:
        self._hub = hub
        self._revocation = revocation
        self._database = database
        self._repairing: dict[int, asyncio.Task[None]] = {}
        self._watch: asyncio.Task[None] | None = None
        self._checked_at = time.monotonic()
        self._opened: list[int] = []
        self._checking: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Starts the check of every second, on the loop of the sockets."""
        self._watch = asyncio.ensure_future(self._watch_all())

    def request_repair(self, room: LocalRoom) -> None:
        """Repairs a room after REPAIR_DELAY, once for all requests meanwhile."""
        if room.id not in self._repairing:
            self._repairing[room.id] = asyncio.ensure_future(self._repair_later(room))

    def check_opened(self, room: LocalRoom) -> None:
        """Compares newly opened rooms with the database, in one query for all.

        Between the check of a new socket and its subscription a message may have been stored or a
        member removed. When it was the last change, no frame reveals it.
        """
        self._opened.append(room.id)
        if len(self._opened) == 1:
            self._checking = asyncio.ensure_future(self._check_opened())

    async def _check_opened(self) -> None:
        await asyncio.sleep(REPAIR_DELAY)
        opened, self._opened = self._opened, []
        try:
            await self._compare_all(opened)
        except Busy:
            log.warning("The check of opened rooms waits for the repair: the database is busy")

    async def _repair_later(self, room: LocalRoom) -> None:
        try:
            await asyncio.sleep(REPAIR_DELAY)
            while await self._repair(room):
                pass
        except Busy:
            log.warning("Room %d waits for the database", room.id)
        finally:
            del self._repairing[room.id]
            again = self._hub.rooms.get(room.id)
            if again is not None and again is not room:
                # Reopened meanwhile. Its own requests found this task running.
                self.request_repair(again)

    async def _repair(self, room: LocalRoom) -> bool:
        """Brings a room up to date. True when it must be repaired once more."""
        if self._hub.rooms.get(room.id) is not room:
            return False
        checked, since = room.user_ids(), room.version
        stored = await self._database.run(
            room_snapshot,
            room.id,
            since,
            room.access_epoch,
            checked,
            limit=MAX_REPAIRED_CHANGES,
            size=MAX_REPAIRED_BYTES,
        )
        if stored is None:
            self._revocation.close_room(room.id, NoSuchRoom())
            return False
        if stored.access_epoch > room.access_epoch and room.has_unchecked(
            checked, stored.access_epoch
        ):
            return True
        # Members first, then the changes that only they may receive.
        if stored.members is not None and stored.access_epoch > room.access_epoch:
            self._revocation.disconnect_lost_members(
                room, checked, stored.members, stored.access_epoch
            )
        room.access_epoch = max(room.access_epoch, stored.access_epoch)
        if stored.changes is None:
            self._hub.ask_to_reconnect(room)
            return False
        repaired_frames.inc(sum(change.message.version > room.version for change in stored.changes))
        with self._hub.state.write_batch.for_frames(len(stored.changes)):
            room.fill([_frame(change, since) for change in stored.changes])
        return bool(room.out_of_order)

    async def _watch_all(self) -> None:
        while True:
            await asyncio.sleep(CHECK_INTERVAL)
            try:
                await self._check()
            except Busy:
                log.warning("The repair waits for the database")
            except Exception:
                # The task must survive: without it a lost frame is never found.
                log.exception("The repair failed and continues")

    async def _check(self) -> None:
        await self._compare_all(list(self._hub.rooms))
        now = time.monotonic()
        open_ids = tuple(self._hub.open_sessions())
        ended = await self._database.run(ended_sessions, open_ids, now - self._checked_at)
        sharing = await self._database.run(changed_sharing, open_ids, now - self._checked_at)
        self._checked_at = now
        self._revocation.end_sessions(ended)
        for session_id, shares in sharing.items():
            sockets = self._hub.sockets_of_session(session_id)
            self._hub.set_receipts_sharing(sockets, shares=shares)

    async def _compare_all(self, ids: list[int]) -> None:
        for first in range(0, len(ids), ROOMS_PER_QUERY):
            rooms = map(self._hub.rooms.get, ids[first : first + ROOMS_PER_QUERY])
            known = {
                room.id: (room.version, room.access_epoch) for room in rooms if room is not None
            }
            changed = await self._database.run(changed_room_counters, known)
            for room_id, counters in changed.items():
                self._compare(room_id, known[room_id], counters)

    def _compare(self, room_id: int, known: Counters, counters: Counters | None) -> None:
        """Requests a repair unless the missing frames arrived meanwhile."""
        room = self._hub.rooms.get(room_id)
        if room is None:
            return
        if counters is None or counters[0] > room.version or counters[1] > room.access_epoch:
            self.request_repair(room)
        elif counters[0] < known[0] or counters[1] < known[1]:
            # An older database has taken over, such as a standby. It assigns the same versions
            # again, and clients here would drop those frames.
            log.warning("Room %d: the database is behind the delivered version", room_id)
            self._hub.ask_to_reconnect(room)


def _frame(change: StoredChange, since: int) -> VersionedFrame:
    message, kind = change.message, change.kind_since(since)
    event = text_event(message_text(kind, message))
    if kind == change.change:
        return VersionedFrame(message.version, message.access_epoch, event)
    changed = text_event(message_text(change.change, message))
    return VersionedFrame(message.version, message.access_epoch, event, change.created, changed)
