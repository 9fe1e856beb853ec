"""The net under the fan-out: whatever was lost on the way here is fetched from the database.

A room is looked at soon after something in it had to wait (a version jumped, an access epoch
rose), and once a second all open rooms are, with one query. So the promise holds when the channel
layer loses everything, and between processes that have no channel layer at all.
"""

import asyncio
import json
import logging
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta

from django.db import connection
from django.utils import timezone

from accounts.kernel.errors import Busy
from messaging.selectors import StoredChange, changes_since
from realtime.db_threads import repair_threads
from realtime.metrics import repaired_frames
from realtime.protocol import message_text
from rooms.errors import NoSuchRoom
from rooms.models import Member, Room, RoomKind

from .batching import batching
from .hub import Hub
from .local_room import LocalRoom
from .subscriber import VersionedFrame, text_event

log = logging.getLogger(__name__)

REPAIR_DELAY = 0.03
"""Seconds that a jump waits by itself: two threads may report their commits in either order."""
CHECK_INTERVAL = 1.0
MAX_REPAIRED_CHANGES = 5000
"""Changes that are handed on after the fact; who missed more comes back and reads history."""
ROOMS_PER_QUERY = 5000
ENDED_SESSIONS_WINDOW = timedelta(seconds=150)
"""How far back ended sessions are looked for, counted from the last look: more than clocks of hosts
may differ."""


@dataclass(frozen=True, slots=True)
class RoomSnapshot:
    """What the database says of a room: what changed, its access epoch, who still belongs."""

    changes: list[StoredChange]
    access_epoch: int
    members: Collection[int] | None


def room_snapshot(
    room_id: int, version: int, access_epoch: int, user_ids: Collection[int]
) -> RoomSnapshot | None:
    """None for a deleted room. Members are looked up only when the access epoch moved.

    Who may listen is read after what there is to hear: a removal in between is then seen, and one
    that comes later is newer than all that was read.
    """
    rooms = Room.objects.filter(pk=room_id, deleted_at=None)
    room = rooms.first()
    if room is None:
        return None
    changes = (
        changes_since(room, version, limit=MAX_REPAIRED_CHANGES) if room.version > version else []
    )
    counters = rooms.values_list("access_epoch", flat=True).first()
    if counters is None:
        return None
    members = None
    if counters != access_epoch and room.kind != RoomKind.PRIVATE:
        rows = Member.objects.filter(room=room, user_id__in=user_ids)
        members = set(rows.values_list("user_id", flat=True))
    return RoomSnapshot(changes, counters, members)


Counters = tuple[int, int]
"""Version and access epoch."""


def changed_counters(known: Mapping[int, Counters]) -> dict[int, Counters | None]:
    """The counters of those rooms that are not where they are known to be; None for deleted ones.

    Asked every second for all open rooms, so it is all one statement with a parameter or three: ten
    thousand parameters or rows would cost many times what the database needs.
    """
    return _news_of_postgresql(known) if connection.vendor == "postgresql" else _news(known)


def _news_of_postgresql(known: Mapping[int, Counters]) -> dict[int, Counters | None]:
    """The database compares: its rows would cost more on their way than the arrays."""
    columns = (known, (version for version, _ in known.values()), (a for _, a in known.values()))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT asked.id, r.version, r.access_epoch"
            " FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[]) AS asked (id, version, epoch)"
            " LEFT JOIN rooms_room r ON r.id = asked.id AND r.deleted_at IS NULL"
            " WHERE r.id IS NULL OR r.version <> asked.version OR r.access_epoch <> asked.epoch",
            ["{" + ",".join(map(str, column)) + "}" for column in columns],
        )
        rows = cursor.fetchall()
    return {
        pk: None if version is None else (version, access_epoch)
        for pk, version, access_epoch in rows
    }


def _news(known: Mapping[int, Counters]) -> dict[int, Counters | None]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, version, access_epoch FROM rooms_room"
            " WHERE id IN (SELECT value FROM json_each(%s)) AND deleted_at IS NULL",
            [json.dumps(list(known))],
        )
        stored = {pk: (version, access_epoch) for pk, version, access_epoch in cursor.fetchall()}
    news: dict[int, Counters | None] = {}
    for pk, counters in known.items():
        now = stored.get(pk)
        if now != counters:
            news[pk] = now
    return news


ENDED_ON_POSTGRESQL = (
    "SELECT id FROM accounts_session WHERE ended_at > %s AND id = ANY(%s::bigint[])"
)
ENDED_ON_SQLITE = (
    "SELECT id FROM accounts_session"
    " WHERE ended_at > %s AND id IN (SELECT value FROM json_each(%s))"
)


