"""Publishes `presence` and `profile` to members of small rooms (contract §7).

A user is online with an events socket on any process. A socket of one room is not counted here: its
room receives `join` and `exit`.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, NamedTuple

from django.utils import timezone

from accounts.auth import Caller
from accounts.kernel.errors import Busy, NoSuchUser
from accounts.selectors import find_user, last_seen_of
from realtime.db_threads import DatabaseThreads
from realtime.delivery.hub import Hub
from realtime.protocol.encoding import encode
from realtime.protocol.server_frames import PresenceFrame, ProfileFrame, ProfileUser, ServerFrame
from rooms.shared_presence import shared_rooms

from .broadcaster import Broadcaster
from .leases import EVENTS_SOCKETS, Leases

log = logging.getLogger(__name__)

OFFLINE_DELAY = 5.0
"""Seconds in which a client reconnects without being announced as offline."""
BATCH_DELAY = 0.1
"""Seconds that an announcement waits for others: one query reads the rooms of all."""
MAX_WAITING = 5000
"""Announcements that wait. Above it they are dropped: each is for display only."""


class Announcement(NamedTuple):
    """A frame about one user; `is_own` sends it to the user's own sockets too."""

    frame: Callable[[Any], ServerFrame]
    is_own: bool = False


class UserPresence:
    """Announces users of this process. Runs on the loop of the sockets."""

    def __init__(
        self, hub: Hub, broadcaster: Broadcaster, leases: Leases, database: DatabaseThreads
    ) -> None:
        self._hub = hub
        self._broadcaster = broadcaster
        self._leases = leases
        self._database = database
        self._departures: dict[int, asyncio.TimerHandle] = {}
        self._waiting: dict[tuple[int, str], Announcement] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def arrive(self, caller: Caller) -> None:
        """Counts a user whose events socket was opened; announces the first one."""
        departure = self._departures.pop(caller.user_id, None)
        if departure is not None:
            departure.cancel()
        if len(self._hub.events_sockets.get(caller.user_id, ())) > 1:
            return
        if not self._leases.active:
            if departure is None:
                self._announce_online(caller.user_id, caller.username)
            return

        def entered(reply: Any) -> None:
            is_first = (reply.result() or (1,))[0]
            if is_first and departure is None:
                self._announce_online(caller.user_id, caller.username)

        self._leases.enter(EVENTS_SOCKETS, caller.user_id, caller.username).add_done_callback(
            entered
        )

    def leave(self, caller: Caller, *, announce: bool) -> None:
        """Releases a user's closed events socket; announces the last one, later.

        `announce` is false while the process shuts down: its users reconnect elsewhere.
        """
        if caller.user_id in self._hub.events_sockets:
            return
        if self._leases.active:
            self._leases.leave(EVENTS_SOCKETS, caller.user_id)
        if announce:
            timer = asyncio.get_running_loop().call_later(OFFLINE_DELAY, self._departed, caller)
            self._departures[caller.user_id] = timer

    def _departed(self, caller: Caller) -> None:
        self._departures.pop(caller.user_id, None)
        if caller.user_id in self._hub.events_sockets:
            return
        if not self._leases.active:
            self._announce_offline(caller.user_id, caller.username)
            return

        def publish(reply: Any) -> None:
            # While Redis is down each process announces its own users.
            if not (reply.result() or (None,))[0]:
                self._announce_offline(caller.user_id, caller.username)

        self._leases.holds(EVENTS_SOCKETS, [caller.user_id]).add_done_callback(publish)

    def user_expired(self, username: str) -> None:
        """Announces a user whose process died (see LeaseHolder)."""
        self._run(self._announce_by_name(username, self._announce_offline))

    def user_restored(self, username: str) -> None:
        """Announces a user whose lease had expired (see LeaseHolder)."""
        self._run(self._announce_by_name(username, self._announce_online))

    async def _announce_by_name(self, username: str, announce: Callable[[int, str], None]) -> None:
        try:
            user = await self._database.run(find_user, username)
        except (Busy, NoSuchUser):
            return
        announce(user.pk, user.username)

    def held_users(self) -> Mapping[int, str]:
        """Returns the users with an events socket here, by id (see LeaseHolder)."""
        return {
            user_id: next(iter(sockets)).caller.username
            for user_id, sockets in self._hub.events_sockets.items()
        }

    def publish_profile(self, user_id: int, username: str, display_name: str) -> None:
        """Announces a changed profile, to the user's other devices too."""
        user = ProfileUser(id=user_id, username=username, display_name=display_name)
        self._add(user_id, "profile", Announcement(lambda _: ProfileFrame(user=user), is_own=True))

    def _announce_online(self, user_id: int, username: str) -> None:
        def frame(last_seen: Any) -> PresenceFrame:
            return PresenceFrame(
                user_id=user_id, username=username, online=True, last_seen=last_seen
            )

        self._add(user_id, "presence", Announcement(frame))

    def _announce_offline(self, user_id: int, username: str) -> None:
        now = timezone.now()

        def frame(_: Any) -> PresenceFrame:
            return PresenceFrame(user_id=user_id, username=username, online=False, last_seen=now)

        self._add(user_id, "presence", Announcement(frame))

    # Publishing

    def _add(self, user_id: int, kind: str, announcement: Announcement) -> None:
        """Publishes soon. A later announcement of the same kind replaces one that waits."""
        if not self._broadcaster.has_events_receivers() or len(self._waiting) >= MAX_WAITING:
            return
        if not self._waiting:
            self._run(self._publish_waiting())
        self._waiting[user_id, kind] = announcement

    async def _publish_waiting(self) -> None:
        await asyncio.sleep(BATCH_DELAY)
        waiting, self._waiting = self._waiting, {}
        user_ids = list({user_id for user_id, _ in waiting})
        try:
            rooms = await self._database.run(shared_rooms, user_ids)
            last_seen = await self._database.run(last_seen_of, user_ids)
        except Busy:
            log.info("Presence of %d users was not announced: the database is busy", len(user_ids))
            return
        for (user_id, _), one in waiting.items():
            text = encode(one.frame(last_seen.get(user_id)))
            self._broadcaster.send_to_events_sockets(
                user_id, rooms[user_id], text, is_own=one.is_own
            )

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
