"""Announces changes of memberships and read markers to events sockets.

A service raises the counter of a user whose memberships it changes. A hint of another process leads
to a check at once, and once a second one query compares the counters of all users with an events
socket here. So a new, ended or muted membership is announced within 2 s when every hint is lost.
"""

import asyncio
import logging
from collections.abc import Collection, Coroutine, Iterable, Mapping
from itertools import islice
from typing import Any

from accounts.kernel.errors import Busy
from messaging.my_rooms import AddedRoom, added_rooms
from messaging.unread import UserRoom, read_marks
from realtime.db_threads import DatabaseThreads
from realtime.metrics import membership_announcements
from realtime.protocol.encoding import encode
from realtime.protocol.server_frames import Marks, RemovalReason, RoomAdded
from rooms.followed_rooms import current_memberships, removal_reasons
from rooms.membership_counters import changed_membership_counters

from .events_socket import UNKNOWN_COUNTER, EventsSocket, EventsSubscriber
from .events_subscriptions import EventsSubscriptions
from .hub import Hub

log = logging.getLogger(__name__)

CHECK_DELAY = 0.03
"""Seconds that a hint waits for further ones: all are checked with one query."""
CHECK_INTERVAL = 1.0
MARKS_DELAY = 0.1
USERS_PER_QUERY = 5000
USERS_PER_STEP = 200
"""Users whose memberships are read together: each may have hundreds."""