def ended_sessions(open_ids: Collection[int], seconds: float) -> list[int]:
    """Returns those of these sessions that ended in so many seconds and a bit.

    One statement with two parameters, asked every second: without the ids each process would
    receive every session that ended anywhere within ENDED_SESSIONS_WINDOW.
    """
    if not open_ids:
        return []
    since = timezone.now() - timedelta(seconds=seconds) - ENDED_SESSIONS_WINDOW
    statement, ids = ENDED_ON_SQLITE, json.dumps(list(open_ids))
    if connection.vendor == "postgresql":
        statement, ids = ENDED_ON_POSTGRESQL, "{" + ",".join(map(str, open_ids)) + "}"
    with connection.cursor() as cursor:
        cursor.execute(statement, [connection.ops.adapt_datetimefield_value(since), ids])
        return [pk for (pk,) in cursor.fetchall()]


class Repair:
    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._repairing: dict[int, asyncio.Task[None]] = {}
        self._watch: asyncio.Task[None] | None = None
        self._checked_at = time.monotonic()
        self._opened: list[int] = []
        self._checking: asyncio.Task[None] | None = None
        hub.on_trouble = self.request_repair
        hub.on_open = self.check_opened

    def start(self) -> None:
        """Begins to watch; called on the loop that the sockets live on."""
        self._watch = asyncio.ensure_future(self._watch_all())

    def request_repair(self, room: LocalRoom) -> None:
        """Looks at one room after the grace; once however often it is asked for meanwhile."""
        if room.id not in self._repairing:
            self._repairing[room.id] = asyncio.ensure_future(self._repair_later(room))

    def check_opened(self, room: LocalRoom) -> None:
        """Compares rooms that were just opened, all of one moment with one query.

        Between the check of a newcomer and its subscription something may have been said or
        somebody removed; no frame tells of it when it was the last.
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
                # Opened anew meanwhile, and its own calls found this task in the way.
                self.request_repair(again)

    async def _repair(self, room: LocalRoom) -> bool:
        """Brings a room up to date; True when it has to be looked at once more."""
        if self._hub.rooms.get(room.id) is not room:
            return False
        asked = frozenset(room.users)
        truth = await repair_threads.run(
            room_snapshot, room.id, room.version, room.access_epoch, asked
        )
        if truth is None:
            self._hub.close_room(room.id, NoSuchRoom())
            return False
        if truth.access_epoch > room.access_epoch and room.has_unchecked(asked, truth.access_epoch):
            return True
        # First who may listen, then what there is to hear.
        if truth.members is not None and truth.access_epoch > room.access_epoch:
            self._hub.disconnect_lost_members(room, asked, truth.members, truth.access_epoch)
        room.access_epoch = max(room.access_epoch, truth.access_epoch)
        if len(truth.changes) == MAX_REPAIRED_CHANGES:
            self._hub.ask_to_reconnect(room)
            return False
        repaired_frames.inc(sum(change.message.version > room.version for change in truth.changes))
        with batching(len(truth.changes)):
            room.fill([_frame(change) for change in truth.changes])
        return bool(room.out_of_order)

    async def _watch_all(self) -> None:
        while True:
            await asyncio.sleep(CHECK_INTERVAL)
            try:
                await self._check()
            except Busy:
                log.warning("The repair waits for the database")
            except Exception:
                # It must outlive anything: without it a lost frame is never found.
                log.exception("The repair failed and goes on")

    async def _check(self) -> None:
        await self._compare_all(list(self._hub.rooms))
        now = time.monotonic()
        open_ids = tuple(self._hub.open_sessions())
        ended = await repair_threads.run(ended_sessions, open_ids, now - self._checked_at)
        self._checked_at = now
        self._hub.end_sessions(ended)

    async def _compare_all(self, ids: list[int]) -> None:
        for first in range(0, len(ids), ROOMS_PER_QUERY):
            rooms = map(self._hub.rooms.get, ids[first : first + ROOMS_PER_QUERY])
            known = {
                room.id: (room.version, room.access_epoch) for room in rooms if room is not None
            }
            news = await repair_threads.run(changed_counters, known)
            for room_id, counters in news.items():
                self._compare(room_id, known[room_id], counters)

    def _compare(self, room_id: int, known: Counters, counters: Counters | None) -> None:
        """What came meanwhile need not be asked for again."""
        room = self._hub.rooms.get(room_id)
        if room is None:
            return
        if counters is None or counters[0] > room.version or counters[1] > room.access_epoch:
            self.request_repair(room)
        elif counters[0] < known[0] or counters[1] < known[1]:
            # An older state of the database has taken over. It counts the same versions once more,
            # and nobody here would hear what gets one of them.
            log.warning("Room %d in the database is behind what was told of it", room_id)
            self._hub.ask_to_reconnect(room)


def _frame(change: StoredChange) -> VersionedFrame:
    message = change.message
    event = text_event(message_text(change.kind, message))
    if change.kind == change.change:
        return VersionedFrame(message.version, message.access_epoch, event)
    changed = text_event(message_text(change.change, message))
    return VersionedFrame(message.version, message.access_epoch, event, change.created, changed)