class MembershipWatch:
    """Keeps the rooms of a process's events sockets up to date; on their loop."""

    def __init__(
        self, hub: Hub, subscriptions: EventsSubscriptions, database: DatabaseThreads
    ) -> None:
        self._hub = hub
        self._subscriptions = subscriptions
        self._database = database
        self._hinted: set[int] = set()
        self._marked: set[UserRoom] = set()
        # One check at a time: the memberships that one has read may not be older than those that
        # another has announced.
        self._checking = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Starts the check of every second, on the loop of the sockets."""
        self._run(self._watch())

    def hint(self, user_ids: Iterable[int]) -> None:
        """Checks these users soon, if they have an events socket here."""
        found = [user_id for user_id in user_ids if user_id in self._hub.events_sockets]
        if found and not self._hinted:
            self._run(self._check_hinted())
        self._hinted.update(found)

    def marks_changed(self, user_id: int, room_id: int) -> None:
        """Sends `marks` to the user's events sockets, once for several changes."""
        if user_id not in self._hub.events_sockets:
            return
        if not self._marked:
            self._run(self._send_marks())
        self._marked.add((user_id, room_id))

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(CHECK_INTERVAL)
            await self._guarded(self._check(list(self._hub.events_sockets)))

    async def check_now(self, user_id: int) -> None:
        """Announces what changed for one user. Raises Busy."""
        await self._check([user_id])

    async def _check_hinted(self) -> None:
        await asyncio.sleep(CHECK_DELAY)
        hinted, self._hinted = self._hinted, set()
        await self._guarded(self._check(hinted))

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Busy:
            log.warning("Memberships wait for the database")
        except Exception:
            # The watch must survive: without it a lost hint is never found.
            log.exception("A check of memberships failed; the next one repeats it")

    # Memberships

    async def _check(self, user_ids: Collection[int]) -> None:
        async with self._checking:
            waiting = iter(list(user_ids))
            while some := list(islice(waiting, USERS_PER_QUERY)):
                changed = await self._database.run(changed_membership_counters, self._known(some))
                users = iter(changed.items())
                while step := dict(islice(users, USERS_PER_STEP)):
                    await self._announce(step)

    def _known(self, user_ids: Iterable[int]) -> dict[int, int]:
        return {
            user_id: min(socket.counter for socket in sockets)
            for user_id in user_ids
            if (sockets := self._hub.events_sockets.get(user_id))
        }

    async def _announce(self, counters: Mapping[int, int]) -> None:
        """Announces what differs from the rooms that the users' sockets know."""
        before = [KnownRooms(socket) for socket in self._sockets(counters)]
        for known in before:
            # Before the memberships are read: a room that ends meanwhile asks for another check.
            known.socket.counter = counters[known.user_id]
        try:
            await self._announce_differences(before, counters.keys())
        except BaseException:
            for known in before:
                known.socket.counter = UNKNOWN_COUNTER
            raise

    async def _announce_differences(
        self, before: Collection["KnownRooms"], user_ids: Collection[int]
    ) -> None:
        current = await self._database.run(current_memberships, list(user_ids))
        new = {
            (known.user_id, room_id)
            for known in before
            for room_id in current[known.user_id].keys() - known.rooms.keys()
        }
        added = await self._database.run(added_rooms, new) if new else {}
        for known in before:
            lost = known.rooms.keys() - current[known.user_id].keys()
            if lost:
                reasons = await self._database.run(
                    removal_reasons, known.user_id, lost, were_readable=True
                )
                self._end_rooms(known, reasons)
            self._add_rooms(known.socket, added)
            self._mute_rooms(known.socket, current[known.user_id])

    def _sockets(self, user_ids: Iterable[int]) -> list[EventsSocket]:
        return [one for pk in user_ids for one in self._hub.events_sockets.get(pk, ())]

    def _add_rooms(self, socket: EventsSocket, added: Mapping[UserRoom, AddedRoom]) -> None:
        if not self._hub.is_open(socket):
            return  # It closed during the queries: nothing would end a new subscription.
        for (user_id, room_id), room in added.items():
            if user_id != socket.caller.user_id or socket.knows(room_id):
                continue
            membership_announcements.labels("added").inc()
            text = encode(RoomAdded.model_validate({"room": room.shown}))
            if room.followed.muted:
                socket.muted.add(room_id)
            if self._subscriptions.has_space(socket):
                subscriber = self._subscriptions.subscribe(socket, room.followed)
                socket.send(text)
                self._subscriptions.start_soon(subscriber)
            else:
                socket.others.add(room_id)
                socket.send(text)

    def _end_rooms(self, known: "KnownRooms", reasons: Mapping[int, RemovalReason]) -> None:
        socket = known.socket
        for room_id, reason in reasons.items():
            subscriber = socket.followed.get(room_id)
            # Joined again meanwhile, or ended by a hint.
            if subscriber is not known.rooms[room_id] or not socket.knows(room_id):
                continue
            membership_announcements.labels("ended").inc()
            if subscriber is not None:
                self._hub.unsubscribe(subscriber)
            socket.end_room(room_id, reason)

    def _mute_rooms(self, socket: EventsSocket, current: Mapping[int, bool]) -> None:
        muted = {room_id for room_id, is_muted in current.items() if is_muted}
        changed = (muted ^ socket.muted) & current.keys()
        socket.muted = muted
        for room_id in changed:
            membership_announcements.labels("muted").inc()
            self.marks_changed(socket.caller.user_id, room_id)

    # Read markers

    async def _send_marks(self) -> None:
        await asyncio.sleep(MARKS_DELAY)
        marked, self._marked = self._marked, set()
        await self._guarded(self._read_and_send_marks(marked))

    async def _read_and_send_marks(self, marked: Collection[UserRoom]) -> None:
        marks = await self._database.run(read_marks, marked)
        for (user_id, room_id), found in marks.items():
            text = encode(Marks(room_id=room_id, **found._asdict()))
            for socket in self._sockets([user_id]):
                socket.send(text)


class KnownRooms:
    """A socket's rooms and subscribers before the memberships were read."""

    __slots__ = ("rooms", "socket", "user_id")

    def __init__(self, socket: EventsSocket) -> None:
        self.socket = socket
        self.user_id = socket.caller.user_id
        self.rooms: dict[int, EventsSubscriber | None] = dict.fromkeys(socket.others)
        self.rooms.update(socket.followed)
